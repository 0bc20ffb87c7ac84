//! Who needs the token, and where the public one is refused.

use super::site::{Site, assert_problem, body};
use server::{Cluster, EmbeddedOptions, NodeOptions, OptionsError, Profile, Role, StartError};
use std::collections::BTreeMap;
use tests::client::Client;
use tests::wire::Request;

fn requests() -> Vec<Request> {
    let gets = [
        "/health",
        "/stats",
        "/replicas",
        "/discovery",
        "/prometheus",
        "/metrics",
        "/metrics/m",
        "/metrics/m/aggregate",
        "/query?name=m",
        "/rollups?name=m",
        "/series",
        "/none",
    ];
    let mut requests: Vec<Request> = gets.iter().map(|path| Request::new("GET", path)).collect();
    requests.push(Request::post("/metrics", body("m", 1.0)));
    requests.push(Request::post("/metrics", r#"{"metrics":[{"name":"m","value":1}]}"#));
    requests.push(Request::post("/metrics", "not even JSON"));
    requests.push(Request::new("DELETE", "/metrics"));
    requests
}

#[test]
fn raftmetrics_wants_the_token_on_every_request() {
    let site = Site::start(Profile::RaftMetrics);
    for address in site.addresses() {
        let mut client = Client::new(address);
        for request in requests() {
            let answer = client.send(request.clone());
            assert_problem(&format!("{request:?}"), &answer, 401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{request:?}");
        }
        for open in ["/livez", "/readyz"] {
            assert_eq!(client.get(open).status, 200, "{open} is for orchestrators, who have no token");
        }
    }
    let stored = site.client().get("/metrics/m");
    assert_problem("nothing got through", &stored, 404, "unknown-metric");
}

#[test]
fn only_the_whole_token_opens() {
    let site = Site::start(Profile::RaftMetrics);
    let mut client = Client::new(&site.addresses()[0]);
    let token = client::DEV_TOKEN;
    let wrong = [
        String::new(),
        token.to_owned(),
        "Bearer".into(),
        "Bearer ".into(),
        "Bearer wrong-token".into(),
        format!("Basic {token}"),
        format!("Bearer {}", &token[..token.len() - 1]),
        format!("Bearer {token}4"),
        format!("Bearer {}", token.to_uppercase()),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearerx{token}"),
        "Bearer \u{e9}".into(),
    ];
    for value in wrong {
        let answer = client.send(Request::new("GET", "/health").with("Authorization", &value));
        assert_problem(&value, &answer, 401, "unauthorized");
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let value = format!("{scheme} {token}");
        let answer = client.send(Request::new("GET", "/health").with("Authorization", value));
        assert_eq!(answer.status, 200, "{scheme}: the name of the scheme has no case");
    }
}

#[test]
fn unified_is_open_on_loopback() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    assert_eq!(client.get("/health").status, 200);
    let wrong = Request::post("/metrics", body("m", 1.0)).with("Authorization", "my_client_id");
    assert_eq!(client.send(wrong).status, 200, "elsewhere this header names a client");
}

#[test]
fn off_loopback_the_token_is_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let token = "a-token-of-my-own";
    let options = EmbeddedOptions {
        data: data.path().into(),
        listen: "0.0.0.0:0".into(),
        token: token.into(),
        workers: 1,
        partitions: 1,
        threads: Some(2),
        ..EmbeddedOptions::default()
    };
    let site = Site::of(Cluster::start(options).unwrap(), Some(token.into()));
    assert_eq!(site.client().get("/health").status, 200);
    for (what, client) in [
        ("no token", Client::new(&site.addresses()[0])),
        ("the public token", Client::new(&site.addresses()[0]).with_token(client::DEV_TOKEN)),
    ] {
        let mut client = client;
        assert_problem(what, &client.get("/health"), 401, "unauthorized");
    }
}

#[test]
fn the_public_token_is_refused_off_loopback() {
    let peers = BTreeMap::from([(1, "127.0.0.1:0".to_owned())]);
    let data = tempfile::tempdir().unwrap();
    let options = NodeOptions::new(1, Role::All, "0.0.0.0:0", peers, data.path().into());
    let Err(error) = options.check() else { panic!("accepted") };
    assert!(matches!(error, OptionsError::DevToken { .. }), "{error}");
    for word in ["0.0.0.0:0", "--token", "SEEDSTORM_TOKEN", "--allow-dev-token"] {
        assert!(error.to_string().contains(word), "{word} is missing in: {error}");
    }
    let allowed = NodeOptions { allow_dev_token: true, ..options };
    assert_eq!(allowed.check(), Ok(()));

    let listen = "0.0.0.0:0".into();
    let options = EmbeddedOptions { data: data.path().into(), listen, ..EmbeddedOptions::default() };
    let started = Cluster::start(options);
    assert!(matches!(started, Err(StartError::Options(OptionsError::DevToken { .. }))));
}
