//! Serving with threads: who waits for whom, and how it ends.

use crate::arms::Place;
use crate::http_client::{DEADLINE, client, get_request};
use axum::Router;
use axum::routing::get;
use rt::http::{Threads, serve_with_threads};
use rt::net::{TcpListener, TcpStream};
use rt::time::{sleep, timeout};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

both_arms! {
    requests_are_answered_and_connections_closed,
    one_thread_makes_the_second_wait,
    two_threads_serve_two,
    many_clients_are_served_by_few,
    an_end_waits_for_the_connection_that_is_served,
    an_end_frees_the_address,
    a_dropped_server_takes_nobody_new,
}

const HELLO: &[u8] = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";

fn hello() -> Router {
    Router::new().route("/hello", get(async || "hello"))
}

async fn serving(place: &Place, count: usize) -> (Threads, String) {
    let threads = serve_with_threads(place.listen().await, hello(), count).unwrap();
    let address = threads.local_addr().to_string();
    (threads, address)
}

/// The answer, up to the end of the connection.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the connection ends").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// True if something comes in the time.
async fn hears(stream: &mut TcpStream, wait: Duration) -> bool {
    timeout(wait, stream.read_u8()).await.is_ok()
}

async fn requests_are_answered_and_connections_closed(place: Place) {
    let (_threads, address) = serving(&place, 1).await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(HELLO).await.unwrap();
        let answer = answer(&mut stream).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 200 ok") && answer.ends_with("hello"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

/// A connection that is accepted and says nothing, and another one that asks: how many threads there are
/// decides whether it is answered.
async fn second_is_answered(place: Place, count: usize) -> bool {
    let (_threads, address) = serving(&place, count).await;
    let mut silent = TcpStream::connect(&address).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let mut second = TcpStream::connect(&address).await.unwrap();
    second.write_all(HELLO).await.unwrap();
    let heard = hears(&mut second, Duration::from_millis(300)).await;
    // Whoever waited is served as soon as the first one is done.
    silent.write_all(HELLO).await.unwrap();
    assert!(answer(&mut silent).await.ends_with("hello"));
    assert!(answer(&mut second).await.ends_with("hello"));
    heard
}

async fn one_thread_makes_the_second_wait(place: Place) {
    assert!(!second_is_answered(place, 1).await);
}

async fn two_threads_serve_two(place: Place) {
    assert!(second_is_answered(place, 2).await);
}

async fn many_clients_are_served_by_few(place: Place) {
    let (_threads, address) = serving(&place, 3).await;
    let mut asking = Vec::new();
    for _ in 0..40 {
        let address = address.clone();
        asking.push(
            place.elsewhere(async move { client().send(&address, get_request("/hello"), DEADLINE).await }),
        );
    }
    for asking in asking {
        assert_eq!(&asking.await.expect("everybody is served").body()[..], b"hello");
    }
}

async fn an_end_waits_for_the_connection_that_is_served(place: Place) {
    let (threads, address) = serving(&place, 1).await;
    let mut slow = TcpStream::connect(&address).await.unwrap();
    slow.write_all(&HELLO[..20]).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let ending = rt::task::spawn(threads.shutdown());
    sleep(Duration::from_millis(50)).await;
    assert!(!ending.is_finished());
    slow.write_all(&HELLO[20..]).await.unwrap();
    assert!(answer(&mut slow).await.ends_with("hello"));
    timeout(DEADLINE, ending).await.expect("nothing is left to wait for").unwrap();
}

async fn an_end_frees_the_address(place: Place) {
    let (mut threads, address) = serving(&place, 2).await;
    for _ in 0..10 {
        threads.shutdown().await;
        let listener = TcpListener::bind(&address).await.expect("nobody else listens there");
        threads = serve_with_threads(listener, hello(), 2).unwrap();
    }
    client().send(&address, get_request("/hello"), DEADLINE).await.unwrap();
}

async fn a_dropped_server_takes_nobody_new(place: Place) {
    let (threads, address) = serving(&place, 2).await;
    client().send(&address, get_request("/hello"), DEADLINE).await.unwrap();
    drop(threads);
    for _ in 0..1000 {
        match TcpStream::connect(&address).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            Ok(_) | Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
    panic!("connections to an ended server are still accepted");
}
