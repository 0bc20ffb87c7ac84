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
    /// Seeds that held and are only summed up.
    pub folded: u64,
    pub violated: Vec<u64>,
    pub harness_faults: Vec<u64>,
    pub simulated_seconds: f64,
    pub operations: OperationCounts,
    pub elections: u64,
    pub events: u64,
    pub faults: Vec<FaultTotal>,
    /// Expected states and those that were reached, with the number of times and of seeds.
    pub states: Vec<StateTotal>,
    /// What had to happen and did not.
    pub missing: Missing,
}

/// What a campaign had to show and did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Kinds that never bit.
    pub faults: Vec<String>,
    /// States that were never reached.
    pub states: Vec<String>,
    /// Seeds that ran.
    pub ran: u64,
}

/// A campaign of fewer seeds cannot be expected to be bitten by every kind of fault: a full disk bites in
/// one of fifty seeds, because a store uses what it has freed first.
const FAULTS_FROM_SEEDS: u64 = 300;

/// A campaign of fewer seeds cannot be expected to reach every state: some are met in one of 400 seeds.
const STATES_FROM_SEEDS: u64 = 2_000;

/// One state over all seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateTotal {
    pub name: String,
    pub reached: u64,
    /// Seeds in which it was reached.
    pub seeds: u64,
}

/// One fault kind over all seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FaultTotal {
    pub kind: String,
    pub armed: u64,
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
        let mut states: BTreeMap<&str, StateTotal> = BTreeMap::new();
        for kind in &simulation.expected.faults {
            faults.entry(kind).or_default();
        }
        for state in &simulation.expected.states {
            states.entry(state).or_default();
        }
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
                total.armed += fault.armed.max(fault.fired);
                total.fired += fault.fired;
                total.bit += fault.bit;
                total.seeds += u64::from(fault.fired > 0);
            }
            for (state, reached) in &seed.reached {
                let total = states.entry(state).or_default();
                total.reached += reached;
                total.seeds += u64::from(*reached > 0);
            }
        }
        if let Some(folded) = &simulation.folded {
            campaign.folded = folded.seeds;
            campaign.simulated_seconds += folded.simulated_seconds;
            campaign.operations.ok += folded.operations.ok;
            campaign.operations.rejected += folded.operations.rejected;
            campaign.operations.unknown += folded.operations.unknown;
            campaign.elections += folded.elections;
            campaign.events += folded.events;
            for (kind, fault) in &folded.faults {
                let total = faults.entry(kind).or_default();
                total.armed += fault.armed;
                total.fired += fault.fired;
                total.bit += fault.bit;
                total.seeds += fault.seeds;
            }
            for (state, (reached, seeds)) in &folded.reached {
                let total = states.entry(state).or_default();
                total.reached += reached;
                total.seeds += seeds;
            }
        }
        campaign.faults =
            faults.into_iter().map(|(kind, total)| FaultTotal { kind: kind.to_owned(), ..total }).collect();
        campaign.states =
            states.into_iter().map(|(name, total)| StateTotal { name: name.to_owned(), ..total }).collect();
        campaign.missing = campaign.missing(simulation);
        campaign
    }

    fn missing(&self, simulation: &SimulationReport) -> Missing {
        let expected = &simulation.expected;
        let bit = |kind: &String| self.faults.iter().any(|fault| fault.kind == *kind && fault.bit > 0);
        let met = |name: &String| self.states.iter().any(|state| state.name == *name && state.reached > 0);
        Missing {
            faults: expected.faults.iter().filter(|kind| !bit(kind)).cloned().collect(),
            states: expected.states.iter().filter(|name| !met(name)).cloned().collect(),
            ran: simulation.ran(),
        }
    }

    /// Seeds that held.
    pub(crate) fn held_count(&self) -> u64 {
        self.held.len() as u64 + self.folded
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

impl Missing {
    /// What the campaign is large enough to be judged on.
    pub(crate) fn counted(&self) -> Missing {
        let mut counted = self.clone();
        if self.ran < FAULTS_FROM_SEEDS {
            counted.faults.clear();
        }
        if self.ran < STATES_FROM_SEEDS {
            counted.states.clear();
        }
        counted
    }

    /// Nothing is missing, or the campaign is too small to say so.
    pub(crate) fn is_fine(&self) -> bool {
        self.counted().is_empty()
    }

    /// Nothing is missing.
    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty() && self.states.is_empty()
    }

    /// `never bit: bit_rot; never reached: "…"`.
    pub(crate) fn text(&self, most: usize) -> String {
        let mut parts = Vec::new();
        if !self.faults.is_empty() {
            parts.push(format!("never bit: {}", crate::format::list(&self.faults, most)));
        }
        if !self.states.is_empty() {
            parts.push(format!("never reached: {}", crate::format::list(&self.states, most)));
        }
        parts.join("; ")
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
