//! A change whose new voter is down: nobody is promoted before it has caught up, and nobody deletes its
//! replica before the group's leader has said that it may.

use super::town::{CHANGE, SECOND, Town, stories};
use rt::time;
use serde_json::{Value, json};

/// A group as the replica on a machine tells of it; `None` if there is no replica.
async fn told(town: &Town, group: u64, name: &str) -> Option<Value> {
    let asked = town.ask("GET", town.houses[name].number, "/replicas", Value::Null).await;
    let groups = asked.map(|(_, stats)| stats["groups"].clone()).unwrap_or_default();
    groups.as_array()?.iter().find(|told| told["group"].as_u64() == Some(group)).cloned()
}

/// Who votes in `group`, as its leader says.
async fn voters(town: &Town, group: u64) -> Value {
    let leader = town.leader_of(group).await;
    told(town, group, &leader).await.unwrap_or_default()["voters"].clone()
}

async fn holds(town: &Town, group: u64, name: &str) -> bool {
    told(town, group, name).await.is_some()
}

#[test]
fn a_change_waits_for_a_new_voter_that_is_down() {
    stories(0..3, 4, |town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4, 5], CHANGE).await;
        let table = town.table().await;
        // A group without node 2: node 2 is the only worker that can take the place of node 3 there.
        let held = |group: &&Value| group["voters"] == json!([3, 4, 5]);
        let group = table["groups"].as_array().unwrap().iter().find(held).unwrap_or_else(|| {
            panic!("no group lives on 3, 4 and 5: {table:#}");
        });
        let group = group["group"].as_u64().unwrap();
        let down = town.houses["worker-1"].machine;
        town.world.crash(down);
        town.api("DELETE", "/cluster/members/3", Value::Null).await;
        for _ in 0..10 {
            time::sleep(SECOND).await;
            let voters = voters(&town, group).await;
            assert_eq!(voters, json!([3, 4, 5]), "node 2 is down and cannot have caught up");
            assert!(holds(&town, group, "worker-2").await, "node 3 votes, and has deleted its replica");
        }
        // Who hears nothing from the group's leader deletes nothing either.
        let one = town.houses["worker-2"].machine;
        let others = town.houses.values().map(|house| house.machine).filter(|other| *other != one);
        let links: Vec<_> = others.flat_map(|other| [(one, other), (other, one)]).collect();
        let cut = town.world.cut_links(&links);
        for _ in 0..5 {
            time::sleep(SECOND).await;
            assert!(holds(&town, group, "worker-2").await, "node 3 votes, and has deleted its replica");
        }
        town.world.mend(cut);
        town.world.start(down);
        town.settled(&[1, 2, 4, 5], CHANGE).await;
        town.close().await;
    });
}
