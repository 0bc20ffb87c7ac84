//! Changes of members under crashes and cuts.

use super::town::{CHANGE, SECOND, Town, stories};
use rt::sim::rng::{Purpose, Rng};
use rt::time;
use std::time::Duration;

/// Crashes whoever is drawn, again and again, for `rounds` rounds.
async fn crash_somebody(town: &Town, rng: &mut Rng, rounds: u32) {
    let names: Vec<String> = town.houses.keys().cloned().collect();
    for _ in 0..rounds {
        time::sleep(rng.duration(Duration::from_millis(50), Duration::from_millis(1500))).await;
        let name = if rng.chance(0.5) {
            town.leader_of(rng.below(4)).await
        } else {
            rng.pick(&names).unwrap().clone()
        };
        let machine = town.houses[&name].machine;
        if rng.chance(0.5) {
            town.world.power_loss(machine);
        } else {
            town.world.crash(machine);
        }
        time::sleep(rng.duration(Duration::from_millis(100), SECOND)).await;
        town.world.start(machine);
    }
}

#[test]
fn leaders_crash_at_every_stage_of_a_change() {
    stories(0..10, 3, |town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        town.wipe("worker-2");
        let mut rng = Rng::numbered(town.seed, Purpose::Plan, 1);
        crash_somebody(&town, &mut rng, 5).await;
        town.settled(&[1, 2, 4, 5], 2 * CHANGE).await;
        time::sleep(2 * SECOND).await;
        town.close().await;
    });
}

#[test]
fn all_workers_are_replaced_one_after_the_other() {
    stories(0..4, 3, |town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        let mut rng = Rng::numbered(town.seed, Purpose::Plan, 2);
        for (name, ids) in
            [("worker-1", [1, 3, 4, 5]), ("worker-2", [1, 4, 5, 6]), ("worker-3", [1, 5, 6, 7])]
        {
            town.wipe(name);
            let other = town.houses["control"].machine;
            let replaced = town.houses[name].machine;
            time::sleep(rng.duration(Duration::from_millis(100), 2 * SECOND)).await;
            town.world.cut(other, replaced);
            town.world.cut(replaced, other);
            crash_somebody(&town, &mut rng, 1).await;
            town.world.heal(other, replaced);
            town.world.heal(replaced, other);
            town.settled(&ids, 2 * CHANGE).await;
        }
        town.close().await;
    });
}
