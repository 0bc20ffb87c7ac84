//! Liveness: after the faults heal, everything that was promised comes back within its bound.
//!
//! Law: every probe (a leader elected, a replica caught up, a write or a read answered) succeeds no later
//! than `bound_ns` after `heal_ns`. Source: TigerBeetle's VOPR ("liveness mode": a core of replicas is
//! healed and must make progress); a bound in simulated time makes "eventually" checkable.
//!
//! Does not check what happens while faults last, nor that service stays up after its first success.

use serde::{Deserialize, Serialize};

use crate::violation::{Findings, Judge, Violation, time};

/// What was tried after the heal, and when it first succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivenessFacts {
    /// When the core was connected and healthy again.
    pub heal_ns: u64,
    /// How long after the heal everything must have come back.
    pub bound_ns: u64,
    /// What must come back.
    pub probes: Vec<LivenessProbe>,
}

/// One thing that must come back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivenessProbe {
    /// What it is, as a noun for the evidence: `leader of group 2`, `first write to partition 1`.
    pub name: String,
    /// When it first succeeded; `None` if it never did. A time before the heal is fine: it never went.
    pub done_ns: Option<u64>,
}

/// Judges liveness.
pub fn judge_liveness(facts: &LivenessFacts) -> Vec<Violation> {
    let mut findings = Findings::new(Judge::Liveness);
    let deadline_ns = facts.heal_ns.saturating_add(facts.bound_ns);
    for probe in &facts.probes {
        let came = match probe.done_ns {
            Some(done_ns) if done_ns <= deadline_ns => continue,
            Some(done_ns) => format!("came back only at {}", time(done_ns)),
            None => "never came back".to_owned(),
        };
        findings.add(Some(deadline_ns), || {
            let (heal, deadline) = (time(facts.heal_ns), time(deadline_ns));
            format!("{} {came}; faults healed at {heal} and the bound ended at {deadline}", probe.name)
        });
    }
    findings.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(done_ns: Option<u64>) -> LivenessFacts {
        let probe = LivenessProbe { name: "leader of group 2".to_owned(), done_ns };
        LivenessFacts { heal_ns: 10_000_000_000, bound_ns: 5_000_000_000, probes: vec![probe] }
    }

    #[test]
    fn never_and_late_are_violations() {
        let never = judge_liveness(&facts(None));
        assert_eq!(
            never[0].evidence,
            "leader of group 2 never came back; faults healed at t=10.000 s and the bound ended at t=15.000 s"
        );
        assert_eq!(judge_liveness(&facts(Some(15_000_000_001))).len(), 1);
    }

    #[test]
    fn just_in_time_and_never_gone_are_legal() {
        assert!(judge_liveness(&facts(Some(15_000_000_000))).is_empty());
        assert!(judge_liveness(&facts(Some(1))).is_empty());
    }
}
