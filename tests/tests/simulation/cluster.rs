//! Our cluster in the storm: it holds, and the storm is one.

use reports::model::{SeedResult, SeedVerdict, SimulationReport};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use storm::build_info;
use storm::campaign::Workers;
use storm::run::{Keep, run};
use storm::scenario::Scenario;
use storm::sweep::{SweepOptions, sweep};
use world::Profile;

/// Seeds 0 to 99, run once for all tests that look at them.
static SWEPT: LazyLock<SimulationReport> = LazyLock::new(|| swept("storm", 0, 100));

fn swept(scenario: &str, first_seed: u64, seeds: u64) -> SimulationReport {
    let options = SweepOptions {
        scenario: Scenario::named(scenario).unwrap(),
        first_seed,
        seeds,
        lasts: None,
        jobs: 2,
        workers: Workers::Threads,
        artifacts: None,
        cancel: Arc::default(),
        build: build_info::current(),
    };
    sweep(&options, |_| {})
}

/// Fails with all that is known about a seed that did not hold.
fn assert_held(result: &SeedResult) {
    let SeedResult { seed, violations, harness_fault, replay, .. } = result;
    assert_eq!(
        result.verdict,
        SeedVerdict::Held,
        "seed {seed}: {violations:#?} {harness_fault:?}\nreplay: {replay}"
    );
}

#[test]
fn seeds_of_the_storm_hold() {
    let report = swept("storm", 1000, 10);
    assert_eq!(
        report.seeds.iter().map(|result| result.seed).collect::<Vec<_>>(),
        (1000..1010).collect::<Vec<_>>()
    );
    report.seeds.iter().for_each(assert_held);
    assert_eq!(SWEPT.seeds.len(), 100);
    SWEPT.seeds.iter().for_each(assert_held);
}

#[test]
fn a_calm_day_refuses_and_loses_nothing() {
    for result in &swept("calm", 1000, 3).seeds {
        assert_held(result);
        assert_eq!((result.operations.rejected, result.operations.unknown), (0, 0), "seed {}", result.seed);
        assert!(result.operations.ok >= 100, "seed {}: {} operations", result.seed, result.operations.ok);
        assert!(result.faults.is_empty(), "seed {}: {:?}", result.seed, result.faults);
        assert!(result.elections >= 1);
    }
}

#[test]
fn every_kind_of_fault_fires_and_bites() {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for fault in SWEPT.seeds.iter().flat_map(|result| &result.faults) {
        let (fired, bit) = counts.entry(&fault.kind).or_default();
        *fired += fault.fired;
        *bit += fault.bit;
    }
    for kind in Profile::Swarm.kinds() {
        let (fired, bit) = counts.get(kind).copied().unwrap_or_default();
        assert!(bit >= 1, "{kind} fired {fired} times and bit {bit} times");
        assert!(bit <= fired, "{kind} fired {fired} times and bit {bit} times");
    }
    assert_eq!(counts.len(), Profile::Swarm.kinds().len());
}

#[test]
fn the_storm_is_felt_by_clients_and_replicas() {
    let sum = |number: fn(&SeedResult) -> u64| SWEPT.seeds.iter().map(number).sum::<u64>();
    assert!(sum(|result| result.operations.ok) >= 100 * 100);
    assert!(sum(|result| result.operations.unknown) >= 100, "no operation was ever in doubt");
    // More than the first leader of each group.
    assert!(sum(|result| result.elections) >= 100 * 5);
    assert!(SWEPT.seeds.iter().all(|result| result.simulated_seconds >= 8.0 && result.events > 1000));
}

#[test]
fn histories_hold_what_the_results_count() {
    let scenario = Scenario::named("storm").unwrap();
    let keep = Keep { events: true, timeline: true, ..Keep::default() };
    let outcomes = run(scenario.plan(2), keep, "replay it so".into()).unwrap();
    assert_held(&outcomes.result);
    let counts = outcomes.result.operations;
    assert_eq!(outcomes.operations.len() as u64, counts.ok + counts.rejected + counts.unknown);
    assert_eq!(outcomes.events.len() as u64, outcomes.result.events);
    assert_eq!(outcomes.result.replay, "replay it so");
    let timeline = outcomes.result.timeline.unwrap();
    assert_eq!(timeline.operations.len(), outcomes.operations.len());
    assert_eq!(timeline.faults.len(), outcomes.plan.faults.len());
    assert!(!timeline.leaderships.is_empty());
}

#[test]
fn snapshots_are_installed_somewhere() {
    let scenario = Scenario::named("storm").unwrap();
    // Drawn knobs decide how soon a log is cut; one of a few seeds cuts it under a lagging replica.
    let installed = (0..20).any(|seed| {
        let keep = Keep { events: true, ..Keep::default() };
        let outcomes = run(scenario.plan(seed), keep, String::new()).unwrap();
        outcomes.events.iter().any(|(event, _)| event.kind == "raft_snapshot")
    });
    assert!(installed, "no seed installs a snapshot: that path is never walked");
}
