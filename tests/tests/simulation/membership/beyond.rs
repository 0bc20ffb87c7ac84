//! Beyond what can be survived: a majority is damaged at once. Then nobody votes on what he forgot, nobody
//! acknowledges or answers anything, and the damaged nodes say what is wrong.

use super::town::{CHANGE, SECOND, stories};
use rt::time;
use serde_json::json;

#[test]
fn a_damaged_majority_says_so_and_neither_votes_nor_answers() {
    stories(0..3, 3, |town| async move {
        town.open().await;
        town.settled(&[1, 2, 3, 4], CHANGE).await;
        time::sleep(2 * SECOND).await;
        // Two of the three voters of every group: the workers are 2, 3 and 4, and the meta group 1, 2 and 3.
        town.spoil("worker-1");
        town.spoil("worker-2");
        time::sleep(10 * SECOND).await;
        for name in ["worker-1", "worker-2"] {
            let house = &town.houses[name];
            let (status, ready) = town.ask("GET", house.number, "/readyz", json!(null)).await.unwrap();
            assert_eq!(status, 503, "{name}: {ready}");
            assert!(ready.to_string().contains("new member"), "{name} says what it waits for: {ready}");
            assert!(house.ended.lock().unwrap().is_none(), "it stays, to be asked");
        }
        for number in 1..=4 {
            for probe in 0..4 {
                let write = json!({"metric_name": format!("probe-{probe}"), "value": 1});
                let written = town.ask("POST", number, "/metrics", write).await;
                assert!(written.as_ref().is_none_or(|(status, _)| *status >= 500), "{number}: {written:?}");
                let path = format!("/metrics/probe-{probe}/aggregate");
                let read = town.ask("GET", number, &path, json!(null)).await;
                assert!(read.as_ref().is_none_or(|(status, _)| *status >= 500), "{number}: {read:?}");
            }
        }
    });
}
