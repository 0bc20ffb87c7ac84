//! Members in three regions: groups spread over them, so that the loss of any one stops nothing.

use super::town::{CHANGE, SECOND, Town, stories, stories_in_regions};
use rt::sim::machine::MachineId;
use rt::time::{self, Instant};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const SEVEN: [u64; 7] = [1, 2, 3, 4, 5, 6, 7];

/// Machines by region, as the table of members tells.
async fn regions(town: &Town) -> BTreeMap<String, BTreeSet<String>> {
    let table = town.table().await;
    let mut regions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for member in table["members"].as_array().unwrap() {
        let region = member["region"].as_str().unwrap_or("none").to_owned();
        regions.entry(region).or_default().insert(member["name"].as_str().unwrap().to_owned());
    }
    regions
}

/// Groups whose voters do not lie in three regions.
async fn narrow(town: &Town) -> Vec<Value> {
    let table = town.table().await;
    let members = table["members"].as_array().unwrap();
    let region = |id: &Value| members.iter().find(|member| member["id"] == *id).unwrap()["region"].clone();
    let wide = |group: &&Value| {
        let voters = group["voters"].as_array().unwrap();
        voters.iter().map(|id| region(id).to_string()).collect::<BTreeSet<_>>().len() == 3
    };
    table["groups"].as_array().unwrap().iter().filter(|group| !wide(group)).cloned().collect()
}

async fn open(town: &Town) {
    town.open().await;
    // Labels come one after the other; then groups move.
    time::sleep(2 * SECOND).await;
    town.settled(&SEVEN, CHANGE).await;
    assert_eq!(regions(town).await.len(), 3, "{:#}", town.table().await);
    assert!(narrow(town).await.is_empty(), "{:#}", town.table().await);
}

fn machines(town: &Town, names: &BTreeSet<String>) -> Vec<MachineId> {
    names.iter().map(|name| town.houses[name].machine).collect()
}

#[test]
fn the_loss_of_any_region_stops_nothing() {
    stories_in_regions(0..3, 6, 3, |town| async move {
        open(&town).await;
        let regions = regions(&town).await;
        for (number, (region, lost)) in regions.iter().enumerate() {
            let others: BTreeSet<String> = regions
                .iter()
                .filter(|(other, _)| *other != region)
                .flat_map(|(_, names)| names.clone())
                .collect();
            let (inside, outside) = (machines(&town, lost), machines(&town, &others));
            // Killed or cut off, in turn, and another way with every seed.
            let killed = (number as u64 + town.seed).is_multiple_of(2);
            let cut = if killed {
                for machine in &inside {
                    town.world.crash(*machine);
                }
                None
            } else {
                let pairs =
                    inside.iter().flat_map(|a| outside.iter().flat_map(move |b| [(*a, *b), (*b, *a)]));
                Some(town.world.cut_links(&pairs.collect::<Vec<_>>()))
            };
            assert!(town.can_write_through(&others).await, "{region} is lost:\n{}", town.all_stats().await);
            if let Some(cut) = cut {
                town.world.mend(cut);
            } else {
                inside.iter().for_each(|machine| town.world.start(*machine));
            }
            town.ready().await;
            town.settled(&SEVEN, CHANGE).await;
        }
        town.close().await;
    });
}

#[test]
fn stale_reads_stay_in_the_region() {
    stories_in_regions(0..2, 6, 3, |town| async move {
        open(&town).await;
        let (status, said) =
            town.api("POST", "/metrics", serde_json::json!({ "metric_name": "near", "value": 1 })).await;
        assert_eq!(status, 200, "{said}");
        time::sleep(SECOND).await;
        for names in regions(&town).await.into_values() {
            let outside: BTreeSet<String> =
                town.houses.keys().filter(|name| !names.contains(*name)).cloned().collect();
            let (inside, outside) = (machines(&town, &names), machines(&town, &outside));
            let pairs = inside.iter().flat_map(|a| outside.iter().flat_map(move |b| [(*a, *b), (*b, *a)]));
            let cut = town.world.cut_links(&pairs.collect::<Vec<_>>());
            for name in names {
                let began = Instant::now();
                let path = "/metrics/near/aggregate?consistency=stale";
                let answer = town.ask("GET", town.houses[&name].number, path, Value::Null).await;
                let took = began.elapsed();
                assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(200), "{name}: {answer:?}");
                assert!(took < SECOND / 4, "{name} asked elsewhere first: {took:?}");
            }
            town.world.mend(cut);
            time::sleep(2 * SECOND).await;
        }
        town.close().await;
    });
}

#[test]
fn changes_of_members_keep_groups_spread() {
    stories_in_regions(0..3, 6, 3, |town| async move {
        open(&town).await;
        town.wipe("worker-5");
        time::sleep(SECOND).await;
        town.settled(&[1, 2, 3, 4, 5, 7, 8], 2 * CHANGE).await;
        assert!(narrow(&town).await.is_empty(), "{:#}", town.table().await);
        town.api("DELETE", "/cluster/members/4", Value::Null).await;
        town.settled(&[1, 2, 3, 5, 7, 8], 2 * CHANGE).await;
        assert!(narrow(&town).await.is_empty(), "{:#}", town.table().await);
        town.close().await;
    });
}

#[test]
fn regions_wait_until_every_node_knows_them() {
    stories_in_regions(0..2, 6, 3, |town| async move {
        let names: Vec<String> = town.houses.keys().cloned().collect();
        for name in &names {
            town.world.crash(town.houses[name].machine);
            town.speaks(name, 3);
            town.world.start(town.houses[name].machine);
        }
        town.open().await;
        for name in &names {
            assert_eq!(regions(&town).await.keys().collect::<Vec<_>>(), ["none"]);
            town.world.crash(town.houses[name].machine);
            town.speaks(name, 4);
            time::sleep(SECOND / 2).await;
            town.world.start(town.houses[name].machine);
            time::sleep(2 * SECOND).await;
        }
        town.ready().await;
        time::sleep(3 * SECOND).await;
        town.settled(&SEVEN, 2 * CHANGE).await;
        assert_eq!(regions(&town).await.len(), 3);
        assert!(narrow(&town).await.is_empty(), "{:#}", town.table().await);
        town.close().await;
    });
}

#[test]
fn without_labels_nothing_moves_and_the_same_loss_stops_a_partition() {
    stories(0..1, 6, |town| async move {
        town.open().await;
        time::sleep(2 * SECOND).await;
        town.settled(&SEVEN, CHANGE).await;
        let table = town.table().await;
        let voters: Vec<&Value> =
            table["groups"].as_array().unwrap().iter().map(|group| &group["voters"]).collect();
        assert_eq!(
            serde_json::json!(voters),
            serde_json::json!([[1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6]])
        );
        let all = regions(&town).await;
        assert_eq!(all.keys().collect::<Vec<_>>(), ["none"]);
        let lost: BTreeSet<String> = ["worker-3", "worker-4"].map(str::to_owned).into();
        let others = &all["none"] - &lost;
        for machine in machines(&town, &lost) {
            town.world.crash(machine);
        }
        assert!(!town.can_write_through(&others).await, "two of three replicas are down");
        machines(&town, &lost).into_iter().for_each(|machine| town.world.start(machine));
        town.ready().await;
        town.close().await;
    });
}
