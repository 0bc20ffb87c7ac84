//! Kept-alive connections: when they are used again, when not, and that no request is ever sent twice.

use crate::arms::Place;
use crate::http_client::{DEADLINE, client, get_request, read_head, serving};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use http::Request;
use rt::http::{Client, ClientOptions, PeerAddr, RequestError, ServeOptions, Server, serve};
use rt::net::{TcpListener, TcpStream};
use rt::task::spawn;
use rt::time::sleep;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

both_arms! {
    a_connection_is_used_again,
    a_connection_carries_one_request_at_a_time,
    a_connection_with_an_open_answer_is_not_used_again,
    a_connection_idle_for_too_long_is_not_used_again,
    no_more_idle_connections_are_kept_than_allowed,
    a_restarted_server_is_found_again,
    a_server_restarted_at_once_is_asked_once_at_most,
    a_closed_connection_before_the_first_byte_costs_nothing,
    a_sent_request_is_never_sent_again,
}

/// Gives time to what runs beside: an answered connection reports back to its pool, a close arrives.
async fn settle() {
    sleep(Duration::from_millis(50)).await;
}

/// `/peer` answers with the peer's address, after a moment; `/never` does not answer.
fn router() -> Router {
    let peer = get(|Extension(PeerAddr(peer)): Extension<PeerAddr>| async move {
        sleep(Duration::from_millis(10)).await;
        peer.to_string()
    });
    Router::new().route("/peer", peer).route("/never", get(async || std::future::pending::<&str>().await))
}

/// The address that the server sees the client at.
async fn peer(client: &Client, address: &str) -> String {
    let answer = client.send(address, get_request("/peer"), DEADLINE).await.unwrap();
    String::from_utf8(answer.into_body().to_vec()).unwrap()
}

async fn a_connection_is_used_again(place: Place) {
    let (_server, address) = serving(&place, router()).await;
    let client = client();
    let first = peer(&client, &address).await;
    for _ in 0..3 {
        settle().await;
        // A clone has the same pool.
        assert_eq!(peer(&client.clone(), &address).await, first);
    }
    assert_ne!(peer(&self::client(), &address).await, first);
}

async fn a_connection_carries_one_request_at_a_time(place: Place) {
    let (_server, address) = serving(&place, router()).await;
    let client = client();
    let (one, other) = tokio::join!(peer(&client, &address), peer(&client, &address));
    assert_ne!(one, other);
    settle().await;
    let again = peer(&client, &address).await;
    assert!(again == one || again == other);
}

async fn a_connection_with_an_open_answer_is_not_used_again(place: Place) {
    let (_server, address) = serving(&place, router()).await;
    let client = client();
    let first = peer(&client, &address).await;
    settle().await;
    let late = client.send(&address, get_request("/never"), Duration::from_millis(150)).await;
    assert!(matches!(late, Err(RequestError::TimedOut { .. })), "{late:?}");
    assert_ne!(peer(&client, &address).await, first);
}

async fn a_connection_idle_for_too_long_is_not_used_again(place: Place) {
    let (_server, address) = serving(&place, router()).await;
    let idle_timeout = Duration::from_millis(5);
    let client = Client::new(ClientOptions { idle_timeout, ..ClientOptions::default() });
    let first = peer(&client, &address).await;
    settle().await;
    assert_ne!(peer(&client, &address).await, first);
}

async fn no_more_idle_connections_are_kept_than_allowed(place: Place) {
    let (_server, address) = serving(&place, router()).await;
    let client = Client::new(ClientOptions { max_idle_per_host: 0, ..ClientOptions::default() });
    let first = peer(&client, &address).await;
    settle().await;
    assert_ne!(peer(&client, &address).await, first);
}

/// Serves at `address`, which a server before may have used.
async fn serve_again(address: &str, router: Router) -> Server {
    let listener = TcpListener::bind(address).await.unwrap();
    serve(listener, router, ServeOptions::default()).unwrap()
}

async fn a_restarted_server_is_found_again(place: Place) {
    let (server, address) = serving(&place, router()).await;
    let client = client();
    peer(&client, &address).await;
    settle().await;
    server.shutdown().await;
    settle().await;
    let _server = serve_again(&address, router()).await;
    // The connection in the pool is dead and known to be so: nothing may be sent on it.
    peer(&client, &address).await;
}

async fn a_server_restarted_at_once_is_asked_once_at_most(place: Place) {
    for round in 0..8 {
        let asked = Arc::new(AtomicU64::new(0));
        let counter = asked.clone();
        let counting = get(async move || {
            counter.fetch_add(1, Ordering::SeqCst);
            "counted"
        });
        let counting = Router::new().route("/count", counting);
        let (server, address) = serving(&place, counting.clone()).await;
        let client = client();
        client.send(&address, get_request("/count"), DEADLINE).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        server.shutdown().await;
        let _server = serve_again(&address, counting).await;
        // The close of the old connection may still be under way.
        sleep(Duration::from_micros(200 * round)).await;
        let outcome = client.send(&address, get_request("/count"), DEADLINE).await;
        let asked = asked.load(Ordering::SeqCst);
        match outcome {
            Ok(answer) => assert_eq!((asked, &answer.body()[..]), (2, &b"counted"[..])),
            Err(error) if error.may_have_arrived() => assert!(asked <= 2),
            Err(error) => panic!("a server is there, but: {error}"),
        }
    }
}

/// Answers `b"ok"` on a connection.
async fn answer(stream: &mut TcpStream) {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
}

async fn a_closed_connection_before_the_first_byte_costs_nothing(place: Place) {
    let listener = place.listen().await;
    let address = listener.local_addr().unwrap().to_string();
    // Closes each connection after one answer, without having said so.
    let server = spawn(async move {
        for _ in 0..4 {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            answer(&mut stream).await;
        }
    });
    let client = client();
    for _ in 0..4 {
        let request = Request::post("/").body(Bytes::new()).unwrap();
        client.send(&address, request, DEADLINE).await.unwrap();
        settle().await;
    }
    server.await.unwrap();
}

async fn a_sent_request_is_never_sent_again(place: Place) {
    let listener = place.listen().await;
    let address = listener.local_addr().unwrap().to_string();
    let heads = Arc::new(AtomicU64::new(0));
    let counter = heads.clone();
    let server = spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counter = counter.clone();
            spawn(async move {
                read_head(&mut stream).await;
                counter.fetch_add(1, Ordering::SeqCst);
                answer(&mut stream).await;
                // The second request on this connection is read and never answered.
                read_head(&mut stream).await;
                counter.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    let client = client();
    client.send(&address, get_request("/"), DEADLINE).await.unwrap();
    settle().await;
    let error = client.send(&address, get_request("/"), DEADLINE).await.unwrap_err();
    assert!(matches!(error, RequestError::Lost { .. }) && error.may_have_arrived(), "{error:?}");
    settle().await;
    assert_eq!(heads.load(Ordering::SeqCst), 2);
    server.abort();
}
