//! A disk that rots under a running node: it is noticed, nothing of it is ever served, and the node stands
//! aside, says why, and is rebuilt from the others.

use super::town::{CHANGE, SECOND, Town, stories};
use rt::sim::disk::DiskFault;
use rt::time::{self, Instant};
use serde_json::json;
use std::path::Path;

/// Longest time until a small store has been looked at wholly.
const NOTICED: std::time::Duration = SECOND.saturating_mul(10);

/// Rots sectors under a node and waits until it says that its data are damaged, or that it is on its way
/// back as another member.
async fn rot(town: &Town, name: &str, sectors: u64) -> String {
    let house = &town.houses[name];
    let rot = town.world.injure_disk(house.machine, DiskFault::Rot { sectors });
    let deadline = Instant::now() + NOTICED;
    loop {
        assert!(Instant::now() < deadline, "{name}: nothing is noticed");
        if let Some((503, ready)) = town.ask("GET", house.number, "/readyz", json!(null)).await {
            let said = ready.to_string();
            if said.contains("damaged") || said.contains("new member") {
                assert!(town.world.bites(rot) > 0, "{name} read what has rotted: {said}");
                assert!(house.ended.lock().unwrap().is_none(), "it stays, to be asked");
                return said;
            }
        }
        time::sleep(SECOND / 100).await;
    }
}

/// What a machine's data folder holds of a store that was set aside.
async fn set_aside(town: &Town, name: &str) -> usize {
    let list = || rt::disk::list(Path::new("/data"));
    let listing = town.world.spawn_on(town.houses[name].machine, rt::task::blocking(list));
    let files = listing.await.expect("it lives").expect("it has a data folder");
    files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "damaged")).count()
}

#[test]
fn rot_in_an_idle_store_is_found_and_the_node_rebuilt() {
    stories(0..3, 3, |town| async move {
        // Nobody writes and nobody reads: only who looks for damage finds it.
        town.ready().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        time::sleep(SECOND).await;
        assert_eq!(set_aside(&town, "worker-1").await, 0);
        rot(&town, "worker-1", 8).await;
        town.settled(&[1, 3, 4, 5], CHANGE).await;
        assert_eq!(town.node_on("worker-1").await, 5);
        assert!(set_aside(&town, "worker-1").await > 0, "the old store can be looked at");
        town.work();
        time::sleep(5 * SECOND).await;
        town.close().await;
    });
}

#[test]
fn rot_under_load_is_never_served_and_the_node_rebuilt() {
    stories(0..4, 3, |town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        time::sleep(3 * SECOND).await;
        // Every sector that damage may hit: whatever is read from the disk now is wrong.
        rot(&town, "worker-1", 100_000).await;
        town.settled(&[1, 3, 4, 5], CHANGE).await;
        assert_eq!(town.node_on("worker-1").await, 5);
        // And another one, once the first is whole again.
        rot(&town, "worker-2", 100_000).await;
        town.settled(&[1, 4, 5, 6], CHANGE).await;
        assert_eq!(town.node_on("worker-2").await, 6);
        town.close().await;
    });
}
