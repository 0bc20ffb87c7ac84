//! The configuration file, the environment, and signals.

use super::NODE;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tests::client::Client;
use tests::ports;
use tests::process::{Finished, NodeProcess, run};
use tests::wait;
use tests::wire::Request;

fn node_with(config: &str, folder: &Path, api: &str) -> NodeProcess {
    let file = folder.join("node.toml");
    fs::write(&file, config).unwrap();
    let arguments = vec!["run".into(), "--config".into(), file.display().to_string()];
    NodeProcess::new(NODE, arguments, api, folder.join("node.log"))
}

#[test]
fn a_node_starts_from_its_file_and_ends_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let (api, peer) = (ports::free_address(), ports::free_address());
    let config = format!(
        "id = 1\nrole = \"all\"\nlisten = \"{api}\"\npeers = {{ 1 = \"{peer}\" }}\ndata = \"{}\"\n\
         profile = \"raftmetrics\"\ntoken = \"token-from-the-file\"\npartitions = 2\n\
         max_body_bytes = 1000\nrequest_deadline_ms = 3000\n",
        folder.path().join("data").display()
    );
    let mut node = node_with(&config, folder.path(), &api);
    node.start();
    node.wait_ready();
    assert_eq!(node.client().get("/replicas").status, 401, "the profile comes from the file");
    let mut client = Client::new(&api).with_token("token-from-the-file");
    let stats: serde_json::Value = serde_json::from_slice(&client.get("/replicas").body).unwrap();
    assert_eq!(stats["groups"].as_array().unwrap().len(), 3, "placement and two partitions: {stats}");
    assert_eq!(client.post("/metrics", "x".repeat(1001)).status, 413);
    assert_eq!(client.post("/metrics", r#"{"metric_name":"m","value":1}"#).status, 200);
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());

    // The token of a flag goes before the one in the file; the data is still there.
    let file = folder.path().join("node.toml").display().to_string();
    let arguments = ["run", "--config", &file, "--token", "token-from-a-flag"].map(str::to_owned).to_vec();
    let mut node = NodeProcess::new(NODE, arguments, &api, folder.path().join("node.log"));
    node.start();
    node.wait_ready();
    let mut client = Client::new(&api).with_token("token-from-the-file");
    assert_eq!(client.get("/replicas").status, 401);
    let answer = Client::new(&api).with_token("token-from-a-flag").get("/metrics/m");
    assert!(answer.text().starts_with(r#"{"metric_name":"m","values":[1.0],"#), "{}", answer.text());
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
}

#[test]
fn limits_and_tokens_are_read_again_on_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let (api, peer, raftmetrics) = (ports::free_address(), ports::free_address(), ports::free_address());
    let config = |more: &str| {
        format!(
            "id = 1\nrole = \"all\"\nlisten = \"{api}\"\npeers = {{ 1 = \"{peer}\" }}\ndata = \"{}\"\n\
             profile = \"analytics\"\nlisteners = {{ raftmetrics = \"{raftmetrics}\" }}\n{more}",
            folder.path().join("data").display()
        )
    };
    let mut node = node_with(&config("token = \"the-first-token\"\n"), folder.path(), &api);
    node.start();
    node.wait_ready();
    let insert = |size: usize| {
        let body = format!("{{\"partition_key\":\"k\",{}\"value\":1}}", " ".repeat(size));
        let request = Request::new("POST", "/insert").with("Content-Type", "application/json");
        Client::new(&api).send(request.with_body(body)).status
    };
    let metric = |token: &str| Client::new(&raftmetrics).with_token(token).get("/metrics/m/aggregate").status;
    assert_eq!((insert(0), insert(2000)), (200, 200));
    assert_eq!((metric("the-first-token"), metric("the-second-token")), (404, 401));

    let read_again = |text: &str, says: &str| {
        fs::write(folder.path().join("node.toml"), text).unwrap();
        let before = node.log().matches(says).count();
        node.hang_up();
        wait::until("the file is read again", || node.log().matches(says).count() > before);
    };
    let changed =
        "token = \"the-second-token\"\nmax_body_bytes = 1000\n[apps.analytics]\ndeadline_ms = 700\n";
    read_again(&config(changed), "read again");
    assert_eq!((insert(0), insert(2000)), (200, 413));
    assert_eq!((metric("the-first-token"), metric("the-second-token")), (401, 404));
    for wrong in
        ["token = \"short\"\n", "[apps.analytics]\ndeadline_ms = 0\n", "max_body_bytes = \"x\"\n", "]"]
    {
        read_again(&config(wrong), "nothing has changed");
        assert_eq!((insert(0), insert(2000), metric("the-second-token")), (200, 413, 404), "{wrong}");
    }
    // Few requests: the rest waits. Then many again.
    read_again(&config("rate_limit = \"2/h\"\n"), "read again");
    assert_eq!((insert(0), insert(0), insert(0)), (200, 200, 429));
    read_again(&config(""), "read again");
    assert_eq!((insert(0), insert(0), insert(2000)), (200, 200, 200));

    // MetricStream's own limit, of clients that name themselves; other requests are not counted.
    let batch = |client: &str| {
        let request = Request::new("POST", "/metrics").with("Content-Type", "application/json");
        let request = request.with("X-Client-Id", client);
        let body = r#"{"metrics":[{"name":"m","value":1,"type":"gauge"}]}"#;
        Client::new(&api).send(request.with_body(body)).status
    };
    assert_eq!((batch("a"), batch("a"), batch("a")), (200, 200, 200));
    let limited = |limit: &str| config(&format!("[apps.metricstream]\nrate_limit = \"{limit}\"\n"));
    read_again(&limited("2/h"), "read again");
    assert_eq!((batch("a"), batch("a"), batch("a"), batch("b")), (200, 200, 429, 200));
    assert_eq!((insert(0), insert(0), insert(0)), (200, 200, 200));
    // The same limit: what was counted stays. A wrong one: nothing changes.
    read_again(&limited("2/h"), "read again");
    read_again(&limited("2/day"), "nothing has changed");
    assert_eq!((batch("a"), batch("b"), batch("b")), (429, 200, 429));
    read_again(&limited("3/h"), "read again");
    assert_eq!((batch("a"), batch("a"), batch("a"), batch("a")), (200, 200, 200, 429));
    read_again(&limited("off"), "read again");
    assert_eq!((batch("a"), batch("b")), (200, 200));
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
}

#[test]
fn mistakes_in_the_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    for (text, expected) in [
        ("id = 1\nroll = \"all\"\n", &["line 2", "roll", "role", "listen", "peers"][..]),
        ("id = \"one\"\n", &["line 1", "id", "u64"]),
        ("id = 1\npeers = [\n", &["line 2"]),
        ("id = 1\nrole = \"boss\"\n", &["boss", "control, worker, all"]),
        ("id = 1\nrole = \"all\"\n", &["listen", "missing"]),
        (
            "id = 1\nrole = \"all\"\nlisten = \"127.0.0.1:0\"\ndata = \"d\"\npeers = { 1 = \"nowhere\" }\n",
            &["peers", "1=nowhere", "ID=HOST:PORT"],
        ),
    ] {
        fs::write(&file, text).unwrap();
        let arguments = ["run", "--config", &file.display().to_string()];
        let Finished { code, stderr, .. } = run(NODE, &arguments, Duration::from_secs(20));
        assert_eq!(code, Some(2), "{text}: {stderr}");
        for word in expected {
            assert!(stderr.contains(word), "{text}should name {word:?}: {stderr}");
        }
    }
}

#[test]
fn a_whole_cluster_in_one_process_ends_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let first = three_ports_in_a_row();
    let arguments = ["dev", "--workers", "2", "--partitions", "1", "--listen", &first];
    let arguments = arguments.map(str::to_owned).to_vec();
    let mut node = NodeProcess::new(NODE, arguments, &first, folder.path().join("dev.log"));
    node.start();
    node.wait_ready();
    assert_eq!(node.client().post("/metrics", r#"{"metric_name":"m","value":1}"#).status, 200);
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
    let log = fs::read_to_string(folder.path().join("dev.log")).unwrap();
    for word in ["control", "worker-2", &first, "temporary", "curl -H", "Ctrl-C"] {
        assert!(log.contains(word), "{word:?} is missing in the welcome:\n{log}");
    }
    let place = log.lines().find_map(|line| line.strip_prefix("data ")?.trim().split(' ').next());
    let place = place.expect("the welcome names the data folder");
    assert!(!Path::new(place).exists(), "{place} was temporary");
}

fn three_ports_in_a_row() -> String {
    loop {
        let first = ports::free_address();
        let port: u16 = first.rsplit_once(':').unwrap().1.parse().unwrap();
        let free = |port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port + 1) && free(port + 2) {
            return first;
        }
    }
}
