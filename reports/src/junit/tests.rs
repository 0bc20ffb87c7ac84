//! The file is read back with the library's own parser and counted.

use quick_junit::Report as Document;

use super::*;
use crate::model::Expected;
use crate::sample;

fn read(report: &Report) -> Document {
    let bytes = to_bytes(report).unwrap();
    Document::deserialize_from_str(std::str::from_utf8(&bytes).unwrap()).unwrap()
}

/// Failures and errors.
fn red(document: &Document) -> usize {
    document.test_suites.iter().map(|suite| suite.failures + suite.errors).sum()
}

#[test]
fn counts_seeds_and_steps() {
    let document = read(&sample::report());
    let [simulation, load] = document.test_suites.as_slice() else { panic!("two suites") };
    assert_eq!((simulation.tests, simulation.failures, simulation.errors), (100, 2, 1));
    // Six steps, the target, the consistency.
    assert_eq!((load.tests, load.failures, load.errors), (8, 2, 1));
}

#[test]
fn a_failure_holds_evidence_and_the_way_back() {
    let text = String::from_utf8(to_bytes(&sample::report()).unwrap()).unwrap();
    assert!(text.contains("replay: cargo storm replay --scenario cluster --seed 18"));
    assert!(text.contains("durability at 31.407 s: Append of 4711"));
    assert!(!text.contains("<script>"));
}

#[test]
fn agrees_with_the_exit_code() {
    let full = sample::report();
    let held = |report: &Report| {
        let mut report = report.clone();
        let simulation = report.simulation.as_mut().unwrap();
        simulation.seeds.iter_mut().for_each(|seed| seed.verdict = SeedVerdict::Held);
        simulation.expected = Expected::default();
        report
    };
    let mut slower_target = held(&full);
    slower_target.load.as_mut().unwrap().target_rps = 5_000.0;
    let mut interrupted = held(&full);
    interrupted.interrupted = true;
    interrupted.load.as_mut().unwrap().steps.truncate(3);
    let mut vacuous = slower_target.clone();
    let campaign = vacuous.simulation.as_mut().unwrap();
    campaign.expected.faults = vec!["meteorite".into()];
    campaign.seeds = [campaign.seeds.clone(), campaign.seeds.clone(), campaign.seeds.clone()].concat();
    let mut no_steps = held(&full);
    no_steps.load.as_mut().unwrap().steps.clear();
    let mut no_seeds = slower_target.clone();
    no_seeds.simulation.as_mut().unwrap().seeds.clear();
    let mut lost = slower_target.clone();
    lost.load.as_mut().unwrap().consistency.as_mut().unwrap().stored = 0;
    for (report, code) in [
        (full, 1),
        (slower_target, 0),
        (interrupted, 0),
        (no_steps, 2),
        (no_seeds, 2),
        (lost, 1),
        (vacuous, 2),
        (Report::default(), 2),
    ] {
        assert_eq!(Verdict::of(&report).exit_code(), code);
        assert_eq!(red(&read(&report)) > 0, code != 0, "exit code {code}");
    }
}

#[test]
fn a_time_that_is_none_does_no_harm() {
    let mut report = sample::report();
    report.elapsed_seconds = f64::NAN;
    report.simulation.as_mut().unwrap().seeds[0].wall_seconds = -1.0;
    report.load.as_mut().unwrap().elapsed_seconds = f64::INFINITY;
    assert_eq!(read(&report).test_suites.len(), 2);
}
