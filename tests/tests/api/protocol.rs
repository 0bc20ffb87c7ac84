//! HTTP that makes no sense.
//!
//! What breaks HTTP itself never reaches our routes: hyper refuses it with a bare 4xx and closes the
//! connection. Everything that is HTTP gets the one shape of all errors.

use super::site::{Guarded, Peers, Site, assert_problem, body, values};
use server::Profile;
use std::time::{Duration, Instant};
use tests::wire::{Connection, Request};

/// What the node says first to `bytes`, if anything. After that it ends the connection, because nothing
/// more is to come.
fn first_answer(address: &str, bytes: &[u8]) -> Option<tests::wire::Answer> {
    let mut connection = Connection::open(address).unwrap();
    // The node may have heard enough before it has heard all.
    let _ = connection.send(bytes);
    // A reset is as good as an end.
    let answer = connection.answer().ok().flatten();
    connection.end_sending();
    connection.rest().expect("the node ends the connection");
    answer
}

#[test]
fn broken_http_is_refused_by_the_server() {
    let site = Site::start(Profile::Unified);
    let guarded = Guarded::record(&mut site.client());
    let huge = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n", "h".repeat(2 << 20));
    let many = format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-One: 1\r\n".repeat(2000));
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "p".repeat(1 << 20));
    let broken: [(&str, &[u8]); 12] = [
        ("no request line", b"GARBAGE\r\n\r\n"),
        ("another version", b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n"),
        ("another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("HTTP/2 without asking", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("a header without a colon", b"GET /health HTTP/1.1\r\nHost x\r\n\r\n"),
        ("a space in a header's name", b"GET /health HTTP/1.1\r\nHo st: x\r\n\r\n"),
        ("a length that is no number", b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n"),
        (
            "two lengths",
            b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
        ),
        ("a negative length", b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        ("a huge header", huge.as_bytes()),
        ("two thousand headers", many.as_bytes()),
        ("a path of a megabyte", long.as_bytes()),
    ];
    for (what, bytes) in broken {
        for address in site.addresses() {
            let answer = first_answer(address, bytes);
            let refused = answer.as_ref().is_none_or(|answer| (400..500).contains(&answer.status));
            assert!(refused, "{what}: {answer:?}");
        }
    }
    guarded.check(site.clients());
}

fn post_with(length: &str, body: &str) -> Vec<u8> {
    format!("POST /metrics HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n{body}").into_bytes()
}

#[test]
fn lengths_that_lie() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let guarded = Guarded::record(&mut client);
    let address = &site.addresses()[0];
    let text = body("liar", 1.0);

    // More announced than sent: the body broke off, and nothing is recorded.
    let mut connection = Connection::open(address).unwrap();
    connection.send(&post_with("Content-Length: 500", &text)).unwrap();
    connection.end_sending();
    let said = String::from_utf8(connection.rest().unwrap()).unwrap();
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    // Less announced than sent: half a body, and the rest is no request.
    let answer = first_answer(address, &post_with("Content-Length: 9", &text)).unwrap();
    assert_problem("half a body", &answer, 400, "invalid-json");
    // Beyond the limit: refused by what is announced, before anything comes.
    let answer = first_answer(address, &post_with("Content-Length: 99999999999", "")).unwrap();
    assert_problem("a hundred gigabytes", &answer, 413, "body-too-large");

    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let chunks = format!("{}0\r\n\r\n", chunk.repeat(3));
    let answer = first_answer(address, &post_with("Transfer-Encoding: chunked", &chunks)).unwrap();
    assert_problem("96 KiB in chunks", &answer, 413, "body-too-large");
    let answer = first_answer(address, &post_with("Transfer-Encoding: chunked", "zz\r\n{}\r\n0\r\n\r\n"));
    if let Some(answer) = answer {
        assert_problem("a chunk without a length", &answer, 400, "body-broken");
    }
    assert_problem("nothing was recorded", &client.get("/metrics/liar"), 404, "unknown-metric");

    let good = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    let answer = first_answer(address, &post_with("Transfer-Encoding: chunked", &good)).unwrap();
    assert_eq!(answer.status, 200, "an honest chunk: {}", answer.text());
    assert_eq!(values(&mut client, "liar"), [1.0]);
    guarded.check(site.clients());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::start(Profile::Unified);
    for address in site.addresses() {
        let name = address.replace(':', "-");
        let mut bytes = Vec::new();
        for number in 0..10 {
            bytes.extend(Request::post("/metrics", body(&name, f64::from(number))).to_bytes());
            bytes.extend(Request::new("GET", &format!("/metrics/{name}")).to_bytes());
        }
        bytes.extend(Request::post("/metrics", "no JSON").to_bytes());
        bytes.extend(Request::new("GET", "/livez").to_bytes());
        let mut connection = Connection::open(address).unwrap();
        connection.send(&bytes).unwrap();
        for number in 1..=10 {
            assert_eq!(connection.answer().unwrap().unwrap().status, 200);
            let read = connection.answer().unwrap().unwrap();
            let found = super::site::json_of(&read)["values"].as_array().unwrap().len();
            assert_eq!(found, number, "each sees what went before it");
        }
        assert_problem("in its turn", &connection.answer().unwrap().unwrap(), 400, "invalid-json");
        assert_eq!(connection.answer().unwrap().unwrap().text(), "ok\n");
    }
}

#[test]
fn who_asks_first_may_go_on() {
    let site = Site::start(Profile::Unified);
    let mut connection = Connection::open(&site.addresses()[0]).unwrap();
    let text = body("polite", 1.0);
    let head = format!("Expect: 100-continue\r\nContent-Length: {}", text.len());
    connection.send(&post_with(&head, "")).unwrap();
    connection.send(text.as_bytes()).unwrap();
    assert_eq!(connection.answer().unwrap().unwrap().status, 200);
    assert_eq!(values(&mut site.client(), "polite"), [1.0]);
    let old = first_answer(&site.addresses()[0], b"GET /livez HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((old.status, old.text().as_str()), (200, "ok\n"), "HTTP/1.0 is enough to be alive");
}

#[test]
fn slow_senders_do_not_hold_a_connection() {
    let header_read_timeout = Duration::from_millis(300);
    let site = Peers::start(1, |options| {
        options.http.header_read_timeout = header_read_timeout;
        options.request_deadline = Duration::from_secs(1);
    });
    let guarded = Guarded::record(&mut site.clients()[0]);
    // A header byte now and then, for ever: closed after the limit, however busy it looks.
    let began = Instant::now();
    let mut connection = Connection::open(&site.api[0]).unwrap();
    connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n").unwrap();
    let mut sender = connection.sender().unwrap();
    let dripping = std::thread::spawn(move || {
        use std::io::Write;
        let mut drip = || sender.write_all(b"X-Slow: 1\r\n");
        // Ends when the node has closed the connection.
        while began.elapsed() < tests::wait::LONG && drip().is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    connection.rest().expect("the node ends the connection");
    assert!(began.elapsed() >= header_read_timeout, "not before the limit");
    dripping.join().unwrap();

    // Headers in time, and then never the body.
    let mut connection = Connection::open(&site.api[0]).unwrap();
    connection.send(&post_with("Content-Length: 40", "{")).unwrap();
    let answer = connection.answer().expect("an answer in time").expect("an answer");
    assert_problem("half a body", &answer, 408, "body-slow");
    connection.rest().expect("the node ends the connection");
    guarded.check(site.clients());
}
