//! The HTTP client: answers, deadlines, limits, and what each failure says about the request's effect.

use crate::arms::Place;
use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Request, StatusCode};
use rt::http::{Client, ClientOptions, RequestError, ServeOptions, Server, serve};
use rt::net::TcpStream;
use rt::time::{Instant, sleep};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

both_arms! {
    answers_come_back,
    an_error_status_is_an_answer,
    the_host_header_is_set,
    large_bodies_pass_both_ways,
    many_requests_at_a_time_get_their_own_answers,
    a_deadline_ends_the_wait,
    a_refused_connection_sent_nothing,
    a_body_beyond_the_limit_is_refused,
    a_body_that_breaks_off_is_no_answer,
    a_lost_connection_may_have_carried_the_request,
    nonsense_is_no_answer,
}

/// Plenty: no request of these tests should come near it.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub fn client() -> Client {
    Client::new(ClientOptions::default())
}

pub fn get_request(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

/// Serves `router` at a free port; gives the address as well.
pub async fn serving(place: &Place, router: Router) -> (Server, String) {
    let server = serve(place.listen().await, router, ServeOptions::default()).unwrap();
    let address = server.local_addr().to_string();
    (server, address)
}

/// Reads the head of a request, as far as the empty line.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    String::from_utf8(head).unwrap()
}

async fn answers_come_back(place: Place) {
    let echo = post(|body: String| async move { ([("x-kind", "echo")], format!("echo: {body}")) });
    let router = Router::new().route("/hello", get(async || "hello")).route("/echo", echo);
    let (_server, address) = serving(&place, router).await;
    let client = client();
    let hello = client.send(&address, get_request("/hello"), DEADLINE).await.unwrap();
    assert_eq!((hello.status(), &hello.body()[..]), (StatusCode::OK, &b"hello"[..]));
    let request = Request::post("/echo").body(Bytes::from("text")).unwrap();
    let echo = client.send(&address, request, DEADLINE).await.unwrap();
    assert_eq!(&echo.body()[..], b"echo: text");
    assert_eq!(echo.headers()["x-kind"], "echo");
}

async fn an_error_status_is_an_answer(place: Place) {
    let failing = get(async || (StatusCode::INTERNAL_SERVER_ERROR, "sorry"));
    let (_server, address) = serving(&place, Router::new().route("/fail", failing)).await;
    let client = client();
    let failed = client.send(&address, get_request("/fail"), DEADLINE).await.unwrap();
    assert_eq!((failed.status().as_u16(), &failed.body()[..]), (500, &b"sorry"[..]));
    let missing = client.send(&address, get_request("/missing"), DEADLINE).await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

async fn the_host_header_is_set(place: Place) {
    let host = get(|headers: http::HeaderMap| async move { headers["host"].to_str().unwrap().to_owned() });
    let (_server, address) = serving(&place, Router::new().route("/host", host)).await;
    let client = client();
    let answer = client.send(&address, get_request("/host"), DEADLINE).await.unwrap();
    assert_eq!(&answer.body()[..], address.as_bytes());
    let own = Request::get("/host").header("host", "metrics.example").body(Bytes::new()).unwrap();
    let answer = client.send(&address, own, DEADLINE).await.unwrap();
    assert_eq!(&answer.body()[..], b"metrics.example");
}

async fn large_bodies_pass_both_ways(place: Place) {
    let reverse = post(|body: Bytes| async move { body.iter().rev().copied().collect::<Vec<u8>>() });
    let (_server, address) = serving(&place, Router::new().route("/reverse", reverse)).await;
    let body = crate::tcp::pattern(1_500_000);
    let expected: Vec<u8> = body.iter().rev().copied().collect();
    let asking = place.elsewhere(async move {
        let request = Request::post("/reverse").body(Bytes::from(body)).unwrap();
        client().send(&address, request, DEADLINE).await
    });
    assert!(asking.await.unwrap().body() == &expected, "the body came back changed");
}

async fn many_requests_at_a_time_get_their_own_answers(place: Place) {
    let slow_echo = post(|body: String| async move {
        sleep(Duration::from_millis(5)).await;
        body
    });
    let (_server, address) = serving(&place, Router::new().route("/echo", slow_echo)).await;
    let client = client();
    let requests: Vec<_> = (0..100)
        .map(|number| {
            let (client, address) = (client.clone(), address.clone());
            place.elsewhere(async move {
                for round in 0..3 {
                    let text = format!("{number}/{round}");
                    let request = Request::post("/echo").body(Bytes::from(text.clone())).unwrap();
                    let answer = client.send(&address, request, DEADLINE).await.unwrap();
                    assert_eq!(&answer.body()[..], text.as_bytes());
                }
            })
        })
        .collect();
    for request in requests {
        request.await;
    }
}

async fn a_deadline_ends_the_wait(place: Place) {
    let never = get(async || std::future::pending::<&str>().await);
    let (_server, address) = serving(&place, Router::new().route("/never", never)).await;
    let (begin, deadline) = (Instant::now(), Duration::from_millis(150));
    let error = client().send(&address, get_request("/never"), deadline).await.unwrap_err();
    assert!(begin.elapsed() >= deadline);
    assert!(matches!(&error, RequestError::TimedOut { host } if *host == address), "{error:?}");
    assert!(error.may_have_arrived());
}

async fn a_refused_connection_sent_nothing(place: Place) {
    let ip = place.listen().await.local_addr().unwrap().ip();
    let address = format!("{ip}:1");
    let error = client().send(&address, get_request("/"), DEADLINE).await.unwrap_err();
    assert!(!error.may_have_arrived());
    let RequestError::Connect { host, source } = error else { panic!("{error:?}") };
    assert_eq!((host, source.kind()), (address, std::io::ErrorKind::ConnectionRefused));
}

async fn a_body_beyond_the_limit_is_refused(place: Place) {
    let large = get(async || "x".repeat(2000));
    let exact = get(async || "z".repeat(1000));
    let router = Router::new().route("/large", large).route("/exact", exact);
    let (_server, address) = serving(&place, router).await;
    let client = Client::new(ClientOptions { max_body_bytes: 1000, ..ClientOptions::default() });
    let error = client.send(&address, get_request("/large"), DEADLINE).await.unwrap_err();
    assert!(error.may_have_arrived());
    assert!(matches!(&error, RequestError::Body { reason, .. } if reason.contains("1000")), "{error:?}");
    let exact = client.send(&address, get_request("/exact"), DEADLINE).await.unwrap();
    assert_eq!(exact.body().len(), 1000);

    // A body that does not say beforehand how long it is.
    let chunks =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n";
    let whole = answered_with(&place, self::client(), chunks).await.unwrap();
    assert_eq!(&whole.body()[..], b"firstsecond");
    let strict = Client::new(ClientOptions { max_body_bytes: 10, ..ClientOptions::default() });
    let error = answered_with(&place, strict, chunks).await.unwrap_err();
    assert!(matches!(&error, RequestError::Body { reason, .. } if reason.contains("10")), "{error:?}");
}

/// Answers the request of `client` with `answer`, closes the connection, and gives the client's outcome.
async fn answered_with(
    place: &Place,
    client: Client,
    answer: &'static [u8],
) -> Result<http::Response<Bytes>, RequestError> {
    let listener = place.listen().await;
    let address = listener.local_addr().unwrap().to_string();
    let asking = place.elsewhere(async move { client.send(&address, get_request("/"), DEADLINE).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    stream.write_all(answer).await.unwrap();
    drop(stream);
    asking.await
}

async fn a_body_that_breaks_off_is_no_answer(place: Place) {
    let whole = answered_with(&place, client(), b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await;
    assert_eq!(&whole.unwrap().body()[..], b"abc");
    let error = answered_with(&place, client(), b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        .await
        .unwrap_err();
    assert!(error.may_have_arrived());
    assert!(matches!(error, RequestError::Body { .. }), "{error:?}");
}

async fn a_lost_connection_may_have_carried_the_request(place: Place) {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let error = answered_with(&place, client(), answer.as_bytes()).await.unwrap_err();
        assert!(error.may_have_arrived());
        assert!(matches!(error, RequestError::Lost { .. }), "{error:?}");
    }
}

async fn nonsense_is_no_answer(place: Place) {
    let error = answered_with(&place, client(), b"this is not HTTP at all\r\n\r\n").await.unwrap_err();
    assert!(error.may_have_arrived());
    assert!(matches!(error, RequestError::Lost { .. }), "{error:?}");
}
