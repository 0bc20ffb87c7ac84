//! Distributed Analytics in the storm: it holds, and averages that lack something are met and say so.

use reports::model::{SeedResult, SeedVerdict};
use std::sync::Arc;
use storm::build_info;
use storm::campaign::Workers;
use storm::run::{Keep, run};
use storm::scenario::Scenario;
use storm::sweep::{SweepOptions, sweep};
use world::Profile;

fn swept(faults: Profile, seeds: u64) -> Vec<SeedResult> {
    let options = SweepOptions {
        scenario: Scenario::named("analytics").unwrap().with_faults(faults),
        first_seed: 5000,
        seeds,
        lasts: None,
        jobs: 2,
        workers: Workers::Threads,
        artifacts: None,
        cancel: Arc::default(),
        build: build_info::current(),
    };
    sweep(&options, |_| {}).seeds
}

#[test]
fn seeds_hold_and_reach_its_own_states() {
    let seeds = swept(Profile::Swarm, 25);
    for SeedResult { seed, verdict, violations, harness_fault, .. } in &seeds {
        assert_eq!(*verdict, SeedVerdict::Held, "seed {seed}: {violations:#?} {harness_fault:?}");
    }
    let state = "analytics: an average lacks a partition";
    let reached =
        |result: &SeedResult| result.reached.iter().any(|(name, count)| name == state && *count > 0);
    assert!(seeds.iter().any(reached), "never reached: {state}");
}

#[test]
fn on_a_calm_day_nothing_is_missing() {
    let plan = Scenario::named("analytics").unwrap().with_faults(Profile::Calm).plan(5000);
    let outcomes = run(plan, Keep { events: true, ..Keep::default() }, String::new()).unwrap();
    assert_eq!(outcomes.history.len(), outcomes.operations.len());
    assert!(outcomes.history.len() >= 100, "{} operations", outcomes.history.len());
    for part in ["\"insert\"", "\"is_partial\":false", "\"nodes\":[3,3]"] {
        assert!(outcomes.history.iter().any(|line| line.contains(part)), "no {part} in the history");
    }
    assert!(!outcomes.history.iter().any(|line| line.contains("\"is_partial\":true")));
}
