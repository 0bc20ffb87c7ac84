//! What a node does not start with: exit code 2, and a text that helps.

use super::NODE;
use std::time::Duration;
use tests::ports;
use tests::process::{Finished, Fleet, run};

const PATIENCE: Duration = Duration::from_secs(20);

/// A flag, and its value if it is not to be left out.
type Change<'a> = (&'a str, Option<&'a str>);

/// `node run` with these flags in place of, or added to, those of a node that would start.
fn run_with(changes: &[Change]) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let mut flags = vec![
        ("--role", "worker"),
        ("--id", "2"),
        ("--listen", "127.0.0.1:0"),
        ("--data", &data),
        ("--peers", "1=127.0.0.1:9090,2=127.0.0.1:0"),
    ];
    for (name, value) in changes {
        flags.retain(|(flag, _)| flag != name);
        flags.extend(value.map(|value| (*name, value)));
    }
    let mut arguments = vec!["run"];
    arguments.extend(flags.iter().flat_map(|(name, value)| [*name, *value]));
    run(NODE, &arguments, PATIENCE)
}

#[test]
fn wrong_flags_are_explained() {
    let cases: [(&[Change], &[&str]); 18] = [
        (&[("--peers", Some("1:127.0.0.1:9090"))], &["1:127.0.0.1:9090", "ID=HOST:PORT", "2=127.0.0.1:9091"]),
        (&[("--peers", Some("1=127.0.0.1"))], &["1=127.0.0.1", "ID=HOST:PORT"]),
        (&[("--peers", Some("one=127.0.0.1:9090"))], &["one=", "ID=HOST:PORT"]),
        (&[("--peers", Some("1=127.0.0.1:99999"))], &["99999", "ID=HOST:PORT"]),
        (&[("--peers", Some("1=127.0.0.1:9090"))], &["node 2", "its own peers"]),
        (&[("--peers", Some("2=a:1,1=b:1,2=c:1"))], &["node 2 twice", "a:1", "c:1"]),
        (&[("--peers", None)], &["--peers", "missing"]),
        (&[("--id", None)], &["--id", "missing"]),
        (&[("--role", None)], &["--role", "missing"]),
        (&[("--listen", None)], &["--listen", "missing"]),
        (&[("--data", None)], &["--data", "missing"]),
        (&[("--id", Some("0"))], &["id 0", "begin at 1"]),
        (&[("--role", Some("boss"))], &["boss", "control, worker, all"]),
        (&[("--role", Some("control"))], &["Control", "control nodes are [1]"]),
        (&[("--profile", Some("tidal"))], &["tidal", "unified, raftmetrics"]),
        (&[("--engine", Some("oracle"))], &["oracle", "columnar", "duckdb"]),
        // This one was built without it.
        (
            &[("--engine", Some("duckdb"))],
            &["DUCKDB_LIB_DIR=", "cargo run", "--features duckdb", "duckdb-bundled"],
        ),
        (&[("--partitions", Some("0"))], &["partitions", "1..=1024"]),
    ];
    for (changes, expected) in cases {
        let Finished { code, stderr, .. } = run_with(changes);
        assert_eq!(code, Some(2), "{changes:?}: {stderr}");
        for word in expected {
            assert!(stderr.contains(word), "{changes:?} should name {word:?}: {stderr}");
        }
        assert!(stderr.contains("--help"), "{changes:?} should say where to read on: {stderr}");
    }
}

#[test]
fn the_public_token_stays_on_loopback() {
    let Finished { code, stderr, .. } = run_with(&[("--listen", Some("0.0.0.0:0"))]);
    assert_eq!(code, Some(2), "{stderr}");
    for word in ["0.0.0.0:0", "not loopback", "--token", "SEEDSTORM_TOKEN", "--allow-dev-token"] {
        assert!(stderr.contains(word), "{word:?} is missing: {stderr}");
    }
    let Finished { code, stderr, .. } = run_with(&[("--token", Some("short"))]);
    assert!(code == Some(2) && stderr.contains("8 or more"), "{stderr}");
}

#[test]
fn addresses_and_folders_that_cannot_be_used() {
    let taken = std::net::TcpListener::bind(ports::free_address()).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, what) in [("--listen", "cannot listen on"), ("--peer-listen", "cannot listen on")] {
        let Finished { code, stderr, .. } = run_with(&[(flag, Some(&address))]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(what) && stderr.contains(&address), "{flag}: {stderr}");
    }
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), format!("[apps.distri]\nlisten = \"{address}\"\n")).unwrap();
    let config = config.path().display().to_string();
    let Finished { code, stderr, .. } = run_with(&[("--config", Some(&config))]);
    assert_eq!(code, Some(2), "the byte protocol: {stderr}");
    assert!(stderr.contains("cannot listen on") && stderr.contains(&address), "{stderr}");
    let Finished { code, stderr, .. } = run(NODE, &["dev", "--listen", &address], PATIENCE);
    assert!(code == Some(2) && stderr.contains(&address), "{stderr}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let Finished { code, stderr, .. } = run_with(&[("--data", Some(&path))]);
    assert!(code == Some(2) && stderr.contains("data folder") && stderr.contains(&path), "{stderr}");
    let Finished { code, stderr, .. } = run_with(&[("--config", Some("/no/such/file.toml"))]);
    assert!(code == Some(2) && stderr.contains("/no/such/file.toml"), "{stderr}");
}

#[test]
fn a_data_folder_belongs_to_one_node_and_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(NODE, folder.path(), 3);
    fleet.start();
    let data = folder.path().join("2").display().to_string();
    let second = run_with(&[("--data", Some(&data))]);
    assert_eq!(second.code, Some(2), "{second:?}");
    for word in [data.as_str(), "in use by another process"] {
        assert!(second.stderr.contains(word), "{word:?} is missing: {}", second.stderr);
    }
    // The first one did not notice.
    assert!(fleet.nodes[1].client().is_ready());

    fleet.nodes[1].kill();
    let peers = "1=127.0.0.1:9090,2=127.0.0.1:9091,3=127.0.0.1:0";
    let foreign = run_with(&[("--data", Some(&data)), ("--id", Some("3")), ("--peers", Some(peers))]);
    assert_eq!(foreign.code, Some(2), "{foreign:?}");
    assert!(foreign.stderr.contains("node of the data folder is 2, this node's is 3"), "{}", foreign.stderr);
    fleet.start();
}

#[test]
fn message_queues_need_a_build_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    let table = |name: &str, more: &str| {
        format!("[apps.metricstream.{name}]\nurl = \"nats://127.0.0.1:4222\"\nstream = \"s\"\n{more}")
    };
    for text in [table("queue_in", ""), table("queue_out", "subject = \"p\"\n")] {
        std::fs::write(&config, text).unwrap();
        let Finished { code, stderr, .. } = run_with(&[("--config", config.to_str())]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("need NATS") && stderr.contains("--features nats"), "{stderr}");
    }
}
