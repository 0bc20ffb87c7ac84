//! Distributed Analytics: its documented bytes in all three forms, and what it refuses.

use super::site::{Site, assert_problem, json_of};
use client::analytics::{Analytics, AnalyticsQuery, Bincode, Insert, Inserted};
use prost::Message;
use server::Profile;
use tests::client::Client;
use tests::wait;
use tests::wire::{Answer, Request};

/// The average of 1, 0.1 and 0.3, as these are floats: with endless digits 0.46666666666666667036…
const ODD: f64 = 0.4666666666666667;
const BINCODE: &str = "application/octet-stream";
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn insert(client: &mut Client, key: &str, value: f64) {
    let body = Insert { partition_key: key.into(), value }.to_bincode();
    let answer = client.send(Request::new("POST", "/insert").with_body(body));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn posted(client: &mut Client, form: &str, body: impl Into<Vec<u8>>) -> Answer {
    client.send(Request::new("POST", "/insert").with("Content-Type", form).with_body(body))
}

fn asked(client: &mut Client, query: &AnalyticsQuery) -> Analytics {
    let answer = client.send(Request::new("GET", "/analytics").with_body(query.to_bincode()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    Analytics::from_bincode(&answer.body).unwrap()
}

fn prefix(text: &str) -> AnalyticsQuery {
    AnalyticsQuery { key_prefix: Some(text.into()), from_ms: None, to_ms: None }
}

#[test]
fn the_documented_requests_are_answered_byte_for_byte() {
    let site = Site::start(Profile::Analytics);
    let mut client = site.client();
    let nodes = (site.addresses().len() - 1) as u8;

    let done = b"\x01\x1a\0\0\0\0\0\0\0Data inserted successfully";
    for form in [BINCODE, "application/x-www-form-urlencoded", ""] {
        let answer = posted(&mut client, form, *b"\x08\0\0\0\0\0\0\0sensor-1\0\0\0\0\0\x80\x35\x40");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(BINCODE)), "{}", answer.text());
        assert_eq!(answer.body, done);
    }
    let answer = posted(&mut client, PROTOBUF, *b"\x0a\x08sensor-1\x11\0\0\0\0\0\x80\x35\x40");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(PROTOBUF)));
    assert_eq!(answer.body, b"\x08\x01\x12\x1aData inserted successfully");
    let answer = posted(&mut client, JSON, r#"{"partition_key":"sensor-1","value":21.5}"#);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(JSON)));
    assert_eq!(answer.text(), r#"{"success":true,"message":"Data inserted successfully"}"#);

    wait::until("all workers are heard of", || {
        asked(&mut client, &AnalyticsQuery::default()).responding_nodes == u32::from(nodes)
    });
    let answer = client.get("/analytics");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(BINCODE)));
    assert_eq!(answer.body, [&b"\0\0\0\0\0\x80\x35\x40\0"[..], &[nodes, 0, 0, 0, nodes, 0, 0, 0]].concat());
    let answer = client.send(Request::new("GET", "/analytics").with("Accept", JSON));
    let text =
        format!(r#"{{"average":21.5,"is_partial":false,"total_nodes":{nodes},"responding_nodes":{nodes}}}"#);
    assert_eq!((answer.header("content-type"), answer.text()), (Some(JSON), text));
    let answer = client.send(Request::new("GET", "/analytics").with("Accept", PROTOBUF));
    let body = [&b"\x09\0\0\0\0\0\x80\x35\x40\x18"[..], &[nodes, 0x20, nodes]].concat();
    assert_eq!((answer.header("content-type"), &answer.body), (Some(PROTOBUF), &body));
}

#[test]
fn averages_are_exact_and_by_prefix_and_time() {
    let site = Site::start(Profile::Unified);
    let mut clients = site.clients();
    assert_eq!(asked(&mut clients[0], &AnalyticsQuery::default()).average, 0.0, "of nothing");
    let values = [1e16, 1.0, -1e16, 0.1, 0.2, 0.3];
    for (place, value) in values.into_iter().enumerate() {
        let key = format!("{}-{place}", if place % 2 == 0 { "even" } else { "odd" });
        let one = place % clients.len();
        insert(&mut clients[one], &key, value);
    }
    for client in &mut clients {
        let all = asked(client, &AnalyticsQuery::default());
        assert_eq!((all.average, all.is_partial), (0.26666666666666666, false));
        assert_eq!(asked(client, &prefix("odd-")).average, ODD);
        assert_eq!(asked(client, &prefix("nothing")).average, 0.0);
        let never = AnalyticsQuery { key_prefix: None, from_ms: None, to_ms: Some(5) };
        assert_eq!(asked(client, &never).average, 0.0);
        let ever = AnalyticsQuery { key_prefix: Some("odd-".into()), from_ms: Some(5), to_ms: None };
        assert_eq!(asked(client, &ever).average, ODD);
    }
    // `{"key_prefix":"odd-"}` and the same as bincode, in base64url.
    let client = &mut clients[0];
    let json = Request::new("GET", "/analytics?q=eyJrZXlfcHJlZml4Ijoib2RkLSJ9").with("Content-Type", JSON);
    assert_eq!(json_of(&client.send(json))["average"], ODD);
    let answer = client.get("/analytics?q=AQQAAAAAAAAAb2RkLQAA");
    assert_eq!(Analytics::from_bincode(&answer.body).unwrap().average, ODD);
}

#[test]
fn one_key_one_effect() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    insert(&mut client, "k", 10.0);
    let body = Insert { partition_key: "k".into(), value: 40.0 }.to_bincode();
    for _ in 0..3 {
        let request = Request::new("POST", "/insert").with("Idempotency-Key", "once").with_body(body.clone());
        assert_eq!(client.send(request).status, 200);
    }
    assert_eq!(asked(&mut client, &prefix("k")).average, 25.0);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let whole = Insert { partition_key: "k".into(), value: 1.0 };
    let bytes = whole.to_bincode();
    for end in 0..bytes.len() {
        assert_problem("a piece", &posted(&mut client, BINCODE, &bytes[..end]), 400, "invalid-bincode");
    }
    let endless = [0xff; 30];
    assert_problem("too long", &posted(&mut client, BINCODE, endless), 400, "invalid-bincode");
    assert_problem("protobuf", &posted(&mut client, PROTOBUF, endless), 400, "invalid-protobuf");
    assert_problem("json", &posted(&mut client, JSON, "{"), 400, "invalid-json");
    let wrong = r#"{"partition_key":1,"value":"x"}"#;
    assert_problem("types", &posted(&mut client, JSON, wrong), 400, "invalid-value");
    assert_problem("type", &posted(&mut client, "text/html", "x"), 415, "content-type");
    let huge = vec![b'x'; 1 << 20];
    assert_problem("huge", &posted(&mut client, BINCODE, huge), 413, "body-too-large");
    let nan = Insert { value: f64::NAN, ..whole.clone() };
    assert_problem("no number", &posted(&mut client, BINCODE, nan.to_bincode()), 400, "invalid-value");
    for key in [String::new(), "x".repeat(257)] {
        let body = Insert { partition_key: key, value: 1.0 }.to_bincode();
        let answer = posted(&mut client, BINCODE, body);
        let detail = assert_problem("key", &answer, 400, "invalid-key-length");
        assert_eq!(json_of(&answer)["message"], *detail, "the system's own field");
    }
    let request = Request::new("POST", "/insert").with("Accept", BINCODE).with_body(nan.to_bincode());
    let answer = client.send(request);
    assert_eq!((answer.status, answer.header("content-type")), (400, Some(BINCODE)));
    assert!(!Inserted::from_bincode(&answer.body).unwrap().success);
    let request = Request::new("POST", "/insert").with("Accept", PROTOBUF).with_body(nan.to_bincode());
    assert!(!Inserted::decode(&client.send(request).body[..]).unwrap().success);

    for target in ["/analytics?q=!", "/analytics?q=AQ&q=AQ", "/analytics?prefix=a"] {
        assert_problem(target, &client.get(target), 400, "invalid-query");
    }
    assert_problem("half", &client.get("/analytics?q=AQ"), 400, "invalid-bincode");
    let backwards = AnalyticsQuery { key_prefix: None, from_ms: Some(2), to_ms: Some(1) };
    let request = Request::new("GET", "/analytics").with_body(backwards.to_bincode());
    assert_problem("backwards", &client.send(request), 400, "invalid-range");
    let request = Request::new("GET", "/analytics").with("Accept", "text/html");
    assert_problem("html", &client.send(request), 406, "not-acceptable");
    assert_problem("sql", &client.post("/sql", "SELECT 1"), 501, "no-duckdb");
    assert_eq!(asked(&mut client, &AnalyticsQuery::default()).average, 0.0, "nothing of it is stored");
}
