//! A change whose new voter is down: nobody is promoted before it has caught up, and nobody deletes its
//! replica before the group's leader has said that it may.

use super::town::{CHANGE, SECOND, Town, stories};
use rt::time;
use serde_json::{Value, json};

/// Who votes in `group`, as its leader says, and whether the machine `name` still holds a replica of it.
async fn voters_and_held(town: &Town, group: u64, name: &str) -> (Value, bool) {
    let leader = town.leader_of(group).await;
    let mut found = Vec::new();
    for house in [&leader[..], name] {
        let asked = town.ask("GET", town.houses[house].number, "/replicas", Value::Null).await;
        let groups = asked.map(|(_, stats)| stats["groups"].clone()).unwrap_or_default();
        let groups = groups.as_array().cloned().unwrap_or_default();
        found.push(groups.into_iter().find(|g| g["group"].as_u64() == Some(group)));
    }
    (found[0].clone().unwrap_or_default()["voters"].clone(), found[1].is_some())
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
            let (voters, held) = voters_and_held(&town, group, "worker-2").await;
            assert_eq!(voters, json!([3, 4, 5]), "node 2 is down and cannot have caught up");
            assert!(held, "node 3 votes, and has deleted its replica");
        }
        town.world.start(down);
        town.settled(&[1, 2, 4, 5], CHANGE).await;
        town.close().await;
    });
}
