//! A replica that comes back to a group which it had left, and still keeps what it promised there.

use super::town::{CHANGE, SECOND, stories};
use rt::sim::World;
use rt::time;
use serde_json::Value;

#[test]
fn a_replica_that_comes_back_keeps_its_promise() {
    stories(0..3, 3, |mut town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        // The newcomer takes places of all three, and gives them back: three workers hold every group.
        town.newcomer("worker-4", 5);
        time::sleep(SECOND).await;
        town.settled(&[1, 2, 3, 4, 5], CHANGE).await;
        // Long enough for those who lost a place to hear it, and to delete what they had.
        time::sleep(4 * SECOND).await;
        town.api("DELETE", "/cluster/members/5", Value::Null).await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        time::sleep(SECOND).await;
        let came_back = |world: &World| {
            let sites = world.site_counts();
            let site = sites.iter().find(|count| count.site.name().starts_with("create: who comes back"));
            site.is_some_and(|count| count.evaluated > 0)
        };
        assert!(came_back(&town.world), "nobody came back to a group that it had left");
        town.close().await;
    });
}
