//! Every kind of fault, alone: the cluster notices it and survives it.

use reports::model::SeedVerdict;
use storm::run::{Keep, run};
use storm::scenario::{Scenario, faults_for};
use world::plan::Family;
use world::{FaultKind, Profile};

/// Seeds that a kind has at most to bite often enough.
const MOST_SEEDS: u64 = 12;
/// Seeds in which each kind has to bite.
const ENOUGH: u64 = 2;

fn each_kind_bites_and_is_survived(family: Family) {
    for kind in FaultKind::names_of(family) {
        let mut seeds_bitten = 0;
        for seed in 500..500 + MOST_SEEDS {
            let mut plan = Scenario::named("storm").unwrap().with_faults(Profile::Calm).plan(seed);
            plan.faults = faults_for(&plan, vec![kind]);
            let replay = format!("a plan of seed {seed} with {kind} alone");
            let result = run(plan, Keep::default(), replay).unwrap().result;
            assert_eq!(
                result.verdict,
                SeedVerdict::Held,
                "{kind}, seed {seed}: {:#?} {:?}",
                result.violations,
                result.harness_fault
            );
            assert!(result.faults.iter().all(|count| count.kind == *kind), "{:?}", result.faults);
            assert!(result.faults.iter().all(|count| count.bit <= count.fired && count.fired <= count.armed));
            seeds_bitten += u64::from(result.faults.iter().any(|count| count.bit > 0));
            if seeds_bitten == ENOUGH {
                break;
            }
        }
        assert_eq!(seeds_bitten, ENOUGH, "{kind} bit in {seeds_bitten} of {MOST_SEEDS} seeds");
    }
}

#[test]
fn each_fault_of_the_network_bites_and_is_survived() {
    each_kind_bites_and_is_survived(Family::Network);
}

#[test]
fn each_fault_of_processes_bites_and_is_survived() {
    each_kind_bites_and_is_survived(Family::Process);
}

#[test]
fn each_fault_of_disks_bites_and_is_survived() {
    each_kind_bites_and_is_survived(Family::Disk);
}

#[test]
fn each_fault_of_clocks_bites_and_is_survived() {
    each_kind_bites_and_is_survived(Family::Clock);
}
