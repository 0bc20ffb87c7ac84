//! Members that are reached elsewhere than before.

use super::town::{CHANGE, SECOND, Town, stories};
use rt::time::{self, Instant};
use serde_json::Value;

/// Members move one after the other; everybody whose configuration names them is told so by hand.
async fn move_house(town: &Town, names: &[&str]) {
    for name in names {
        town.moves(name, 9191);
    }
    for told in ["control", "worker-1", "worker-2"] {
        town.world.crash(town.houses[told].machine);
        time::sleep(SECOND / 2).await;
        town.world.start(town.houses[told].machine);
        time::sleep(SECOND).await;
    }
}

/// The version of the table of members.
async fn version(town: &Town) -> u64 {
    town.table().await["version"].as_u64().unwrap()
}

/// A member that joined, whose configuration names nobody, is away while others move. Gives how many
/// versions of the table it misses.
async fn misses(mut town: Town, moving: &'static [&'static str], expected: u64) {
    town.ready().await;
    town.newcomer("worker-3", 4);
    town.settled(&[1, 2, 3, 4], CHANGE).await;
    time::sleep(SECOND).await;
    let (away, before) = (town.houses["worker-3"].machine, version(&town).await);
    town.world.crash(away);
    move_house(&town, moving).await;
    let deadline = Instant::now() + CHANGE;
    while town.leader_of(0).await != "control" || version(&town).await < before + expected {
        if Instant::now() >= deadline {
            let (table, stats) = (town.table().await, town.all_stats().await);
            panic!(
                "version {before} and then {expected} more, with the control node as leader: {table:#}\n{stats}"
            );
        }
        time::sleep(SECOND / 5).await;
    }
    assert_eq!(version(&town).await, before + expected, "nothing but addresses has changed");
    // What it misses is applied at the leader's.
    let reached = town.applied("control", 0).await;
    town.world.start(away);
    let deadline = Instant::now() + CHANGE;
    while town.applied("worker-3", 0).await < reached {
        let stats = town.ask("GET", 4, "/replicas", Value::Null).await;
        assert!(Instant::now() < deadline, "it stays ignorant: {stats:?}");
        time::sleep(SECOND / 5).await;
    }
    town.settled(&[1, 2, 3, 4], CHANGE).await;
    town.work();
    time::sleep(5 * SECOND).await;
    town.close().await;
}

#[test]
fn who_was_away_finds_a_leader_that_moved_and_is_one_version_behind() {
    stories(0..3, 2, |town| misses(town, &["control"], 1));
}

#[test]
fn who_was_away_finds_a_leader_that_moved_with_another_one() {
    stories(0..3, 2, |town| misses(town, &["control", "worker-1"], 2));
}
