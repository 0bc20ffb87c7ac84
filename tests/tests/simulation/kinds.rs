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

/// All that is wrong with a kind, so that one run of this test tells everything.
fn complaints(kind: &'static str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut seeds_bitten = 0;
    for seed in 500..500 + MOST_SEEDS {
        let mut plan = Scenario::named("storm").unwrap().with_faults(Profile::Calm).plan(seed);
        plan.faults = faults_for(&plan, vec![kind]);
        let result = run(plan, Keep::default(), String::new()).unwrap().result;
        if result.verdict != SeedVerdict::Held {
            let why = format!("{:?} {:?}", result.violations, result.harness_fault);
            complaints.push(format!("{kind}, seed {seed}: {why}"));
        }
        for count in &result.faults {
            if count.kind != kind || count.bit > count.fired || count.fired > count.armed {
                complaints.push(format!("{kind}, seed {seed}: counted {count:?}"));
            }
        }
        seeds_bitten += u64::from(result.faults.iter().any(|count| count.bit > 0));
        if seeds_bitten == ENOUGH {
            return complaints;
        }
    }
    complaints.push(format!("{kind} bit in {seeds_bitten} of {MOST_SEEDS} seeds"));
    complaints
}

fn each_kind_bites_and_is_survived(family: Family) {
    let complaints: Vec<String> =
        FaultKind::names_of(family).iter().flat_map(|kind| complaints(kind)).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
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
