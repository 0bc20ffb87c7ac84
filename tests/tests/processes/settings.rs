//! The configuration file, the environment, and signals.

use super::NODE;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tests::client::Client;
use tests::ports;
use tests::process::{Finished, NodeProcess, run};

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
