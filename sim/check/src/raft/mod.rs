//! The judges that watch replicas from inside, one law a file.
//!
//! They are fed step by step, while the run goes on. Each judge sees the step together with the
//! [`ledger`] as it was before the step. Memory is bounded: of every log only the newest
//! [`ledger::WINDOW`] indices are remembered, and what is older is not judged any more.

pub mod election_safety;
pub mod leader_completeness;
pub mod ledger;
pub mod log_matching;
pub mod monotonic;
pub mod replica_equality;
pub mod state_machine_safety;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::observation::Observation;
use crate::violation::{Judge, MAX_VIOLATIONS_PER_JUDGE, Violation};

/// All raft judges of one run.
#[derive(Debug, Default)]
pub struct RaftJudges {
    ledger: ledger::Ledger,
    election_safety: election_safety::ElectionSafety,
    log_matching: log_matching::LogMatching,
    state_machine_safety: state_machine_safety::StateMachineSafety,
    monotonic: monotonic::Monotonic,
    replica_equality: replica_equality::ReplicaEquality,
    reports: Reports,
}

impl RaftJudges {
    /// Judges that have seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds the next step. Steps must come in the order in which they happened.
    pub fn observe(&mut self, observation: &Observation) {
        let (ledger, reports) = (&self.ledger, &mut self.reports);
        self.election_safety.observe(observation, reports);
        self.log_matching.observe(observation, ledger, reports);
        leader_completeness::observe(observation, ledger, reports);
        self.state_machine_safety.observe(observation, ledger, reports);
        self.monotonic.observe(observation, ledger, reports);
        self.replica_equality.observe(observation, reports);
        self.ledger.record(observation);
    }

    /// What was found so far, in order of time; at most [`MAX_VIOLATIONS_PER_JUDGE`] per judge.
    pub fn violations(&self) -> &[Violation] {
        &self.reports.violations
    }
}

/// Where the judges put what they find.
#[derive(Debug, Default)]
struct Reports {
    violations: Vec<Violation>,
    count: BTreeMap<Judge, usize>,
}

impl Reports {
    /// Reports that `observation` breaks the law of `judge`. The evidence is `what`, led by who and when.
    fn add(&mut self, judge: Judge, observation: &Observation, what: impl FnOnce() -> String) {
        let count = self.count.entry(judge).or_default();
        if *count >= MAX_VIOLATIONS_PER_JUDGE {
            return;
        }
        *count += 1;
        let Observation { at_ns, node, group, .. } = *observation;
        let evidence = format!("{}: node {node}, group {group}: {}", crate::violation::time(at_ns), what());
        self.violations.push(Violation { judge, at_ns: Some(at_ns), evidence });
    }
}
