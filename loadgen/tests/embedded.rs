//! The generator against the real cluster in this process, gently: that the two fit together.
#![allow(clippy::disallowed_methods, reason = "runs outside the simulation")]

use loadgen::{LoadOptions, Silent, run_embedded};

#[test]
fn a_cluster_in_this_process_answers_and_keeps_what_it_acknowledged() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let options = LoadOptions {
        rps: 50.0,
        ladder: false,
        step_seconds: 1.0,
        settle_seconds: 0.5,
        series: 8,
        spread: true,
        data: Some(data.path().to_owned()),
        ..LoadOptions::default()
    };
    let report = run_embedded(options, &Silent).expect("the cluster starts");
    assert!(report.target.starts_with("embedded cluster: 1 control + 3 workers, "), "{}", report.target);
    let step = &report.steps[0];
    assert_eq!((step.offered, step.ok), (50, 50), "{:?}", step.errors);
    let consistency = report.consistency.expect("the cluster can be read");
    assert!(consistency.held, "{consistency:?}");
    assert!(consistency.acknowledged >= 75, "{consistency:?}");
    if cfg!(target_os = "linux") {
        assert!(step.cluster_cpus.is_some_and(|cpus| cpus > 0.0));
    }
}
