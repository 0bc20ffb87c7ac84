//! Bodies, queries and paths that make no sense: refused in the one shape of all errors, with no effect.

use super::site::{Guarded, Site, assert_problem, body, record, values};
use server::Profile;
use tests::client::Client;
use tests::wire::{Connection, Request, encode};

/// Body, status and code.
type Case = (&'static str, Vec<u8>, u16, &'static str);

fn syntax_cases() -> Vec<Case> {
    let bad = |what, body: &[u8]| (what, body.to_vec(), 400, "invalid-json");
    vec![
        bad("nothing", b""),
        bad("blank", b"  \n "),
        bad("a brace", b"{"),
        bad("truncated", br#"{"metric_name":"m","value":1"#),
        bad("truncated name", br#"{"metric_name":"m"#),
        bad("no JSON", b"metric_name=m&value=1"),
        bad("single quotes", b"{'metric_name':'m','value':1}"),
        bad("trailing comma", br#"{"metric_name":"m","value":1,}"#),
        bad("trailing text", br#"{"metric_name":"m","value":1} x"#),
        bad("two objects", br#"{"metric_name":"m","value":1}{"metric_name":"m","value":1}"#),
        bad("NaN", br#"{"metric_name":"m","value":NaN}"#),
        bad("Infinity", br#"{"metric_name":"m","value":Infinity}"#),
        bad("-Infinity", br#"{"metric_name":"m","value":-Infinity}"#),
        bad("1e999", br#"{"metric_name":"m","value":1e999}"#),
        bad("-1e999", br#"{"metric_name":"m","value":-1e999}"#),
        bad("hexadecimal", br#"{"metric_name":"m","value":0x10}"#),
        bad("leading zero", br#"{"metric_name":"m","value":01}"#),
        bad("plus", br#"{"metric_name":"m","value":+1}"#),
        bad("bare control character", b"{\"metric_name\":\"a\x01b\",\"value\":1}"),
        bad("half a surrogate pair", br#"{"metric_name":"\ud800","value":1}"#),
        bad("invalid UTF-8", b"{\"metric_name\":\"\xff\xfe\",\"value\":1}"),
        bad("a byte-order mark", b"\xef\xbb\xbf{\"metric_name\":\"m\",\"value\":1}"),
    ]
}

fn value_cases() -> Vec<Case> {
    let bad = |what, body: &str| (what, body.as_bytes().to_vec(), 400, "invalid-value");
    let nested = |count: usize| "[".repeat(count);
    vec![
        bad("null value", r#"{"metric_name":"m","value":null}"#),
        bad("text value", r#"{"metric_name":"m","value":"75.5"}"#),
        bad("true value", r#"{"metric_name":"m","value":true}"#),
        bad("list value", r#"{"metric_name":"m","value":[1]}"#),
        bad("object value", r#"{"metric_name":"m","value":{}}"#),
        bad("no value", r#"{"metric_name":"m"}"#),
        bad("no name", r#"{"value":1}"#),
        bad("null name", r#"{"metric_name":null,"value":1}"#),
        bad("number name", r#"{"metric_name":7,"value":1}"#),
        bad("empty object", "{}"),
        bad("unknown field", r#"{"metric_name":"m","value":1,"tags":{}}"#),
        bad("field twice", r#"{"metric_name":"m","value":1,"value":2}"#),
        bad("name in another case", r#"{"Metric_Name":"m","value":1}"#),
        bad("a number", "1"),
        bad("a text", r#""m""#),
        bad("null", "null"),
        bad("an empty list", "[]"),
        bad("a list of fields", r#"["m",1.0]"#),
        bad("a list of metrics", r#"[{"metric_name":"m","value":1}]"#),
        bad("deep nesting", &nested(60_000)),
        bad("deep nesting of the value", &format!(r#"{{"metric_name":"m","value":{}"#, nested(60_000))),
        bad("deep nesting of the name", &format!(r#"{{"metric_name":{}"#, nested(60_000))),
        bad("deep nesting of a stranger", &format!(r#"{{"x":{}"#, nested(60_000))),
        ("deep nesting beyond the limit", nested(100_000).into_bytes(), 413, "body-too-large"),
    ]
}

fn name_cases() -> Vec<Case> {
    let bad = |what, name: &str| (what, body(name, 1.0).into_bytes(), 400, "invalid-name");
    vec![
        bad("empty name", ""),
        bad("257 bytes", &"n".repeat(257)),
        bad("129 characters of two bytes", &"ä".repeat(129)),
        bad("a zero byte", "a\0b"),
        bad("a line break", "a\nb"),
        bad("an escape", "\u{1b}[31m"),
        bad("delete", "a\u{7f}"),
        bad("a control character beyond ASCII", "a\u{85}"),
    ]
}

#[test]
fn bodies_that_make_no_sense() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let guarded = Guarded::record(&mut client);
    for (what, body, status, code) in [syntax_cases(), value_cases(), name_cases()].concat() {
        for mut client in [site.client(), site.client_of(1)] {
            let answer = client.post("/metrics", body.clone());
            let detail = assert_problem(what, &answer, status, code);
            match code {
                // serde_json names the place.
                "invalid-json" => assert!(detail.contains("line "), "{what}: {detail}"),
                "invalid-name" => assert!(detail.contains("1 to 256 bytes"), "{what}: {detail}"),
                _ => {}
            }
        }
    }
    assert_problem("none of them had an effect", &client.get("/metrics/m"), 404, "unknown-metric");
    let longest = "n".repeat(256);
    record(&mut client, &longest, 1.0);
    assert_eq!(values(&mut client, &longest), [1.0]);
    guarded.check(site.clients());
}

#[test]
fn content_types_that_are_not_understood() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    for kind in ["text/plain", "application/xml", "multipart/form-data; boundary=x", "json", "*/*", "\u{e9}"]
    {
        let request = Request::new("POST", "/metrics").with("Content-Type", kind).with_body(body("m", 1.0));
        let detail = assert_problem(kind, &client.send(request), 415, "content-type");
        assert!(detail.contains("application/json"), "{kind}: says what to send: {detail}");
    }
    assert_problem("no effect", &client.get("/metrics/m"), 404, "unknown-metric");
}

/// Sends while reading, as every client does that wants to hear of a refusal before it has said all.
fn post_while_reading(address: &str, request: Vec<u8>) -> tests::wire::Answer {
    let mut connection = Connection::open(address).unwrap();
    let mut sender = connection.sender().unwrap();
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        // The node may have heard enough.
        drop(sender.write_all(&request));
    });
    let answer = connection.answer().unwrap().expect("an answer");
    drop(connection);
    sending.join().unwrap();
    answer
}

#[test]
fn a_name_of_ten_megabytes() {
    let site = Site::start(Profile::Unified);
    let guarded = Guarded::record(&mut site.client());
    let request = Request::post("/metrics", body(&"n".repeat(10 << 20), 1.0)).to_bytes();
    for address in site.addresses() {
        let answer = post_while_reading(address, request.clone());
        let detail = assert_problem("ten megabytes", &answer, 413, "body-too-large");
        // The limit of a batch: nobody has read enough to tell that it is none.
        assert!(detail.contains("2097152"), "{detail}");
    }
    let large = site.client().post("/metrics", body(&"n".repeat(100 << 10), 1.0));
    assert!(assert_problem("one metric", &large, 413, "body-too-large").contains("65536"));
    guarded.check(site.clients());
}

fn check_paths(client: &mut Client) {
    for path in
        ["/", "/metrics/", "/metrics//", "/metrics/a/b", "/metrics/a/aggregate/c", "/Metrics", "/%6detrics"]
    {
        let detail = assert_problem(path, &client.get(path), 404, "unknown-path");
        assert!(detail.contains(path), "{detail}");
    }
    for path in ["/metrics/%ff", "/metrics/%C3%28/aggregate", "/metrics/%00", "/metrics/a%0Ab"] {
        assert_problem(path, &client.get(path), 400, "invalid-name");
    }
    let long = format!("/metrics/{}", "n".repeat(257));
    assert_problem("257 bytes", &client.get(&long), 400, "invalid-name");
    // What is no escape is taken as it stands.
    for path in ["/metrics/%", "/metrics/%zz", "/metrics/%4"] {
        assert_problem(path, &client.get(path), 404, "unknown-metric");
    }
}

#[test]
fn paths_and_methods_that_are_not_there() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let guarded = Guarded::record(&mut client);
    check_paths(&mut client);
    for (method, path, allowed) in [
        ("DELETE", "/metrics", "GET,HEAD,POST"),
        ("PUT", "/metrics/guarded", "GET,HEAD"),
        ("POST", "/metrics/guarded/aggregate", "GET,HEAD"),
        ("OPTIONS", "/health", "GET,HEAD"),
        ("BREW", "/replicas", "GET,HEAD"),
    ] {
        let answer = client.send(Request::new(method, path));
        let detail = assert_problem(&format!("{method} {path}"), &answer, 405, "method");
        assert!(detail.contains(method) && detail.contains(path), "{detail}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}: RFC 9110 asks for it");
    }
    assert_eq!(encode("%zz"), "%25zz");
    record(&mut client, "%zz", 3.0);
    assert_eq!(values(&mut client, "%zz"), [3.0]);
    guarded.check(site.clients());
}
