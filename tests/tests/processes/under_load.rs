//! The load generator against processes, while one of them is killed and comes back.

use super::{NODE, one_at_a_time};
use reports::verdict::consistency_held;
use std::time::Duration;
use tests::process::{Fleet, run};

const LOADGEN: &str = env!("CARGO_BIN_EXE_loadgen-under-test");

#[test]
fn no_acknowledged_write_is_lost_when_a_worker_dies_under_load() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(NODE, folder.path(), 3);
    fleet.start();
    let json = folder.path().join("load.json").display().to_string();
    let target = format!("http://{}", fleet.nodes[0].api);
    let load = {
        let json = json.clone();
        std::thread::spawn(move || {
            let arguments =
                ["--target", &target, "--rps", "300", "--duration", "3s", "--once", "--json", &json];
            run(LOADGEN, &arguments, Duration::from_secs(90))
        })
    };
    // Into the measured part: it begins after a second and a half.
    std::thread::sleep(Duration::from_millis(2200));
    fleet.nodes[2].kill();
    std::thread::sleep(Duration::from_millis(500));
    fleet.nodes[2].start();
    let finished = load.join().unwrap();
    // A missed target is no wonder here; a lost write is.
    assert!(matches!(finished.code, Some(0 | 3)), "{finished:?}");
    let report = reports::json::from_bytes(&std::fs::read(&json).unwrap()).unwrap();
    let load = report.load.unwrap();
    let consistency = load.consistency.unwrap_or_else(|| panic!("not checked: {finished:?}"));
    assert!(consistency_held(&consistency), "{consistency:?}");
    assert!(consistency.acknowledged > 300, "too little to mean anything: {consistency:?}");
    println!("exit code {:?}, {consistency:?}", finished.code);
}
