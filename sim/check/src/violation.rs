//! What a judge says: which law was broken, when, and what shows it.
//!
//! Leaves out which run, scenario or seed it was: whoever runs the judges knows that.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most violations that one judge reports. A broken run breaks its law thousands of times; the first
/// few tell the story.
pub const MAX_VIOLATIONS_PER_JUDGE: usize = 20;

/// A broken law, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Judge that found it.
    pub judge: Judge,
    /// Simulated time of the step that broke the law, in nanoseconds from the start of the run; `None`
    /// if no single moment can be named.
    pub at_ns: Option<u64>,
    /// A sentence for people: who, what, where and when (in simulated seconds).
    pub evidence: String,
}

/// The judges, each named after its law. In text and in JSON a judge is its kebab-case name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// A term has at most one leader.
    ElectionSafety,
    /// Logs that agree on an entry agree on everything before it.
    LogMatching,
    /// A leader's log holds everything that was committed before it.
    LeaderCompleteness,
    /// All replicas apply the same entries in the same order, without gaps.
    StateMachineSafety,
    /// What a replica made durable does not go back.
    Monotonic,
    /// Replicas at the same index hold the same state.
    ReplicaEquality,
    /// Acknowledged writes stay; nothing appears that nobody wrote.
    Durability,
    /// A write takes effect at most once and is always answered alike.
    ExactlyOnce,
    /// Counts and sums agree with what was written.
    Conservation,
    /// A linearizable read sees what was acknowledged before it, and nothing from after it.
    RealTimeReads,
    /// Each series has one order, which every read is a prefix of.
    AppendOrder,
    /// Every object behaves as if its operations happened one at a time, each between call and answer.
    Linearizability,
    /// A client never gets more than its rate in any window, on any clock.
    Limits,
    /// After the faults heal, service comes back within its bound.
    Liveness,
}

impl Judge {
    /// All judges, in the order of this page.
    pub const ALL: [Judge; 14] = [
        Judge::ElectionSafety,
        Judge::LogMatching,
        Judge::LeaderCompleteness,
        Judge::StateMachineSafety,
        Judge::Monotonic,
        Judge::ReplicaEquality,
        Judge::Durability,
        Judge::ExactlyOnce,
        Judge::Conservation,
        Judge::RealTimeReads,
        Judge::AppendOrder,
        Judge::Linearizability,
        Judge::Limits,
        Judge::Liveness,
    ];

    /// Its kebab-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Judge::ElectionSafety => "election-safety",
            Judge::LogMatching => "log-matching",
            Judge::LeaderCompleteness => "leader-completeness",
            Judge::StateMachineSafety => "state-machine-safety",
            Judge::Monotonic => "monotonic",
            Judge::ReplicaEquality => "replica-equality",
            Judge::Durability => "durability",
            Judge::ExactlyOnce => "exactly-once",
            Judge::Conservation => "conservation",
            Judge::RealTimeReads => "real-time-reads",
            Judge::AppendOrder => "append-order",
            Judge::Linearizability => "linearizability",
            Judge::Limits => "limits",
            Judge::Liveness => "liveness",
        }
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.judge, self.evidence)
    }
}

/// Nanoseconds of simulated time as text: `t=12.345 s`.
pub(crate) fn time(ns: u64) -> String {
    format!("t={}.{:03} s", ns / 1_000_000_000, ns % 1_000_000_000 / 1_000_000)
}

/// Collects what one judge finds, up to [`MAX_VIOLATIONS_PER_JUDGE`].
pub(crate) struct Findings {
    judge: Judge,
    found: Vec<Violation>,
}

impl Findings {
    pub(crate) fn new(judge: Judge) -> Self {
        Self { judge, found: Vec::new() }
    }

    /// Notes a violation. `evidence` is a function, as long evidence need not be written when the list
    /// is full.
    pub(crate) fn add(&mut self, at_ns: Option<u64>, evidence: impl FnOnce() -> String) {
        if !self.full() {
            self.found.push(Violation { judge: self.judge, at_ns, evidence: evidence() });
        }
    }

    /// True once there is room for no more: a judge may then stop looking.
    pub(crate) fn full(&self) -> bool {
        self.found.len() >= MAX_VIOLATIONS_PER_JUDGE
    }

    pub(crate) fn into_vec(self) -> Vec<Violation> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_text_names_agree() {
        for judge in Judge::ALL {
            assert_eq!(serde_json::to_string(&judge).unwrap(), format!("\"{judge}\""));
        }
    }

    #[test]
    fn time_is_in_seconds() {
        assert_eq!(time(12_345_678_901), "t=12.345 s");
        assert_eq!(time(7_000_000), "t=0.007 s");
    }
}
