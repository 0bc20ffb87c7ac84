//! Readable snapshots and `leader.txt` in the data folder.

use super::*;
use serde_json::json;
use std::fs;
use std::path::Path;
use tests::wait;

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn snapshots_appear_hold_everything_and_make_room() {
    let site = peers_with(|options| {
        let settings = json!({ "snapshot_every_seconds": 1, "snapshots_kept": 2 });
        options.settings.insert("raft3d".into(), settings);
    });
    let mut clients = site.clients();
    furnish(&mut clients[0]);
    let newest = |node: u64| -> Option<Value> {
        let folder = site.data().join(node.to_string()).join("snapshots");
        let name = names(&folder).into_iter().rfind(|name| name.ends_with(".json"))?;
        // It may make room for a newer one between being listed and being read.
        serde_json::from_str(&fs::read_to_string(folder.join(name)).ok()?).ok()
    };
    for number in 0..6 {
        assert_eq!(clients[0].post("/api/v1/print_jobs", job(&format!("j{number}"), 1)).status, 201);
        let expected = everything(&mut clients[1]);
        wait::until("every node writes what is new", || {
            (1..=3).all(|node| {
                newest(node).is_some_and(|found| {
                    assert_eq!(found["node"], node);
                    ["printers", "filaments", "print_jobs"].map(|kind| found[kind].clone()) == expected
                })
            })
        });
    }
    let folder = site.data().join("2").join("snapshots");
    wait::until("only the newest are kept", || names(&folder).len() == 2);
    for client in &mut clients {
        // A snapshot is counted once it is written, which is a moment after it can be seen.
        wait::until("all are counted", || {
            let text = client.get("/metrics").text();
            let count = text.lines().find_map(|line| line.strip_prefix("raft3d_snapshots_total ")).unwrap();
            count.parse::<u64>().unwrap() >= 6
        });
    }
    wait::until("every node says who leads", || {
        (1..=3).all(|node| {
            let text = fs::read_to_string(site.data().join(node.to_string()).join("leader.txt"));
            text.is_ok_and(|text| site.api.iter().any(|api| text.lines().next() == Some(api)))
        })
    });
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for settings in [
        json!({ "snapshot_every_seconds": 0 }),
        json!({ "snapshots_kept": 0 }),
        json!({ "snapshots_kept": "all" }),
        json!({ "snapshot": 1 }),
    ] {
        let data = tempfile::tempdir().unwrap();
        let peer = tests::ports::free_address();
        let peers = [(1, peer)].into();
        let mut options =
            server::NodeOptions::new(1, server::Role::All, "127.0.0.1:0", peers, data.path().into());
        options.control = vec![1];
        options.settings.insert("raft3d".into(), settings.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(server::start(options)).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.starts_with("raft3d: ")), "{settings}: {error:?}");
    }
}
