//! Disks that are gone: the id is never used again, and the node comes back as a new member.

use super::town::{CHANGE, SECOND, stories};
use rt::sim::rng::{Purpose, Rng};
use rt::time::{self, Instant};

#[test]
fn a_wiped_worker_comes_back_as_a_new_member() {
    stories(0..4, 3, |town| async move {
        town.open().await;
        time::sleep(2 * SECOND).await;
        town.wipe("worker-2");
        time::sleep(SECOND).await;
        town.settled(&[1, 2, 4, 5], CHANGE).await;
        assert_eq!(town.node_on("worker-2").await, 5);
        time::sleep(SECOND).await;
        // And once more, under the id of its configuration, which is gone by now.
        town.wipe("worker-2");
        time::sleep(SECOND).await;
        town.settled(&[1, 2, 4, 6], CHANGE).await;
        town.close().await;
    });
}

#[test]
fn a_wiped_control_node_is_replaced() {
    stories(0..3, 3, |town| async move {
        town.open().await;
        time::sleep(2 * SECOND).await;
        town.wipe("control");
        time::sleep(SECOND).await;
        town.settled(&[2, 3, 4, 5], CHANGE).await;
        let table = town.table().await;
        let member = table["members"].as_array().unwrap().iter().find(|member| member["id"] == 5).unwrap();
        assert_eq!(member["role"], "control");
        town.close().await;
    });
}

#[test]
fn who_was_away_while_the_leader_was_replaced_finds_the_new_one() {
    stories(0..3, 3, |town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        // It only listens to the meta group: the others get along without it, and it never hears of node 5.
        let away = town.houses["worker-3"].machine;
        town.world.crash(away);
        town.wipe("control");
        let deadline = Instant::now() + CHANGE;
        while town.ids().await != [2, 3, 4, 5].into() || town.leader_of(0).await != "control" {
            assert!(Instant::now() < deadline, "{:#}", town.table().await);
            time::sleep(SECOND / 5).await;
        }
        town.world.start(away);
        town.close().await;
    });
}

#[test]
fn a_node_with_damaged_data_is_rebuilt_from_the_others() {
    stories(0..3, 3, |town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        time::sleep(SECOND).await;
        town.spoil("worker-1");
        time::sleep(SECOND).await;
        town.settled(&[1, 3, 4, 5], CHANGE).await;
        assert_eq!(town.node_on("worker-1").await, 5);
        town.close().await;
    });
}

#[test]
fn wiped_while_the_cluster_forms() {
    stories(0..6, 3, |town| async move {
        // At any moment of the forming: before, while and after ids are claimed.
        let mut rng = Rng::numbered(town.seed, Purpose::Plan, 3);
        time::sleep(rng.duration(SECOND / 100, 2 * SECOND)).await;
        town.wipe("worker-1");
        time::sleep(6 * SECOND).await;
        town.open().await;
        time::sleep(SECOND).await;
        let node = town.node_on("worker-1").await;
        assert!(node == 5 || node == 2, "{node}");
        town.settled(&[1, node, 3, 4], CHANGE).await;
        time::sleep(2 * SECOND).await;
        town.close().await;
    });
}

#[test]
fn a_late_beginner_still_comes_up_under_its_own_id() {
    stories(0..3, 3, |town| async move {
        town.world.crash(town.houses["worker-3"].machine);
        time::sleep(8 * SECOND).await;
        town.world.start(town.houses["worker-3"].machine);
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        assert_eq!(town.node_on("worker-3").await, 4);
        time::sleep(2 * SECOND).await;
        town.close().await;
    });
}

#[test]
fn a_restarted_member_keeps_its_new_id() {
    stories(0..2, 3, |town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        town.wipe("worker-3");
        time::sleep(SECOND).await;
        town.settled(&[1, 2, 3, 5], CHANGE).await;
        let machine = town.houses["worker-3"].machine;
        town.world.power_loss(machine);
        time::sleep(SECOND).await;
        town.world.start(machine);
        time::sleep(2 * SECOND).await;
        town.settled(&[1, 2, 3, 5], CHANGE).await;
        assert_eq!(town.node_on("worker-3").await, 5);
        town.close().await;
    });
}
