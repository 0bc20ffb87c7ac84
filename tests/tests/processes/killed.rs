//! `kill -9`, and polite restarts, in the middle of a stream of writes. Nothing that was acknowledged may be
//! missing or double.

use super::writers::{Account, Writers, check};
use super::{NODE, one_at_a_time};
use serde_json::Value;
use std::time::{Duration, Instant};
use tests::process::{Fleet, NodeProcess};
use tests::random::Random;
use tests::wait;

const WRITERS: usize = 8;

/// Every node, asked through its own door, agrees with the accounts; and every replica comes to the same
/// numbers.
fn check_everywhere(fleet: &Fleet, accounts: &[Account]) {
    for node in &fleet.nodes {
        check(&mut node.client(), accounts);
    }
    let count = |node: usize, writer: usize, consistency: &str| -> Option<u64> {
        let path = format!("/metrics/writer-{writer}/aggregate?consistency={consistency}");
        let answer = fleet.nodes[node].client().get(&path);
        serde_json::from_slice::<Value>(&answer.body).ok()?["count"].as_u64()
    };
    for writer in 0..WRITERS {
        let expected = count(0, writer, "linearizable");
        assert!(expected.is_some());
        for node in 1..fleet.nodes.len() {
            wait::until("every replica has caught up", || count(node, writer, "stale") == expected);
        }
    }
}

pub fn leads_a_partition(node: &NodeProcess) -> bool {
    let stats: Value = serde_json::from_slice(&node.client().get("/replicas").body).unwrap();
    let mut groups = stats["groups"].as_array().unwrap().iter();
    groups.any(|group| group["leads"] == true && group["group"] != 0)
}

#[test]
fn twenty_workers_die_one_after_another() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(NODE, folder.path(), 3);
    fleet.start();
    let mut random = Random::new(20);
    let writers = Writers::start(WRITERS, &fleet.nodes[0].api);
    let (began, mut leaders) = (Instant::now(), 0);
    for round in 0..20 {
        writers.progress(20);
        std::thread::sleep(Duration::from_millis(random.between(0, 150)));
        let victim = &mut fleet.nodes[1 + round % 3];
        leaders += usize::from(leads_a_partition(victim));
        victim.kill();
        std::thread::sleep(Duration::from_millis(random.between(300, 800)));
        victim.start();
        victim.wait_ready();
    }
    println!("20 workers died in {:?}, {leaders} of them led a partition", began.elapsed());
    assert!(leaders >= 5, "too few leaders died to mean anything: {leaders}");
    writers.progress(20);
    check_everywhere(&fleet, &writers.finish());
}

#[test]
fn everything_dies_at_once() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(NODE, folder.path(), 3);
    fleet.start();
    let mut random = Random::new(3);
    let writers = Writers::start(WRITERS, &fleet.nodes[0].api);
    for _ in 0..3 {
        writers.progress(100);
        std::thread::sleep(Duration::from_millis(random.between(0, 500)));
        fleet.kill_all();
        std::thread::sleep(Duration::from_millis(random.between(0, 300)));
        fleet.start();
    }
    writers.progress(20);
    check_everywhere(&fleet, &writers.finish());
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(NODE, folder.path(), 3);
    fleet.start();
    let writers = Writers::start(WRITERS, &fleet.nodes[0].api);
    for place in [1, 2, 3, 0] {
        writers.progress(50);
        let node = &mut fleet.nodes[place];
        assert!(node.terminate().success(), "{}", node.log());
        node.start();
        node.wait_ready();
    }
    writers.progress(20);
    check_everywhere(&fleet, &writers.finish());
}
