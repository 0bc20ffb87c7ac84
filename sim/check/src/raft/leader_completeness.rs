//! Leader completeness: a leader's log holds everything that was committed before it.
//!
//! Law: an entry committed in some term is in the log of every leader of a later term. Source: Raft paper,
//! figure 3 and section 5.4. The cheap form: an entry is known to be committed once anyone applied it, and
//! the leader's durable log is looked at when it is elected.
//!
//! The term that counts is not the entry's own but the one in which it was committed, which a step does
//! not tell. The highest term that had a leader by then bounds it. Without that, a leader of an old term
//! whose votes arrive late would be accused wrongly.
//!
//! Does not check entries that nobody had applied yet, that the leader has applied or received as a
//! snapshot itself, or that the ledger does not know (after a crash, or far back).

use std::ops::Bound::{Excluded, Unbounded};

use super::Reports;
use super::ledger::{Committed, Held, Ledger};
use crate::observation::{Observation, Step};
use crate::violation::{Judge, time};

pub(super) fn observe(observation: &Observation, ledger: &Ledger, reports: &mut Reports) {
    let Step::BecameLeader { term } = observation.step else { return };
    let (Some(group), Some(log)) = (ledger.group(observation.group), ledger.log(observation)) else {
        return;
    };
    let covered = log.snapshot.0.max(log.applied);
    for (index, committed) in group.committed.range((Excluded(covered), Unbounded)) {
        let Committed { entry, node, at_ns, by_term } = *committed;
        if by_term >= term {
            continue;
        }
        let holds = match log.get(*index) {
            Held::Entry(held) if held != entry => format!("entry {index} of term {}", held.term),
            Held::Absent => format!("nothing after entry {}", log.last),
            Held::Entry(_) | Held::Unknown => continue,
        };
        reports.add(Judge::LeaderCompleteness, observation, || {
            format!(
                "became leader of term {term} with {holds} in its log, but entry {index} of term {} was \
                 applied by node {node} at {}",
                entry.term,
                time(at_ns)
            )
        });
        // Everything after the first such entry is missing as well, and says nothing new.
        return;
    }
}

#[cfg(test)]
mod tests {
    use crate::observation::Step::{BecameLeader, SnapshotInstalled};
    use crate::raft::fixture::{Run, legal, only};
    use crate::violation::Judge;

    /// Entries 1 and 2 of term 1, committed by node 1; nodes 2 and 3 have only just started.
    fn committed() -> Run {
        let run = Run::new().node(2).start(0, 0, 0).node(3).start(0, 0, 0).node(1).start(0, 0, 0);
        let run = run.step(BecameLeader { term: 1 }).append(1, 1, 7).append(2, 1, 8);
        run.apply(1, 1, 7).apply(2, 1, 8)
    }

    #[test]
    fn a_leader_without_a_committed_entry() {
        let run = committed().node(2).append(1, 1, 7).step(BecameLeader { term: 2 });
        let found = only(Judge::LeaderCompleteness, &run);
        assert!(found[0].evidence.contains("nothing after entry 1"), "{}", found[0].evidence);
    }

    #[test]
    fn a_leader_with_another_entry_in_its_place() {
        let run = committed().node(2).append(1, 1, 7).append(2, 2, 9).step(BecameLeader { term: 3 });
        only(Judge::LeaderCompleteness, &run);
    }

    #[test]
    fn entries_in_a_snapshot_or_unknown_after_a_restart() {
        let snapshot = committed().node(2).step(SnapshotInstalled { index: 2, term: 1 });
        legal(&snapshot.step(BecameLeader { term: 2 }));
        legal(&committed().node(3).start(1, 0, 2).step(BecameLeader { term: 2 }));
    }

    #[test]
    fn a_late_leader_of_a_term_before_the_commit() {
        // Entry 1 of term 1 was committed by the leader of term 3; node 2's votes for term 2 come late.
        let run = Run::new().node(2).start(2, 0, 0).node(1).start(3, 0, 0).append(1, 1, 7);
        let run = run.step(BecameLeader { term: 3 }).append(2, 3, 8).apply(1, 1, 7);
        legal(&run.node(2).step(BecameLeader { term: 2 }));
    }
}
