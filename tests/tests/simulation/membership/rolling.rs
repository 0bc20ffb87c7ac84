//! Members come and go while cuts, crashes and slow links strike; and a rolling replacement of everybody, the
//! control node included, under the same. Nothing that was acknowledged is lost, and the change ends within
//! its time once the faults have.

use super::town::{CHANGE, SECOND, Town, stories};
use rt::sim::injection::Injection;
use rt::sim::machine::MachineId;
use rt::sim::net::Link;
use rt::sim::rng::{Purpose, Rng};
use rt::time::{self, Instant};
use serde_json::Value;
use std::time::Duration;

/// Every link between `one` and the others, both ways.
fn around(town: &Town, one: MachineId) -> Vec<(MachineId, MachineId)> {
    let others = town.houses.values().map(|house| house.machine).filter(|other| *other != one);
    others.flat_map(|other| [(one, other), (other, one)]).collect()
}

/// Half of the time a machine that was drawn, else whoever leads some group.
async fn drawn(town: &Town, rng: &mut Rng) -> String {
    if rng.chance(0.5) {
        return town.leader_of(rng.below(4)).await;
    }
    let names: Vec<String> = town.houses.keys().cloned().collect();
    rng.pick(&names).unwrap().clone()
}

/// Slow and lossy links around somebody, then a cut of one way or both, or a crash of somebody; all is mended
/// at the end of each round. Returns how often the faults bit.
async fn strike(town: &Town, rng: &mut Rng, rounds: u32) -> u64 {
    let mut bites = 0;
    for _ in 0..rounds {
        let slow = town.houses[&drawn(town, rng).await].machine;
        let link = Link { jitter: Duration::from_millis(80), loss: 0.05, ..Link::default() };
        let mut under_way: Vec<Injection> = vec![town.world.degrade(&around(town, slow), link)];
        let struck = town.houses[&drawn(town, rng).await].machine;
        time::sleep(rng.duration(Duration::from_millis(50), SECOND)).await;
        let crashes = rng.chance(0.5);
        if crashes {
            if rng.chance(0.5) {
                town.world.power_loss(struck);
            } else {
                town.world.crash(struck);
            }
        } else {
            let mut links = around(town, struck);
            if rng.chance(0.3) {
                links.retain(|(from, _)| *from == struck);
            }
            under_way.push(town.world.cut_links(&links));
        }
        time::sleep(rng.duration(Duration::from_millis(200), 2 * SECOND)).await;
        if crashes {
            town.world.start(struck);
            bites += 1;
        }
        for injection in under_way {
            bites += town.world.mend(injection);
        }
    }
    bites
}

/// Groups that `node` votes in, as the table wants them.
async fn places_of(town: &Town, node: u64) -> usize {
    let table = town.table().await;
    let groups = table["groups"].as_array().unwrap();
    let votes = |group: &&Value| group["voters"].as_array().unwrap().contains(&node.into());
    groups.iter().filter(votes).count()
}

#[test]
fn a_worker_joins_and_leaves_while_faults_strike() {
    stories(0..8, 3, |mut town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        let mut rng = Rng::numbered(town.seed, Purpose::Plan, 4);
        town.newcomer("worker-4", 5);
        let bites = strike(&town, &mut rng, 4).await;
        assert!(bites > 0, "no fault did anything");
        town.settled(&[1, 2, 3, 4, 5], 2 * CHANGE).await;
        assert!(
            places_of(&town, 5).await >= 2,
            "partitions are moved onto a newcomer: {:#}",
            town.table().await
        );
        // Asked for while everything works, and carried out while it does not.
        town.api("DELETE", "/cluster/members/5", Value::Null).await;
        strike(&town, &mut rng, 4).await;
        town.settled(&[1, 2, 3, 4], 2 * CHANGE).await;
        assert_eq!(places_of(&town, 5).await, 0);
        let deadline = Instant::now() + CHANGE;
        while town.houses["worker-4"].ended.lock().unwrap().is_none() {
            if Instant::now() >= deadline {
                panic!("it was removed and does not end: {}", town.all_stats().await);
            }
            time::sleep(SECOND / 5).await;
        }
        town.close().await;
    });
}

#[test]
fn everybody_is_replaced_while_faults_strike() {
    stories(0..6, 3, |town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        let mut rng = Rng::numbered(town.seed, Purpose::Plan, 5);
        let replaced = [
            ("worker-1", [1, 3, 4, 5]),
            ("control", [3, 4, 5, 6]),
            ("worker-2", [4, 5, 6, 7]),
            ("worker-3", [5, 6, 7, 8]),
        ];
        for (name, ids) in replaced {
            town.wipe(name);
            strike(&town, &mut rng, 2).await;
            town.settled(&ids, 2 * CHANGE).await;
        }
        time::sleep(SECOND).await;
        town.close().await;
    });
}
