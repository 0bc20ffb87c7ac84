//! A worker that joins a cluster of processes while writers work, takes its share of the partitions, and gives
//! them back when it is sent away.

use super::writers::{Writers, check};
use super::{NODE, one_at_a_time};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tests::process::{Fleet, NodeProcess, run};
use tests::{ports, wait};

/// The table of members; nothing while nobody can tell.
fn table(fleet: &Fleet) -> Value {
    let answer = fleet.client().with_token(client::DEV_TOKEN).get("/cluster/members");
    if answer.status == 200 { serde_json::from_slice(&answer.body).unwrap() } else { Value::Null }
}

fn member_ids(table: &Value) -> BTreeSet<u64> {
    let members = table["members"].as_array().into_iter().flatten();
    members.filter(|member| member["state"] == "active").filter_map(|member| member["id"].as_u64()).collect()
}

/// Partitions that `node` should vote in.
fn places_of(table: &Value, node: u64) -> BTreeSet<u64> {
    let groups = table["groups"].as_array().into_iter().flatten();
    let votes = |group: &&Value| group["voters"].as_array().is_some_and(|v| v.contains(&node.into()));
    groups.filter(votes).filter_map(|group| group["group"].as_u64()).filter(|group| *group != 0).collect()
}

/// Partitions whose leader counts `node` among those who vote.
fn votes_in(nodes: &[&NodeProcess], node: u64) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for process in nodes {
        let stats: Value =
            serde_json::from_slice(&process.client().get("/replicas").body).unwrap_or_default();
        let groups = stats["groups"].as_array().into_iter().flatten();
        let led = groups.filter(|group| group["leads"] == true && group["group"] != 0);
        let counted = |list: &Value| list.as_array().is_some_and(|list| list.contains(&node.into()));
        let with = led.filter(|group| counted(&group["voters"]) || counted(&group["voters_outgoing"]));
        found.extend(with.filter_map(|group| group["group"].as_u64()));
    }
    found
}

/// A worker that is told nothing but whom to ask.
fn newcomer(members: &Value, folder: &Path) -> NodeProcess {
    let peers = members["members"].as_array().unwrap().iter().map(|m| m["peer"].as_str().unwrap());
    let peers = peers.collect::<Vec<_>>().join(",");
    let (peer, api) = (ports::free_address(), ports::free_address());
    let data = folder.join("newcomer").display().to_string();
    let arguments =
        ["run", "--join", &peers, "--role", "worker", "--data", &data, "--peer", &peer, "--api", &api];
    let arguments = arguments.map(str::to_owned).to_vec();
    NodeProcess::new(NODE, arguments, &api, folder.join("newcomer.log"))
}

#[test]
fn a_worker_joins_while_writers_work_and_leaves_again() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(NODE, folder.path(), 3);
    fleet.start();
    wait::until("the cluster has its table", || member_ids(&table(&fleet)) == [1, 2, 3, 4].into());
    let writers = Writers::start(8, &fleet.nodes[0].api);
    writers.progress(50);

    let mut joined = newcomer(&table(&fleet), folder.path());
    joined.start();
    joined.wait_ready();
    wait::until("the newcomer has its share, and votes there", || {
        let table = table(&fleet);
        let places = places_of(&table, 5);
        let all: Vec<&NodeProcess> = fleet.nodes.iter().chain([&joined]).collect();
        member_ids(&table).contains(&5) && places.len() >= 2 && votes_in(&all, 5) == places
    });
    // Its replicas are whole, and its death is survived like anybody's.
    writers.progress(50);
    joined.kill();
    writers.progress(50);
    joined.start();
    joined.wait_ready();
    writers.progress(50);

    let told = run(NODE, &["leave", "--api", &fleet.nodes[1].api, "--id", "5"], Duration::from_secs(20));
    assert_eq!(told.code, Some(0), "{told:?}");
    wait::until("the others have its places, and it is gone", || {
        let table = table(&fleet);
        let all: Vec<&NodeProcess> = fleet.nodes.iter().collect();
        table["removed"].as_array().is_some_and(|gone| gone.contains(&5.into()))
            && member_ids(&table) == [1, 2, 3, 4].into()
            && places_of(&table, 5).is_empty()
            && votes_in(&all, 5).is_empty()
    });
    assert!(joined.wait_ended().success(), "{}", joined.log());
    writers.progress(50);
    let accounts = writers.finish();
    fleet.nodes.iter().for_each(|node| check(&mut node.client(), &accounts));
}
