//! Raft3D in the storm: it holds, and everything that its clients may meet is met.

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
        scenario: Scenario::named("raft3d").unwrap().with_faults(faults),
        first_seed: 3000,
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
    for state in [
        "raft3d: a readable snapshot was written",
        "raft3d: a job was refused for want of filament",
        "raft3d: leadership was given away on request",
    ] {
        let reached =
            |result: &SeedResult| result.reached.iter().any(|(name, count)| name == state && *count > 0);
        assert!(seeds.iter().any(reached), "never reached: {state}");
    }
}

#[test]
fn on_a_calm_day_all_is_said_and_done() {
    for result in swept(Profile::Calm, 3) {
        assert_eq!(result.verdict, SeedVerdict::Held, "seed {}: {:#?}", result.seed, result.violations);
        assert_eq!(result.operations.unknown, 0, "seed {}", result.seed);
        assert!(result.operations.ok >= 100, "seed {}: {} operations", result.seed, result.operations.ok);
    }
}

#[test]
fn histories_say_what_was_asked_and_answered() {
    let plan = Scenario::named("raft3d").unwrap().plan(3000);
    let outcomes = run(plan, Keep { events: true, ..Keep::default() }, String::new()).unwrap();
    assert_eq!(outcomes.history.len(), outcomes.operations.len());
    for part in ["AddPrinter", "AddFilament", "AddJob", "\"Done\"", "TooHeavy", "NotNext", "\"Filament\""] {
        assert!(outcomes.history.iter().any(|line| line.contains(part)), "no {part} in the history");
    }
}
