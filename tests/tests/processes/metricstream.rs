//! MetricStream on processes of its own: `test_client`'s many clients, while whoever leads a partition is killed
//! by `kill -9` again and again. What was acknowledged is counted once, and found by queries.

use super::killed::leads_a_partition;
use super::{NODE, one_at_a_time};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests::process::{Fleet, run};

const TEST_CLIENT: &str = env!("CARGO_BIN_EXE_test-client-under-test");

#[test]
fn every_batch_is_counted_once_while_leaders_die() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let metrics = folder.path().display().to_string();
    let more = ["--profile", "metricstream", "--metrics-folder", &metrics];
    let mut fleet = Fleet::with(NODE, folder.path(), 3, &more);
    fleet.start();
    let url = format!("http://{}", fleet.nodes[0].api);
    let enough = Arc::new(AtomicBool::new(false));
    let (finished, url) = (enough.clone(), url.clone());
    let clients = std::thread::spawn(move || {
        let mut runs = Vec::new();
        while !finished.load(Ordering::SeqCst) {
            let arguments = ["--url", &url, "--clients", "100", "--batches", "30"];
            runs.push(run(TEST_CLIENT, &arguments, Duration::from_secs(120)));
        }
        runs
    });
    let mut leaders = 0;
    for round in 0..9 {
        std::thread::sleep(Duration::from_millis(700));
        let victim = &mut fleet.nodes[1 + round % 3];
        leaders += usize::from(leads_a_partition(victim));
        victim.kill();
        std::thread::sleep(Duration::from_millis(500));
        victim.start();
        victim.wait_ready();
    }
    enough.store(true, Ordering::SeqCst);
    let runs = clients.join().unwrap();
    assert!(leaders >= 2, "too few leaders died to mean anything: {leaders}");
    println!("{leaders} leaders died; the last of {} runs:\n{}", runs.len(), runs[runs.len() - 1].stdout);
    for told in runs {
        assert_eq!(told.code, Some(0), "{told:?}");
        assert!(
            told.stdout.contains("unknown       0 batches"),
            "everybody is answered in the end: {told:?}"
        );
    }
}
