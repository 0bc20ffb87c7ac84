//! Who can be asked, as a node tells: what its checks say of members that work, that cannot, and that are gone.

use super::{NODE, one_at_a_time};
use serde_json::Value;
use std::collections::BTreeMap;
use tests::process::Fleet;
use tests::wait;

/// Health by node, as the control node tells it.
pub fn health(fleet: &Fleet, query: &str) -> BTreeMap<u64, String> {
    let answer = fleet.client().get(&format!("/discovery{query}"));
    let targets: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let label = |group: &Value, name: &str| {
        let value = group["labels"][format!("__meta_seedstorm_{name}")].as_str();
        value.unwrap_or_default().to_owned()
    };
    let groups = targets.as_array().into_iter().flatten();
    groups.filter_map(|group| Some((label(group, "node").parse().ok()?, label(group, "health")))).collect()
}

#[test]
fn health_is_what_was_seen() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(NODE, folder.path(), 3);
    fleet.start();
    let is = |fleet: &Fleet, query: &str, wanted: &[(u64, &str)]| {
        let wanted = wanted.iter().map(|(node, health)| (*node, (*health).to_owned()));
        health(fleet, query) == wanted.collect()
    };
    let all = [(1, "ready"), (2, "ready"), (3, "ready"), (4, "ready")];
    wait::until("all are ready", || is(&fleet, "", &all));
    // Two of three replicas are gone: the third answers, and cannot work.
    fleet.nodes[2].kill();
    fleet.nodes[3].kill();
    let some = [(1, "ready"), (2, "not-ready"), (3, "unreachable"), (4, "unreachable")];
    wait::until("everybody's state is seen", || is(&fleet, "?health=all", &some));
    assert!(is(&fleet, "", &some[..1]));
    fleet.start();
    wait::until("all are ready again", || is(&fleet, "", &all));
}
