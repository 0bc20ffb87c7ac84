//! Distri: documents, encryption, the byte protocol, and what makes no sense.

use crate::site::{Peers, Site, assert_problem, json_of};
use client::distri::{
    Client as Bytes, ClientOptions, Handler, Peer, Request as Frame, SendError, Transport, prove,
};
use serde_json::json;
use server::Profile;
use std::io::{Read, Write};
use std::net::TcpStream;
use tests::client::Client;
use tests::wire::{Answer, Request};
use tests::{ports, wait};

const ABSENT: &str = "00000000-0000-4000-8000-000000000001";
const SECRET: [u8; 32] = [7; 32];

fn call(client: &mut Client, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    client.post(&format!("/distri/{path}"), body)
}

fn ok(client: &mut Client, path: &str, body: impl Into<Vec<u8>>) -> Vec<u8> {
    let answer = call(client, path, body);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.body
}

#[test]
fn documents_are_added_read_updated_and_deleted() {
    let site = Site::start(Profile::Distri);
    let mut client = site.client();
    ok(&mut client, "CreateCollection", "books");
    let id =
        String::from_utf8(ok(&mut client, "AddDocument/books", r#"{"title":"Dune","year":1965}"#)).unwrap();
    let later =
        String::from_utf8(ok(&mut client, "AddDocument/books", r#"{"title":"Ubik","year":1969}"#)).unwrap();
    for mut client in site.clients() {
        let read = call(&mut client, "ReadDocument/books", id.clone());
        assert_eq!(json_of(&read), json!({ "_id": id, "title": "Dune", "year": 1965 }));
    }
    ok(&mut client, "UpdateDocument/books", json!({ "_id": id, "title": "Dune", "year": 1966 }).to_string());
    let read = call(&mut client, "ReadDocument/books", r#"{"year":{"$lt":1969}}"#);
    assert_eq!(json_of(&read), json!([{ "_id": id, "title": "Dune", "year": 1966 }]));
    let mut seen = Vec::new();
    let mut page = json!({ "limit": 1 });
    loop {
        let answer = json_of(&call(&mut client, "ReadCollection/books", page.to_string()));
        seen.extend(answer["documents"].as_array().unwrap().iter().map(|one| one["_id"].clone()));
        if answer["next"].is_null() {
            break;
        }
        page = json!({ "limit": 1, "after": answer["next"] });
    }
    let mut expected = [json!(id), json!(later)];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(seen, expected);
    let gone = ok(&mut client, "DeleteDocument/books", r#"{"year":1966,"title":"Dune"}"#);
    assert_eq!(gone, br#"{"deleted":1}"#);
    let gone = ok(&mut client, "DeleteDocument/books", r#"{"year":{"$gte":1969}}"#);
    assert_eq!(gone, br#"{"deleted":1}"#);
    assert_problem("deleted", &call(&mut client, "ReadDocument/books", id), 404, "unknown-document");
    ok(&mut client, "DeleteCollection", "books");
    assert_problem("dropped", &call(&mut client, "ReadCollection/books", ""), 404, "unknown-collection");
}

#[test]
fn a_repeated_key_adds_one_document() {
    let site = Site::start(Profile::Distri);
    let mut client = site.client();
    let request =
        || Request::new("POST", "/distri/AddDocument/users").with("Idempotency-Key", "k").with_body("{}");
    let first = client.send(request());
    assert_eq!((first.status, &first.body), (200, &client.send(request()).body));
    let all = json_of(&call(&mut client, "ReadCollection/users", ""));
    assert_eq!(all["documents"].as_array().unwrap().len(), 1);
    let other = request().with_body("{\"a\":1}");
    assert_problem("another command", &client.send(other), 422, "key-reused");
}

#[test]
fn bad_input_over_http_is_refused() {
    let site = Site::start(Profile::Distri);
    let mut client = site.client();
    let wrong_id = json!({ "_id": "x" }).to_string();
    let absent = json!({ "_id": ABSENT }).to_string();
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("Nonsense", vec![], 404, "unknown-service"),
        ("Nonsense/users", vec![], 404, "unknown-service"),
        ("UpdateInfo", vec![], 403, "nodes-only"),
        ("Decrypt", vec![1; 100], 400, "invalid-data"),
        ("Decrypt", vec![], 400, "invalid-data"),
        ("CreateCollection", vec![0xff], 400, "invalid-name"),
        ("CreateCollection", vec![b'a'; 65], 400, "invalid-name"),
        ("CreateCollection", b"users".into(), 409, "known"),
        ("DeleteCollection", b"users".into(), 409, "fixed-collection"),
        ("DeleteCollection", b"nobody".into(), 404, "unknown-collection"),
        ("AddDocument/nobody", b"{}".into(), 404, "unknown-collection"),
        ("AddDocument/users", b"".into(), 400, "invalid-value"),
        ("AddDocument/users", b"[1]".into(), 400, "invalid-value"),
        ("AddDocument/users", b"{\"a\":\"\xff\"}".into(), 400, "invalid-value"),
        ("AddDocument/users", absent.clone().into(), 400, "invalid-value"),
        ("AddDocument/users", format!("{{\"a\":\"{}\"}}", "x".repeat(40_000)).into(), 400, "invalid-value"),
        ("AddDocument/users", vec![b' '; 100_000], 413, "body-too-large"),
        ("AddDocument/users", "[".repeat(60_000).into(), 400, "invalid-value"),
        ("UpdateDocument/users", b"{}".into(), 400, "invalid-value"),
        ("UpdateDocument/users", absent.clone().into(), 404, "unknown-document"),
        ("ReadDocument/users", ABSENT.into(), 404, "unknown-document"),
        ("ReadDocument/users", wrong_id.clone().into(), 400, "invalid-value"),
        ("DeleteDocument/users", wrong_id.into(), 400, "invalid-value"),
        ("DeleteDocument/users", br#"{"a":{"$near":1}}"#.into(), 400, "invalid-value"),
        ("ReadCollection/users", br#"{"limit":0}"#.into(), 400, "invalid-value"),
        ("ReadCollection/users", br#"{"after":"x"}"#.into(), 400, "invalid-value"),
        ("Heartbeat", br#"{"peer":""}"#.into(), 400, "invalid-value"),
    ];
    for (path, body, status, code) in cases {
        let answer = site.client().post(&format!("/distri/{path}"), body);
        assert_problem(path, &answer, status, code);
    }
    assert_eq!(ok(&mut client, "Encrypt", vec![1; 2 << 20]).len(), (2 << 20) + 28);
}

fn peers() -> (Peers, Vec<String>) {
    let addresses: Vec<String> = (0..3).map(|_| ports::free_address()).collect();
    let allowed: String = prove::public(&SECRET).iter().map(|byte| format!("{byte:02x}")).collect();
    let site = Peers::start(3, |options| {
        options.profile = Profile::Distri;
        let place = usize::try_from(options.id).unwrap() - 1;
        let settings = json!({ "listen": addresses[place], "nodes": [allowed] });
        options.settings.insert("distri".into(), settings);
    });
    (site, addresses)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn the_byte_protocol_serves_what_http_serves() {
    let (_site, addresses) = peers();
    let client = Bytes::new(ClientOptions::new(addresses.clone()));
    let node = Bytes::new(ClientOptions { secret: Some(SECRET), ..ClientOptions::new(addresses.clone()) });
    let stranger = ClientOptions { secret: Some([8; 32]), ..ClientOptions::new(addresses.clone()) };
    let stranger = ClientOptions { deadline: std::time::Duration::from_millis(100), ..stranger };
    let stranger = Bytes::new(stranger);
    runtime().block_on(async {
        for size in [0, 1, 100_000, 8 << 20] {
            let image: Vec<u8> = (0..size).map(|n: usize| n as u8).collect();
            let sealed = client.send_data(image.clone(), "Encrypt").await.unwrap();
            assert_eq!(sealed.len(), size + 28);
            if sealed.len() <= 8 << 20 {
                assert_eq!(client.send_data(sealed, "Decrypt").await.unwrap(), image, "by any node");
            }
        }
        let id = client.send_data(br#"{"a":1}"#.into(), "AddDocument<users>").await.unwrap();
        let read = client.send_data(id, "ReadDocument<users>").await.unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&read).unwrap()["a"], 1);
        for (_, stats) in client.collect_stats().await {
            let stats = stats.unwrap();
            assert!(stats.contains("Server Fails: 0\n"), "{stats}");
            let data = "DB Data: catalog: 0 entries, permissions: 0 entries, users: 1 entries\n";
            assert!(stats.starts_with("Requests Recieved: ") && stats.ends_with(data), "{stats}");
        }
        node.send_data(vec![], "UpdateInfo").await.unwrap();
        let refused = client.send_data(vec![], "UpdateInfo").await;
        assert!(matches!(refused, Err(SendError::Refused { status: 403, .. })), "{refused:?}");
        stranger.send_data(vec![], "UpdateInfo").await.unwrap_err();
    });
}

#[test]
fn nodes_find_each_other_and_trust_the_keys_that_nodes_told() {
    let addresses: Vec<String> = (0..3).map(|_| ports::free_address()).collect();
    let _site = Peers::start(3, |options| {
        options.profile = Profile::Distri;
        let place = usize::try_from(options.id).unwrap() - 1;
        options.settings.insert("distri".into(), json!({ "listen": addresses[place] }));
    });
    let client = Bytes::new(ClientOptions::new(vec![addresses[0].clone()]));
    let stranger = ClientOptions { secret: Some(SECRET), ..ClientOptions::new(addresses.clone()) };
    let stranger = Bytes::new(ClientOptions { deadline: std::time::Duration::from_millis(300), ..stranger });
    wait::until("all nodes are known", || {
        runtime().block_on(async { client.learn_nodes().await.is_ok_and(|nodes| nodes.len() == 3) })
    });
    let mut known = client.addresses();
    known.sort();
    let mut expected = addresses.clone();
    expected.sort();
    assert_eq!(known, expected, "one address was enough");
    let refused = runtime().block_on(stranger.send_data(vec![], "UpdateInfo"));
    assert!(refused.unwrap_err().to_string().contains("not-a-node"));
}

#[test]
fn http_and_bytes_are_the_same_services() {
    let site = Site::start(Profile::Distri);
    let options = ClientOptions::new(site.addresses().to_vec());
    let client = Bytes::new(ClientOptions { transport: Transport::Http, ..options });
    runtime().block_on(async {
        let sealed = client.send_data(vec![7; 300_000], "Encrypt").await.unwrap();
        assert_eq!(client.send_data(sealed, "Decrypt").await.unwrap(), vec![7; 300_000]);
        let id = client.send_data(br#"{"a":1}"#.into(), "AddDocument<users>").await.unwrap();
        client.send_data(id, "ReadDocument<users>").await.unwrap();
        let refused = client.send_data(vec![], "No such/service").await;
        assert!(matches!(refused, Err(SendError::Refused { status: 404, .. })), "{refused:?}");
        assert_eq!(client.collect_stats().await.len(), site.addresses().len());
    });
    let answer = site.client().post("/distri/Stats?params=0", "");
    assert_problem("half a byte", &answer, 400, "invalid-query");
    let answer = site.client().post("/distri/Stats?other=00", "");
    assert_problem("another parameter", &answer, 400, "invalid-query");
}

#[test]
fn the_byte_protocol_wants_the_token_where_everybody_is_asked() {
    let address = ports::free_address();
    let _site = Peers::start(1, |options| {
        options.profile = Profile::Distri;
        options.auth = apps::Auth::Strict;
        options.settings.insert("distri".into(), json!({ "listen": address }));
    });
    let options = |token: Option<&str>| ClientOptions {
        token: token.map(str::to_owned),
        deadline: std::time::Duration::from_secs(2),
        ..ClientOptions::new(vec![address.clone()])
    };
    runtime().block_on(async {
        Bytes::new(options(Some(client::DEV_TOKEN))).send_data(vec![1], "Encrypt").await.unwrap();
        let refused = Bytes::new(options(None)).send_data(vec![1], "Encrypt").await;
        assert!(matches!(refused, Err(SendError::Refused { status: 401, .. })), "{refused:?}");
        let refused = Bytes::new(options(Some("wrong-token"))).send_data(vec![1], "Encrypt").await;
        assert!(refused.unwrap_err().to_string().contains("unauthorized"));
    });
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "not a key").unwrap();
    for (settings, part) in [
        (json!({ "listen": 3000 }), "string"),
        (json!({ "listen": "127.0.0.1" }), "host:port"),
        (json!({ "listen": "0.0.0.0:0" }), "development token"),
        (json!({ "address": "x" }), "host:port"),
        (json!({ "nodes": ["00"] }), "64 hexadecimal digits"),
        (json!({ "key_file": file }), "64 hexadecimal digits"),
        (json!({ "key_file": "/no/such/file" }), "/no/such/file"),
        (json!({ "other": 1 }), "other"),
    ] {
        let peers = std::collections::BTreeMap::from([(1, "127.0.0.1:0".to_owned())]);
        let data = folder.path().to_path_buf();
        let mut options = server::NodeOptions::new(1, server::Role::All, "127.0.0.1:0", peers, data);
        options.settings.insert("distri".into(), settings.clone());
        let error = runtime().block_on(server::start(options)).err().expect("a refusal").to_string();
        assert!(error.contains("distri") && error.contains(part), "{settings}: {error}");
    }
}

#[test]
fn peers_find_each_other_and_talk_directly() {
    let (_site, addresses) = peers();
    let cloud = Bytes::new(ClientOptions::new(addresses));
    let echo: Handler = std::sync::Arc::new(|request: Frame| {
        Box::pin(async move {
            if request.service == "Echo" { Ok(request.data) } else { Err("there is only Echo".into()) }
        })
    });
    runtime().block_on(async {
        let ada = Peer::join(cloud.clone(), "ada", "127.0.0.1:0", echo.clone()).await.unwrap();
        let bob = Peer::join(cloud.clone(), "bob", "127.0.0.1:0", echo.clone()).await.unwrap();
        let names: Vec<String> = ada.peers().await.unwrap().into_iter().map(|info| info.peer).collect();
        assert_eq!(names, ["ada", "bob"]);
        assert_eq!(ada.send("bob", b"hello".into(), "Echo").await.unwrap(), b"hello");
        let refused = ada.send("bob", vec![], "Other").await;
        assert!(matches!(refused, Err(SendError::Refused { status: 400, .. })), "{refused:?}");
        // Bob moves: his old address answers no more, and the registry knows the new one.
        drop(bob);
        let bob = Peer::join(cloud.clone(), "bob", "127.0.0.1:0", echo).await.unwrap();
        assert_eq!(ada.send("bob", b"again".into(), "Echo").await.unwrap(), b"again");
        bob.leave().await.unwrap();
        assert!(matches!(ada.send("carl", vec![], "Echo").await, Err(SendError::Unreached(_))));
        assert_eq!(ada.peers().await.unwrap().len(), 1);
    });
}

#[test]
fn broken_frames_cost_no_more_than_their_connection() {
    let (_site, addresses) = peers();
    wait::until("the byte protocol listens", || TcpStream::connect(&addresses[0]).is_ok());
    let open = || TcpStream::connect(&addresses[0]).unwrap();
    let end = |mut stream: TcpStream| {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest
    };
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4], &[0xff; 64]] {
        let mut stream = open();
        stream.write_all(bytes).unwrap();
        assert!(end(stream).is_empty(), "too long a frame closes the connection");
    }
    // Cut off within the length and within the frame.
    for bytes in [&b"\0"[..], b"\0\0\0\x10abc"] {
        let mut stream = open();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(end(stream).is_empty());
    }
    // A frame of nonsense is answered, and the connection goes on.
    let mut stream = open();
    for payload in [&b""[..], b"\xff\xff", b"\0\x02\xff\xff\0\0\0\0\0\0", b"\0\x01a\0\0\xff\xff\xff\xff"] {
        stream.write_all(&u32::try_from(payload.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(payload).unwrap();
        let mut head = [0; 6];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[4..], 400_u16.to_be_bytes());
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        stream.read_exact(&mut vec![0; length - 2]).unwrap();
    }
}
