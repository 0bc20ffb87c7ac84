//! Join, leave, replace; one at a time and at once.

use super::town::{CHANGE, SECOND, stories};
use rt::time;
use serde_json::{Value, json};

#[test]
fn a_worker_joins_and_takes_its_share() {
    stories(0..3, 3, |mut town| async move {
        town.open().await;
        time::sleep(2 * SECOND).await;
        town.newcomer("worker-4", 5);
        time::sleep(SECOND).await;
        town.settled(&[1, 2, 3, 4, 5], CHANGE).await;
        let table = town.table().await;
        let holds = |group: &Value| group["voters"].as_array().unwrap().contains(&json!(5));
        let groups = table["groups"].as_array().unwrap();
        assert!(groups.iter().filter(|group| holds(group)).count() >= 2, "{table:#}");
        time::sleep(SECOND).await;
        town.close().await;
    });
}

#[test]
fn a_worker_leaves_and_its_places_go_to_others() {
    stories(0..3, 4, |town| async move {
        town.open().await;
        time::sleep(2 * SECOND).await;
        let (status, _) = town.api("DELETE", "/cluster/members/3", Value::Null).await;
        assert_eq!(status, 202);
        town.settled(&[1, 2, 4, 5], CHANGE).await;
        time::sleep(3 * SECOND).await;
        assert_eq!(town.houses["worker-2"].ended.lock().unwrap().as_deref(), Some("removed"));
        town.close().await;
    });
}

#[test]
fn the_leader_of_everything_leaves() {
    stories(0..3, 4, |town| async move {
        town.open().await;
        time::sleep(2 * SECOND).await;
        // The control node leads the meta group, and worker-1 the first partition.
        let leader = town.leader_of(1).await;
        let node = town.node_on(&leader).await;
        town.api("DELETE", &format!("/cluster/members/{node}"), Value::Null).await;
        let rest: Vec<u64> = (1..=5).filter(|id| *id != node).collect();
        town.settled(&rest, CHANGE).await;
        town.api("DELETE", "/cluster/members/1", Value::Null).await;
        let rest: Vec<u64> = rest.into_iter().filter(|id| *id != 1).collect();
        town.settled(&rest, CHANGE).await;
        town.close().await;
    });
}

#[test]
fn two_join_and_two_leave_at_once() {
    stories(0..3, 4, |mut town| async move {
        town.open().await;
        town.newcomer("worker-5", 6);
        town.api("DELETE", "/cluster/members/2", Value::Null).await;
        town.newcomer("worker-6", 7);
        town.api("DELETE", "/cluster/members/4", Value::Null).await;
        town.settled(&[1, 3, 5, 6, 7], 2 * CHANGE).await;
        town.close().await;
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    stories(0..1, 2, |town| async move {
        town.open().await;
        let (status, problem) = town.api("DELETE", "/cluster/members/77", Value::Null).await;
        assert_eq!((status, &problem["code"]), (404, &json!("no-member")), "{problem}");
        let (status, problem) = town.api("DELETE", "/cluster/members/x", Value::Null).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid-id")), "{problem}");
        let newcomer = json!({"name": "n", "peer": "nowhere", "api": "10.0.0.9:8080", "token": 7});
        let (status, problem) = town.api("POST", "/cluster/members", newcomer).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid-address")), "{problem}");
        town.api("DELETE", "/cluster/members/2", Value::Null).await;
        town.settled(&[1, 3], CHANGE).await;
        let (status, problem) = town.api("DELETE", "/cluster/members/3", Value::Null).await;
        assert_eq!((status, &problem["code"]), (409, &json!("last-worker")), "{problem}");
        // The same token gets the same id; nobody comes under it, and nothing waits for it.
        let newcomer = json!({"name": "n", "peer": "10.0.0.9:9090", "api": "10.0.0.9:8080", "token": 7});
        let (status, joined) = town.api("POST", "/cluster/members", newcomer.clone()).await;
        assert_eq!((status, &joined["id"]), (201, &json!(4)));
        assert_eq!(town.api("POST", "/cluster/members", newcomer).await, (201, joined));
        time::sleep(SECOND).await;
        town.close().await;
    });
}
