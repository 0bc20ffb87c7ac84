//! A cluster that moves from an older format to today's, node by node, while it serves.

use super::town::{CHANGE, SECOND, stories};
use rt::time;
use serde_json::{Value, json};

#[test]
fn members_change_only_once_every_node_speaks_the_new_format() {
    stories(0..3, 3, |town| async move {
        let names: Vec<String> = town.houses.keys().cloned().collect();
        // Started anew at once, before anything has happened.
        for name in &names {
            town.world.crash(town.houses[name].machine);
            town.speaks(name, 1);
            town.world.start(town.houses[name].machine);
        }
        town.open().await;
        for name in &names {
            let (status, problem) = refused(&town).await;
            assert_eq!((status, &problem["code"]), (503, &json!("too-early")), "{problem}");
            town.world.crash(town.houses[name].machine);
            town.speaks(name, 2);
            time::sleep(SECOND / 2).await;
            town.world.start(town.houses[name].machine);
            time::sleep(3 * SECOND).await;
        }
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        town.wipe("worker-1");
        time::sleep(SECOND).await;
        town.settled(&[1, 3, 4, 5], CHANGE).await;
        town.close().await;
    });
}

async fn refused(town: &super::town::Town) -> (u16, Value) {
    for _ in 0..50 {
        if let Some(answer) = town.ask("DELETE", 1, "/cluster/members/2", Value::Null).await
            && answer.1["code"] != "no-leader"
        {
            return answer;
        }
        time::sleep(SECOND / 5).await;
    }
    panic!("nobody answers");
}
