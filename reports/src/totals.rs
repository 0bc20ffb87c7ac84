//! Sums over a half that several forms show: a campaign's seeds and faults, a load run's steps.
//!
//! Leaves out judgement, which is [`crate::verdict`].

use std::collections::BTreeMap;

use crate::model::{
    LoadReport, LoadStep, OperationCounts, SeedResult, SeedVerdict, SimulationReport, Validity,
};

/// A campaign in figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Campaign {
    pub held: Vec<u64>,
    pub violated: Vec<u64>,
    pub harness_faults: Vec<u64>,
    pub simulated_seconds: f64,
    pub operations: OperationCounts,
    pub elections: u64,
    pub events: u64,
    pub faults: Vec<FaultTotal>,
}

/// One fault kind over all seeds.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultTotal {
    pub kind: String,
    pub fired: u64,
    pub bit: u64,
    /// Seeds in which it fired.
    pub seeds: u64,
}

impl FaultTotal {
    /// Injected, yet no node could tell: the campaign shows nothing about this kind.
    pub(crate) fn toothless(&self) -> bool {
        self.fired > 0 && self.bit == 0
    }
}

impl Campaign {
    /// Sums up `simulation`. Fault kinds are in alphabetical order.
    pub(crate) fn of(simulation: &SimulationReport) -> Self {
        let mut campaign = Self::default();
        let mut faults: BTreeMap<&str, FaultTotal> = BTreeMap::new();
        for seed in &simulation.seeds {
            match seed.verdict {
                SeedVerdict::Held => campaign.held.push(seed.seed),
                SeedVerdict::Violated => campaign.violated.push(seed.seed),
                SeedVerdict::HarnessFault => campaign.harness_faults.push(seed.seed),
            }
            if seed.simulated_seconds.is_finite() {
                campaign.simulated_seconds += seed.simulated_seconds;
            }
            campaign.operations.ok += seed.operations.ok;
            campaign.operations.rejected += seed.operations.rejected;
            campaign.operations.unknown += seed.operations.unknown;
            campaign.elections += seed.elections;
            campaign.events += seed.events;
            for fault in &seed.faults {
                let total = faults.entry(&fault.kind).or_default();
                total.fired += fault.fired;
                total.bit += fault.bit;
                total.seeds += u64::from(fault.fired > 0);
            }
        }
        campaign.faults =
            faults.into_iter().map(|(kind, total)| FaultTotal { kind: kind.to_owned(), ..total }).collect();
        campaign
    }

    /// Simulated seconds for one second of wall time.
    pub(crate) fn speed(&self, simulation: &SimulationReport) -> f64 {
        self.simulated_seconds / simulation.elapsed_seconds
    }

    /// Kinds that fired and never bit.
    pub(crate) fn toothless(&self) -> Vec<&str> {
        self.faults.iter().filter(|fault| fault.toothless()).map(|fault| fault.kind.as_str()).collect()
    }
}

/// Seeds that did not hold, violations before harness faults, each in seed order.
pub(crate) fn failing(simulation: &SimulationReport) -> Vec<&SeedResult> {
    let with = |verdict: SeedVerdict| simulation.seeds.iter().filter(move |seed| seed.verdict == verdict);
    with(SeedVerdict::Violated).chain(with(SeedVerdict::HarnessFault)).collect()
}

/// May the step's figures be used?
pub(crate) fn is_valid(step: &LoadStep) -> bool {
    step.validity == Validity::Valid
}

/// The step with the highest rate among those that are valid and carried.
pub(crate) fn highest_carried(load: &LoadReport) -> Option<&LoadStep> {
    load.steps
        .iter()
        .filter(|step| is_valid(step) && step.carried)
        .max_by(|left, right| left.target_rps.total_cmp(&right.target_rps))
}

/// Requests of a step that failed, all classes.
pub(crate) fn errors(step: &LoadStep) -> u64 {
    step.errors.iter().map(|error| error.count).sum()
}

/// Good answers a second over the measured part.
pub(crate) fn goodput(step: &LoadStep) -> f64 {
    step.ok as f64 / step.duration_seconds
}

/// `timeout: 12, status 503: 40`, or `none`.
pub(crate) fn error_classes(step: &LoadStep) -> String {
    let classes: Vec<String> = step
        .errors
        .iter()
        .filter(|error| error.count > 0)
        .map(|error| format!("{}: {}", error.class, crate::format::count(error.count)))
        .collect();
    if classes.is_empty() { "none".to_owned() } else { classes.join(", ") }
}
