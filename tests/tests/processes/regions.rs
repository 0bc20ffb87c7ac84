//! Six workers in three regions: the death of one region stops no writer and loses nothing, and whoever asks
//! for the members' health hears of it.

use super::discovery::health;
use super::writers::{Writers, check};
use super::{NODE, one_at_a_time};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tests::process::Fleet;
use tests::wait;

/// The control node, then the workers: neighbours together, so that groups have to move.
const REGIONS: [&str; 7] = ["eu", "eu", "eu", "us", "us", "ap", "ap"];

fn json(fleet: &Fleet, path: &str) -> Value {
    let answer = fleet.client().with_token(client::DEV_TOKEN).get(path);
    if answer.status == 200 { serde_json::from_slice(&answer.body).unwrap() } else { Value::Null }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// True if every group should live in three regions, and its leader says that it does.
fn is_spread(fleet: &Fleet) -> bool {
    let table = json(fleet, "/cluster/members");
    let regions: BTreeMap<u64, &str> = list(&table["members"])
        .filter_map(|member| Some((member["id"].as_u64()?, member["region"].as_str()?)))
        .collect();
    let wide = |voters: &Value| {
        let found = list(voters).filter_map(|id| regions.get(&id.as_u64()?));
        list(voters).count() == 3 && found.collect::<BTreeSet<_>>().len() == 3
    };
    let mut led = 0;
    for node in &fleet.nodes {
        let stats: Value = serde_json::from_slice(&node.client().get("/replicas").body).unwrap_or_default();
        let groups: Vec<&Value> = list(&stats["groups"]).filter(|group| group["leads"] == true).collect();
        if !groups.iter().all(|group| wide(&group["voters"]) && list(&group["voters_outgoing"]).count() == 0)
        {
            return false;
        }
        led += groups.len();
    }
    let wanted: Vec<&Value> = list(&table["groups"]).collect();
    regions.len() == 7 && led == 5 && wanted.len() == 5 && wanted.iter().all(|group| wide(&group["voters"]))
}

#[test]
fn a_region_dies_and_writers_go_on() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::in_regions(NODE, folder.path(), &REGIONS);
    fleet.start();
    wait::until("every group lives in three regions", || is_spread(&fleet));
    let writers = Writers::start(8, &fleet.nodes[0].api);
    writers.progress(100);
    for lost in [[3, 4], [5, 6]] {
        lost.iter().for_each(|node| fleet.nodes[*node].kill());
        writers.progress(300);
        let dead = lost.map(|node| node as u64 + 1);
        wait::until("the dead are known", || {
            let all = health(&fleet, "?health=all");
            all.len() == 7
                && all.iter().all(|(node, health)| dead.contains(node) == (health == "unreachable"))
        });
        let ready = health(&fleet, "");
        assert!(ready.len() <= 5 && dead.iter().all(|node| !ready.contains_key(node)), "{ready:?}");
        fleet.start();
        writers.progress(50);
    }
    let accounts = writers.finish();
    fleet.nodes.iter().for_each(|node| check(&mut node.client(), &accounts));
    assert!(is_spread(&fleet), "a death moves nothing");
}
