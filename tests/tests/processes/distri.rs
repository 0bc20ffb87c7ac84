//! Distri on three nodes of their own processes, while whoever leads is killed by `kill -9` in the middle:
//! every document that was acknowledged is there, none twice, in its newest version, and no image fails.

use super::{NODE, one_at_a_time};
use client::distri::trial::{self, Images, Outcome};
use client::distri::{Client, ClientOptions, Transport};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tests::process::NodeProcess;
use tests::wire::Request;
use tests::{ports, wait};

/// Three equal nodes and their addresses of the byte protocol.
fn nodes(folder: &Path) -> (Vec<NodeProcess>, Vec<String>) {
    let peers: Vec<String> = (1..=3).map(|id| format!("{id}={}", ports::free_address())).collect();
    let bytes: Vec<String> = (1..=3).map(|_| ports::free_address()).collect();
    let node = |(id, bytes): (usize, &String)| {
        let (api, number) = (ports::free_address(), id.to_string());
        let own = folder.join(&number);
        std::fs::create_dir(&own).unwrap();
        let config = own.join("node.toml").display().to_string();
        std::fs::write(&config, format!("[apps.distri]\nlisten = \"{bytes}\"\n")).unwrap();
        let (data, peers) = (own.display().to_string(), peers.join(","));
        let arguments = ["run", "--config", &config, "--role", "all", "--profile", "distri"];
        let rest = ["--id", &number, "--listen", &api, "--data", &data, "--peers", &peers];
        let arguments = arguments.iter().chain(&rest).map(ToString::to_string);
        NodeProcess::new(NODE, arguments.collect(), &api, folder.join(format!("node-{id}.log")))
    };
    let mut nodes: Vec<NodeProcess> = (1..).zip(&bytes).map(node).collect();
    nodes.iter_mut().for_each(NodeProcess::start);
    nodes.iter_mut().for_each(NodeProcess::wait_ready);
    (nodes, bytes)
}

/// Who leads the group that holds the documents; a node that does not run says nothing.
fn leader(nodes: &[NodeProcess]) -> Option<usize> {
    nodes.iter().position(|node| {
        let answer = node.client().try_send(&Request::new("GET", "/replicas"));
        let replicas = answer.ok().and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
        let groups = replicas.map(|replicas| replicas["groups"].clone()).unwrap_or_default();
        groups.as_array().into_iter().flatten().any(|group| group["group"] == 0 && group["leads"] == true)
    })
}

/// A user who adds documents, changes every second one, and deletes every fourth by a range of its own.
/// Gives what must be there.
async fn fill(client: Client, user: u64, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) -> BTreeMap<u64, u64> {
    let mut expected = BTreeMap::new();
    for n in (user * 1_000_000..).take_while(|_| !stop.load(Ordering::Relaxed)) {
        let document = json!({ "n": n, "v": 0 }).to_string();
        let id = client.send_data(document.into(), "AddDocument<users>").await.unwrap();
        expected.insert(n, 0);
        if n % 2 == 1 {
            let id = String::from_utf8(id).unwrap();
            let document = json!({ "_id": id, "n": n, "v": n }).to_string();
            client.send_data(document.into(), "UpdateDocument<users>").await.unwrap();
            expected.insert(n, n);
        }
        if n % 4 == 3 {
            let range = json!({ "n": { "$gt": n - 2, "$lte": n - 1 } }).to_string();
            let gone = client.send_data(range.into(), "DeleteDocument<users>").await.unwrap();
            assert_eq!(gone, br#"{"deleted":1}"#, "{n}");
            expected.remove(&(n - 1));
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    expected
}

/// Numbers and versions of all documents, page by page.
async fn stored(client: &Client) -> Vec<(u64, u64)> {
    let (mut found, mut page) = (Vec::new(), json!({}));
    loop {
        let answer = client.send_data(page.to_string().into(), "ReadCollection<users>").await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let documents = answer["documents"].as_array().unwrap();
        found.extend(documents.iter().map(|one| (one["n"].as_u64().unwrap(), one["v"].as_u64().unwrap())));
        if answer["next"].is_null() {
            found.sort_unstable();
            return found;
        }
        page = json!({ "after": answer["next"] });
    }
}

#[test]
fn the_leader_is_killed_in_the_middle() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let (mut nodes, bytes) = nodes(folder.path());
    let api: Vec<String> = nodes.iter().map(|node| node.api.clone()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let over_bytes = ClientOptions::new(bytes);
    let over_http = ClientOptions { transport: Transport::Http, ..ClientOptions::new(api) };
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let users: Vec<_> = (1..=6)
        .map(|user| {
            let options = if user % 3 == 0 { &over_http } else { &over_bytes };
            runtime.spawn(fill(Client::new(options.clone()), user, stop.clone(), done.clone()))
        })
        .collect();
    let images = {
        let (options, stop) = (over_bytes.clone(), stop.clone());
        let some = Images { tasks: 200, each: 10, clients: 8, bytes: 2_000 };
        runtime.spawn(async move {
            let mut outcomes = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                outcomes.push(trial::encrypt(&options, some).await);
            }
            outcomes
        })
    };
    let progress = || {
        let before = done.load(Ordering::Relaxed);
        wait::until("more is stored", || {
            assert!(users.iter().all(|user| !user.is_finished()), "a user has met a wrong answer");
            done.load(Ordering::Relaxed) >= before + 40
        });
    };
    for _ in 0..4 {
        progress();
        wait::until("somebody leads", || leader(&nodes).is_some());
        let old = leader(&nodes).expect("a leader");
        nodes[old].kill();
        progress();
        nodes[old].start();
        nodes[old].wait_ready();
        progress();
    }
    stop.store(true, Ordering::Relaxed);
    let mut expected = BTreeMap::new();
    for user in users {
        expected.extend(runtime.block_on(user).unwrap());
    }
    let outcomes: Vec<Outcome> = runtime.block_on(images).unwrap();
    assert!(!outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.failed == 0), "{outcomes:?}");
    let expected: Vec<(u64, u64)> = expected.into_iter().collect();
    assert!(expected.len() > 300);
    let found = runtime.block_on(stored(&Client::new(over_bytes)));
    assert!(found == expected, "{} of {} documents", found.len(), expected.len());
    nodes.iter_mut().for_each(|node| assert!(node.terminate().success(), "{}", node.log()));
}
