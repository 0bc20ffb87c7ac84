//! The HTTP server: its limits, and how it ends.

use crate::arms::Place;
use crate::http_client::{DEADLINE, client, get_request, serving};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use rt::http::{RequestError, ServeOptions, Server, serve};
use rt::net::{TcpListener, TcpStream};
use rt::task::spawn;
use rt::time::{Instant, sleep, timeout};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

both_arms! {
    half_a_head_does_not_hold_a_connection,
    nonsense_is_answered_as_such,
    an_answer_before_the_end_of_a_body_is_heard,
    who_sends_for_ever_is_left,
    requests_on_one_connection_are_answered_in_turn,
    too_many_connections_wait,
    a_graceful_end_waits_for_requests_under_way,
    a_graceful_end_closes_idle_connections,
    a_graceful_end_does_not_wait_for_ever,
    a_graceful_end_frees_the_address,
    a_dropped_server_ends,
}

fn hello() -> Router {
    Router::new().route("/hello", get(async || "hello"))
}

async fn serving_with(place: &Place, router: Router, options: ServeOptions) -> (Server, String) {
    let server = serve(place.listen().await, router, options).unwrap();
    let address = server.local_addr().to_string();
    (server, address)
}

/// Everything that comes until the connection ends; a reset ends it as well.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the connection stays open");
    String::from_utf8(bytes).unwrap()
}

/// Waits until nobody listens at `address` any more.
async fn until_refused(address: &str) {
    for _ in 0..1000 {
        match TcpStream::connect(address).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            // Accepted by the kernel or the server, and closed or reset, in its last moments.
            Ok(_) | Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
    panic!("connections to an ended server are still accepted");
}

async fn half_a_head_does_not_hold_a_connection(place: Place) {
    let header_read_timeout = Duration::from_millis(80);
    let options = ServeOptions { header_read_timeout, ..ServeOptions::default() };
    let (_server, address) = serving_with(&place, hello(), options).await;
    let begin = Instant::now();
    let mut slow = TcpStream::connect(&address).await.unwrap();
    slow.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\nx-head").await.unwrap();
    // Others are served meanwhile.
    client().send(&address, get_request("/hello"), DEADLINE).await.unwrap();
    let said = rest(&mut slow).await;
    assert!(begin.elapsed() >= header_read_timeout);
    assert!(!said.contains("hello"), "half a request was answered: {said:?}");
}

async fn nonsense_is_answered_as_such(place: Place) {
    let (_server, address) = serving(&place, hello()).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"\x01\x02 not HTTP\r\n\r\n").await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 400"), "{said:?}");
    client().send(&address, get_request("/hello"), DEADLINE).await.unwrap();
}

/// A router that refuses without a look at the body.
fn refusing() -> Router {
    Router::new().route("/refused", post(async || (StatusCode::PAYLOAD_TOO_LARGE, [("connection", "close")])))
}

async fn an_answer_before_the_end_of_a_body_is_heard(place: Place) {
    let (_server, address) = serving(&place, refusing()).await;
    for len in [100_000, 3 << 20] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = format!("POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: {len}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // Sent in pieces, long after the answer, as by somebody who looks only when all is sent.
        for piece in vec![b'x'; len].chunks(64 << 10) {
            stream.write_all(piece).await.unwrap();
            sleep(Duration::from_millis(2)).await;
        }
        let said = rest(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 413"), "{len} bytes: {said:?}");
    }
}

async fn who_sends_for_ever_is_left(place: Place) {
    let (_server, address) = serving(&place, refusing()).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = "POST /refused HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let forever = async {
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
            sleep(Duration::from_millis(50)).await
        }
    };
    timeout(DEADLINE, forever).await.expect("the connection stays open");
}

async fn requests_on_one_connection_are_answered_in_turn(place: Place) {
    let slow = get(async || {
        sleep(Duration::from_millis(20)).await;
        "slow"
    });
    let (_server, address) = serving(&place, hello().route("/slow", slow)).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let requests = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n\
                    GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let said = rest(&mut stream).await;
    let (slow, hello) = (said.find("\r\n\r\nslow").unwrap(), said.find("\r\n\r\nhello").unwrap());
    assert!(slow < hello, "{said:?}");
}

async fn too_many_connections_wait(place: Place) {
    let options = ServeOptions { max_connections: 1, ..ServeOptions::default() };
    let (_server, address) = serving_with(&place, hello(), options).await;
    let first = TcpStream::connect(&address).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let client = client();
    let waiting = client.send(&address, get_request("/hello"), Duration::from_millis(200)).await;
    assert!(matches!(waiting, Err(RequestError::TimedOut { .. })), "{waiting:?}");
    drop(first);
    client.send(&address, get_request("/hello"), DEADLINE).await.unwrap();
}

/// A router whose `/slow` tells when it has begun, and takes `length`.
fn slow(length: Duration) -> (Router, Arc<Notify>) {
    let begun = Arc::new(Notify::new());
    let notify = begun.clone();
    let slow = get(async move || {
        notify.notify_one();
        sleep(length).await;
        "done"
    });
    (hello().route("/slow", slow), begun)
}

async fn a_graceful_end_waits_for_requests_under_way(place: Place) {
    let (router, begun) = slow(Duration::from_millis(120));
    let (server, address) = serving(&place, router).await;
    let asked = address.clone();
    let asking = place.elsewhere(async move { client().send(&asked, get_request("/slow"), DEADLINE).await });
    begun.notified().await;
    let ending = spawn(server.shutdown());
    // While it ends, it takes no one new.
    until_refused(&address).await;
    assert_eq!(&asking.await.expect("it was under way").body()[..], b"done");
    timeout(DEADLINE, ending).await.expect("nothing is left to wait for").unwrap();
    until_refused(&address).await;
}

async fn a_graceful_end_closes_idle_connections(place: Place) {
    let (server, address) = serving(&place, hello()).await;
    let mut fresh = TcpStream::connect(&address).await.unwrap();
    let mut used = TcpStream::connect(&address).await.unwrap();
    used.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    used.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    sleep(Duration::from_millis(10)).await;
    // Its patience is five seconds; idle connections need none of it.
    server.shutdown().await;
    rest(&mut fresh).await;
    assert!(rest(&mut used).await.ends_with("hello"));
}

async fn a_graceful_end_does_not_wait_for_ever(place: Place) {
    let (router, begun) = slow(Duration::from_secs(3600));
    let drain = Duration::from_millis(40);
    let (server, address) =
        serving_with(&place, router, ServeOptions { drain, ..ServeOptions::default() }).await;
    let asking = place.elsewhere(async move {
        client().send(&address, get_request("/slow"), Duration::from_millis(300)).await
    });
    begun.notified().await;
    let begin = Instant::now();
    timeout(DEADLINE, server.shutdown()).await.expect("it waits for a request that never ends");
    assert!(begin.elapsed() >= drain);
    assert!(asking.await.unwrap_err().may_have_arrived());
}

async fn a_graceful_end_frees_the_address(place: Place) {
    let (mut server, address) = serving(&place, hello()).await;
    for _ in 0..50 {
        server.shutdown().await;
        let listener = TcpListener::bind(&address).await.expect("nobody else listens there");
        server = serve(listener, hello(), ServeOptions::default()).unwrap();
    }
    client().send(&address, get_request("/hello"), DEADLINE).await.unwrap();
}

async fn a_dropped_server_ends(place: Place) {
    let (server, address) = serving(&place, hello()).await;
    client().send(&address, get_request("/hello"), DEADLINE).await.unwrap();
    drop(server);
    until_refused(&address).await;
}
