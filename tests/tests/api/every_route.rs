//! Bad input to every documented operation, taken from `/openapi.json`: a clear 4xx in the one shape of all
//! errors, no effect, and no node falls over. A new app is tested as soon as it is described.

use crate::site::{Guarded, Site, json_of};
use serde_json::{Value, json};
use server::Profile;
use tests::client::Client;
use tests::random::Random;
use tests::wire::{Answer, Connection, Request};

/// A documented operation.
struct Operation {
    method: String,
    path: String,
    /// Parameters by place and name.
    parameters: Vec<(String, String)>,
    /// Media types of the body.
    media: Vec<String>,
    /// A body that is right, and the types of its fields.
    example: Value,
    fields: Vec<(String, String)>,
}

/// What `value` refers to, if it is a reference.
fn resolved<'a>(whole: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| whole.pointer(pointer)).unwrap_or(value)
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn operation(whole: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|parameter| resolved(whole, parameter));
    let body = resolved(whole, &operation["requestBody"]);
    let media = &body["content"];
    let json = &media["application/json"];
    let properties = &resolved(whole, &json["schema"])["properties"];
    let fields = properties.as_object().into_iter().flatten();
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        parameters: parameters.map(|found| (text_of(&found["in"]), text_of(&found["name"]))).collect(),
        media: media.as_object().into_iter().flatten().map(|(media, _)| media.clone()).collect(),
        example: json["example"].clone(),
        fields: fields.map(|(name, schema)| (name.clone(), text_of(&schema["type"]))).collect(),
    }
}

fn operations(client: &mut Client) -> Vec<Operation> {
    let whole = json_of(&client.get("/openapi.json"));
    let paths = whole["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |found| (path, found)));
    all.map(|(path, (method, found))| operation(&whole, path, method, found)).collect()
}

impl Operation {
    fn request(&self) -> Request {
        Request::new(&self.method, &self.path.replace(['{', '}'], ""))
    }

    fn post(&self, body: impl Into<Vec<u8>>) -> Request {
        self.request().with_body(body).with("Content-Type", "application/json")
    }
}

/// Holds an answer to the shape of all errors.
#[track_caller]
fn assert_clear(what: &str, answer: &Answer) {
    assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    let problem = json_of(answer);
    assert_eq!(problem["status"], answer.status, "{what}: {problem}");
    assert_eq!(problem["type"], format!("/problems/{}", text_of(&problem["code"])), "{what}");
    for field in ["title", "detail", "code"] {
        assert!(!text_of(&problem[field]).is_empty(), "{what}: {field}: {problem}");
    }
}

/// Either it is good enough, or the error is clear.
#[track_caller]
fn assert_no_fault(what: &str, answer: &Answer) {
    // What this build leaves out is said before anybody looks at the request.
    if answer.status == 501 && json_of(answer)["code"] == "no-duckdb" {
        return;
    }
    assert!(answer.status < 500, "{what}: {} {}", answer.status, answer.text());
    if answer.status >= 400 {
        assert_clear(what, answer);
    }
}

/// Bodies that are no JSON, or not of the right kind.
fn broken_bodies(example: &str) -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> =
        ["", " ", "{", "hello", "null", "7", "\"text\"", "[]", "{\"\":}", "\u{0}", "{}x", "[[[[[[[["]
            .map(|body| body.as_bytes().to_vec())
            .to_vec();
    bodies.push(vec![0xff, 0xfe, 0x00]);
    bodies.push("[".repeat(20_000).into_bytes());
    bodies.extend((1..example.len()).step_by(7).map(|end| example.as_bytes()[..end].to_vec()));
    bodies.push(format!("{example}{example}").into_bytes());
    bodies
}

/// The example with one field of a wrong type, one named twice.
fn broken_fields(operation: &Operation) -> Vec<String> {
    let mut bodies = Vec::new();
    let example = operation.example.to_string();
    for (name, kind) in &operation.fields {
        let Some(value) = operation.example.get(name) else { continue };
        bodies.push(example.replacen('{', &format!("{{{}:{value},", json!(name)), 1));
        let wrong: &[Value] = match kind.as_str() {
            "string" => &[json!(7), json!([]), json!({}), json!(null), json!(true)],
            "number" | "integer" => &[json!("7"), json!([]), json!({}), json!(null), json!(true)],
            "array" | "object" => &[json!(7), json!("text"), json!(null), json!(true)],
            _ => &[],
        };
        for wrong in wrong {
            let mut body = operation.example.clone();
            body[name] = wrong.clone();
            bodies.push(body.to_string());
        }
    }
    bodies
}

/// A body of a terabyte is announced; nobody waits for it.
fn assert_too_large(what: &str, operation: &Operation, address: &str) {
    let head = format!(
        "{} {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        operation.method,
        operation.path.replace(['{', '}'], ""),
        client::DEV_TOKEN,
        1u64 << 40
    );
    let mut connection = Connection::open(address).unwrap();
    connection.send(head.as_bytes()).unwrap();
    let answer = connection.answer().unwrap().expect("an answer before the body");
    assert_clear(&format!("{what}: a terabyte"), &answer);
    assert_eq!(answer.status, 413, "{what}: {}", answer.text());
}

fn bad_bodies(client: &mut Client, address: &str, operation: &Operation) -> usize {
    let (what, example) = (format!("{} {}", operation.method, operation.path), operation.example.to_string());
    let mut cases = 0;
    let fields = broken_fields(operation).into_iter().map(String::into_bytes);
    for body in broken_bodies(&example).into_iter().chain(fields) {
        let what = format!("{what} {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
        assert_clear(&what, &client.send(operation.post(body)));
        cases += 1;
    }
    for media in
        ["text/xml", "image/png", "application/json-seq", "nonsense", "application/json; charset=latin1"]
    {
        let request = operation.request().with_body(example.as_str()).with("Content-Type", media);
        assert_no_fault(&format!("{what} {media}"), &client.send(request));
    }
    let request = operation.request().with_body(example.as_str()).with("Content-Type", "image/png");
    let refused = client.send(request);
    assert_clear(&format!("{what}: a picture"), &refused);
    assert_eq!(refused.status, 415, "{what}: a picture: {}", refused.text());
    assert_too_large(&what, operation, address);
    cases + 6
}

#[test]
fn bodies_that_make_no_sense_are_refused_everywhere() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client().with_token(client::DEV_TOKEN);
    let guarded = Guarded::record(&mut site.client());
    let mut tried = 0;
    for operation in operations(&mut client) {
        if operation.example.is_object() {
            tried += bad_bodies(&mut client, &site.addresses()[0], &operation);
        }
    }
    println!("{tried} bodies refused");
    assert!(tried > 200);
    guarded.check(site.clients());
}

#[test]
fn random_bytes_in_every_media_type() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client().with_token(client::DEV_TOKEN);
    let guarded = Guarded::record(&mut site.client());
    let mut random = Random::new(7);
    for operation in operations(&mut client) {
        for media in &operation.media {
            for _ in 0..60 {
                let count = random.below(300);
                let request = operation.request().with_body(random.bytes(count)).with("Content-Type", media);
                let answer = client.send(request.with("Accept", "application/json"));
                assert_no_fault(&format!("{} {} {media}", operation.method, operation.path), &answer);
            }
        }
    }
    guarded.check(site.clients());
}

const VALUES: [&str; 12] = [
    "",
    "x",
    "-1",
    "0",
    "1e9",
    "99999999999999999999999",
    "%00",
    "%ff%fe",
    "%",
    "..%2f..",
    "%F0%9F%92%A9",
    "NaN",
];

#[test]
fn parameters_that_make_no_sense_do_no_harm() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client().with_token(client::DEV_TOKEN);
    let guarded = Guarded::record(&mut site.client());
    let long = "x".repeat(4000);
    let mut tried = 0;
    for operation in operations(&mut client) {
        for (place, name) in &operation.parameters {
            for value in VALUES.into_iter().chain([long.as_str()]) {
                let target = match place.as_str() {
                    "path" => operation.path.replace(&format!("{{{name}}}"), value).replace(['{', '}'], ""),
                    "query" => {
                        let path = operation.path.replace(['{', '}'], "");
                        format!("{path}?{name}={value}&{name}={value}&name=a")
                    }
                    _ => continue,
                };
                let body =
                    if operation.example.is_null() { String::new() } else { operation.example.to_string() };
                let request = Request::new(&operation.method, &target).with_body(body);
                let request = request.with("Content-Type", "application/json");
                assert_no_fault(&format!("{} {target}", operation.method), &client.send(request));
                tried += 1;
            }
        }
        let patched = client.send(Request::new("PATCH", &operation.path.replace(['{', '}'], "")));
        assert_clear(&format!("PATCH {}", operation.path), &patched);
        assert_eq!(patched.status, 405, "{}", patched.text());
    }
    println!("{tried} parameters tried");
    assert!(tried > 100);
    guarded.check(site.clients());
}

#[test]
fn keys_of_writes_that_make_no_sense_are_refused_everywhere() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client().with_token(client::DEV_TOKEN);
    let mut tried = 0;
    for operation in operations(&mut client) {
        let keyed =
            operation.parameters.iter().any(|(place, name)| place == "header" && name == "Idempotency-Key");
        if !keyed {
            continue;
        }
        for key in ["", "schlüssel", &"x".repeat(201)] {
            let what = format!("{} {} {key:?}", operation.method, operation.path);
            assert_clear(
                &what,
                &client.send(operation.post(operation.example.to_string()).with("Idempotency-Key", key)),
            );
            tried += 1;
        }
        let twice = operation.post(operation.example.to_string()).with("Idempotency-Key", "a");
        assert_clear(&format!("{} twice", operation.path), &client.send(twice.with("Idempotency-Key", "b")));
    }
    assert!(tried >= 15, "{tried}");
}
