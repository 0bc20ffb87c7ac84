//! The README's way: a cluster started by hand, a worker that stops and comes back.

use super::NODE;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::process::{Fleet, NodeProcess};
use tests::wait;

const METRICS: [&str; 6] = ["cpu_usage", "memory", "disk", "network", "swap", "load"];

fn write_everywhere(fleet: &Fleet, value: f64) {
    let mut client = fleet.client();
    for metric in METRICS {
        // Right after a leader has gone, the first answer may be that nobody leads.
        wait::until("a write is acknowledged", || {
            let body = json!({ "metric_name": metric, "value": value }).to_string();
            let request = tests::wire::Request::post("/metrics", body);
            client.send(request.with("Idempotency-Key", format!("{metric}/{value}"))).status == 200
        });
    }
}

fn sums(node: &NodeProcess) -> Vec<f64> {
    let mut client = node.client();
    let mut sum = |metric: &&str| {
        let answer = client.get(&format!("/metrics/{metric}/aggregate"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice::<Value>(&answer.body).unwrap()["sum"].as_f64().unwrap()
    };
    METRICS.iter().map(&mut sum).collect()
}

/// Applied index by group, of all replicas or only of those that lead.
fn applied(node: &NodeProcess, leading: bool) -> BTreeMap<u64, u64> {
    let stats: Value = serde_json::from_slice(&node.client().get("/replicas").body).unwrap();
    let groups = stats["groups"].as_array().unwrap().iter();
    let groups = groups.filter(|group| !leading || group["leads"] == true);
    groups.map(|g| (g["group"].as_u64().unwrap(), g["applied_index"].as_u64().unwrap())).collect()
}

#[test]
fn a_worker_stops_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(NODE, folder.path(), 3);
    fleet.start();
    write_everywhere(&fleet, 1.0);
    assert!(fleet.nodes[2].terminate().success(), "SIGTERM is a request, and exit code 0 its answer");

    write_everywhere(&fleet, 2.0);
    for node in [&fleet.nodes[0], &fleet.nodes[1], &fleet.nodes[3]] {
        assert_eq!(sums(node), [3.0; METRICS.len()], "with two of three workers");
    }
    let leaders: BTreeMap<u64, u64> =
        [0, 1, 3].iter().flat_map(|node| applied(&fleet.nodes[*node], true)).collect();
    assert_eq!(leaders.len(), 5, "placement and four partitions are led: {leaders:?}");

    fleet.nodes[2].start();
    fleet.nodes[2].wait_ready();
    wait::until("the worker has caught up", || {
        let own = applied(&fleet.nodes[2], false);
        leaders.iter().all(|(group, index)| own.get(group).is_some_and(|own| own >= index))
    });
    assert_eq!(sums(&fleet.nodes[2]), [3.0; METRICS.len()]);
    write_everywhere(&fleet, 4.0);
    fleet.nodes.iter().for_each(|node| assert_eq!(sums(node), [7.0; METRICS.len()]));
    for node in &mut fleet.nodes {
        assert!(node.terminate().success(), "{}", node.log());
    }
}
