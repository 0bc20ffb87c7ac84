//! Every combination of two halves, and the cases at the edge of "nothing was shown".

use super::*;
use crate::model::{FaultCount, SeedResult, SeedVerdict};

fn simulation(verdicts: &[SeedVerdict]) -> SimulationReport {
    let seeds = verdicts.iter().zip(1..).map(|(verdict, seed)| SeedResult {
        seed,
        verdict: *verdict,
        ..SeedResult::default()
    });
    let seeds: Vec<SeedResult> = seeds.collect();
    SimulationReport { seeds_requested: seeds.len() as u64, seeds, ..SimulationReport::default() }
}

fn step(target_rps: f64, valid: bool, carried: bool) -> LoadStep {
    LoadStep {
        target_rps,
        carried,
        validity: if valid { Validity::Valid } else { Validity::Invalid("late".to_owned()) },
        missed: (!carried).then(|| "too slow".to_owned()),
        ..LoadStep::default()
    }
}

fn load(steps: Vec<LoadStep>) -> LoadReport {
    LoadReport { target_rps: 1_000.0, steps, ..LoadReport::default() }
}

fn consistency(acknowledged: u64, unknown: u64, stored: u64, held: bool) -> LoadConsistency {
    LoadConsistency { acknowledged, unknown, stored, held }
}

fn lost() -> LoadReport {
    let consistency = Some(consistency(10, 2, 9, false));
    LoadReport { consistency, ..load(vec![step(1_000.0, true, true)]) }
}

fn verdict(simulation: Option<SimulationReport>, load: Option<LoadReport>, interrupted: bool) -> Verdict {
    Verdict::of(&Report { simulation, load, interrupted, ..Report::default() })
}

fn load_verdict(load: LoadReport, interrupted: bool) -> HalfVerdict {
    verdict(None, Some(load), interrupted).load.verdict
}

#[test]
fn every_combination_has_its_exit_code() {
    use HalfVerdict as V;
    use SeedVerdict as S;
    let simulations = [
        (None, V::NotRun),
        (Some(simulation(&[S::Held, S::Held])), V::Held),
        (Some(simulation(&[S::Held, S::Violated])), V::Violated),
        (Some(simulation(&[S::HarnessFault, S::Held])), V::HarnessFault),
        (Some(simulation(&[S::HarnessFault, S::Violated])), V::Violated),
        (Some(simulation(&[])), V::HarnessFault),
    ];
    let loads = [
        (None, V::NotRun),
        (Some(load(vec![step(500.0, true, true), step(1_000.0, true, true)])), V::Held),
        (Some(load(vec![step(500.0, true, true), step(1_000.0, true, false)])), V::LoadMissed),
        (Some(load(vec![step(500.0, true, true), step(1_000.0, false, true)])), V::LoadInvalid),
        (Some(load(vec![])), V::HarnessFault),
        (Some(lost()), V::Violated),
    ];
    for (simulation, left) in &simulations {
        for (load, right) in &loads {
            let verdict = verdict(simulation.clone(), load.clone(), false);
            assert_eq!((verdict.simulation.verdict, verdict.load.verdict), (*left, *right));
            let either = |wanted: V| [*left, *right].contains(&wanted);
            let code = if either(V::Violated) {
                1
            } else if either(V::HarnessFault) {
                2
            } else if either(V::LoadMissed) || either(V::LoadInvalid) {
                3
            } else if either(V::Held) {
                0
            } else {
                2
            };
            assert_eq!(verdict.exit_code(), code, "{left:?} with {right:?}");
        }
    }
}

#[test]
fn a_violation_beats_a_missed_target_and_a_harness_fault() {
    let missed = load(vec![step(1_000.0, true, false)]);
    let both = verdict(Some(simulation(&[SeedVerdict::Violated])), Some(missed.clone()), false);
    assert_eq!((both.overall(), both.exit_code()), (HalfVerdict::Violated, 1));
    let fault = verdict(Some(simulation(&[SeedVerdict::HarnessFault])), Some(missed), false);
    assert_eq!((fault.overall(), fault.exit_code()), (HalfVerdict::HarnessFault, 2));
    let fault = verdict(Some(simulation(&[SeedVerdict::HarnessFault])), Some(lost()), false);
    assert_eq!(fault.exit_code(), 1);
}

#[test]
fn the_target_needs_one_step_that_is_both_valid_and_carried() {
    let carried_above = load(vec![step(1_000.0, true, false), step(1_100.0, true, true)]);
    assert_eq!(load_verdict(carried_above, false), HalfVerdict::Held);
    let repeated = load(vec![step(1_000.0, false, true), step(1_000.0, true, true)]);
    assert_eq!(load_verdict(repeated, false), HalfVerdict::Held);
    let never_tried = load(vec![step(999.0, true, true)]);
    assert_eq!(load_verdict(never_tried, false), HalfVerdict::LoadMissed);
    let one_valid_miss = load(vec![step(1_000.0, false, true), step(1_200.0, true, false)]);
    assert_eq!(load_verdict(one_valid_miss, false), HalfVerdict::LoadMissed);
    let rounding = load(vec![step(1_000.0 - 1e-7, true, true)]);
    assert_eq!(load_verdict(rounding, false), HalfVerdict::Held);
    let no_number = load(vec![step(f64::NAN, true, true)]);
    assert_eq!(load_verdict(no_number, false), HalfVerdict::LoadMissed);
}

#[test]
fn missed_and_invalid_are_told_apart_in_the_text() {
    let missed = verdict(None, Some(load(vec![step(1_000.0, true, false)])), false).load.sentence;
    let invalid = verdict(None, Some(load(vec![step(1_000.0, false, true)])), false).load.sentence;
    assert_eq!(missed, "Target 1,000/s missed: too slow. No step was carried.");
    assert!(invalid.contains("the generator fell short: late."), "{invalid}");
}

#[test]
fn an_interrupted_run_is_judged_on_what_ran() {
    let mut partly = simulation(&[SeedVerdict::Held]);
    partly.seeds_requested = 100;
    let cut = verdict(Some(partly), Some(load(vec![step(500.0, true, true)])), true);
    assert_eq!(cut.simulation.verdict, HalfVerdict::Held);
    assert_eq!(cut.simulation.sentence, "Interrupted; 1 of 100 seeds ran; the seed held.");
    assert_eq!(cut.load.verdict, HalfVerdict::NotRun);
    assert_eq!(
        cut.load.sentence,
        "Interrupted. The target 1,000/s was not reached. Highest rate carried: 500/s."
    );
    assert_eq!(cut.exit_code(), 0);

    let slow = load(vec![step(500.0, true, false)]);
    assert_eq!(load_verdict(slow, true), HalfVerdict::LoadMissed);
    let nothing = verdict(Some(simulation(&[])), Some(load(vec![])), true);
    assert_eq!((nothing.overall(), nothing.exit_code()), (HalfVerdict::NotRun, 2));
    assert_eq!(verdict(Some(simulation(&[SeedVerdict::Violated])), None, true).exit_code(), 1);
}

#[test]
fn consistency_needs_the_figures_and_the_finding() {
    assert!(consistency_held(&consistency(10, 2, 10, true)));
    assert!(consistency_held(&consistency(10, 2, 12, true)));
    assert!(!consistency_held(&consistency(10, 2, 13, true)));
    assert!(!consistency_held(&consistency(10, 2, 9, true)));
    assert!(!consistency_held(&consistency(10, 2, 11, false)));
    assert!(consistency_held(&consistency(u64::MAX, 2, u64::MAX, true)));
}

#[test]
fn the_sample_says_both() {
    let verdict = Verdict::of(&crate::sample::report());
    assert_eq!(
        verdict.simulation.sentence,
        "97 of 100 seeds held; 2 violated (18, 61); 1 harness fault (74)."
    );
    assert_eq!(verdict.load.verdict, HalfVerdict::LoadMissed);
    assert!(verdict.load.sentence.ends_with("Highest rate carried: 5,000/s."));
}

#[test]
fn a_campaign_in_which_a_fault_never_bit_shows_nothing_about_it() {
    let campaign = |seeds: usize, bit: u64, reached: u64| {
        let mut campaign = simulation(&vec![SeedVerdict::Held; seeds]);
        campaign.expected.faults = vec!["bit_rot".into()];
        campaign.expected.states = vec!["a log was cut".into()];
        let last = campaign.seeds.last_mut().unwrap();
        last.faults.push(FaultCount { kind: "bit_rot".into(), armed: 2, fired: 2, bit });
        last.reached.insert("a log was cut".into(), reached);
        campaign
    };
    let judged = |campaign| verdict(Some(campaign), None, false).simulation;
    assert_eq!(judged(campaign(300, 1, 1)).verdict, HalfVerdict::Held);
    let toothless = judged(campaign(300, 0, 0));
    assert_eq!(toothless.verdict, HalfVerdict::Vacuous);
    assert_eq!(toothless.sentence, "All 300 seeds held; never bit: bit_rot.");
    let unreached = judged(campaign(2_000, 1, 0));
    assert_eq!(unreached.verdict, HalfVerdict::Vacuous);
    assert_eq!(unreached.sentence, "All 2,000 seeds held; never reached: a log was cut.");
    assert_eq!(judged(campaign(1_999, 1, 0)).verdict, HalfVerdict::Held, "some states are rare");
    assert_eq!(verdict(Some(campaign(300, 0, 0)), None, false).exit_code(), 2);
    assert_eq!(judged(campaign(299, 0, 0)).verdict, HalfVerdict::Held, "too few seeds to be judged on it");
    let mut broken = campaign(300, 0, 0);
    broken.seeds[0].verdict = SeedVerdict::Violated;
    assert_eq!(judged(broken).verdict, HalfVerdict::Violated, "a broken law comes first");
}
