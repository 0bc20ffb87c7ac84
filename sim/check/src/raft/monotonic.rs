//! Monotonic: what a replica made durable does not go back.
//!
//! Law, per replica and across restarts:
//! - the durable term never falls; the vote of a term, once given, stays; the durable commit index never
//!   falls;
//! - after a restart the log still holds what was durably appended and not replaced since (a node never
//!   forgets what it acknowledged), and the applied index lies within log or snapshot;
//! - an entry that the replica has applied is never replaced in its log by another one.
//!
//! Source: Raft paper, figure 2 ("persistent state", "updated on stable storage before responding") and
//! section 5.2; seen broken in etcd#10000, hazelcast#16643, PySyncObj#166, Jepsen's NATS 2.12.1 report.
//!
//! After a crash a disk may hold more than was reported, as a crash can fall between a write and its
//! report. So `Started` may be ahead of the last report, and its applied index may be behind what was
//! applied in memory. For the same reason a shorter log is accused only if no unreported replacement by a
//! newer leader explains it: see [`super::ledger`].
//!
//! Does not check volatile state, or that a vote is durable before it is sent. A disk that was wiped on
//! purpose must come back as another node: as the same one it has forgotten its votes and is accused.

use std::collections::BTreeMap;

use super::Reports;
use super::ledger::{Entry, Held, Ledger};
use crate::observation::{Observation, Step};
use crate::violation::{Judge, time};

/// A hard state and when it was seen.
#[derive(Clone, Copy, Debug)]
struct Hard {
    term: u64,
    vote: u64,
    commit: u64,
    at_ns: u64,
}

/// What is remembered of one replica.
#[derive(Debug, Default)]
struct Memory {
    /// Last one reported as durable.
    durable: Option<Hard>,
    /// The present one: the last one reported or started from.
    present: Option<Hard>,
}

#[derive(Debug, Default)]
pub(super) struct Monotonic {
    /// By node and group.
    replicas: BTreeMap<(u64, u64), Memory>,
}

impl Monotonic {
    pub(super) fn observe(&mut self, observation: &Observation, ledger: &Ledger, reports: &mut Reports) {
        let at_ns = observation.at_ns;
        let memory = self.replicas.entry((observation.node, observation.group)).or_default();
        match observation.step {
            Step::HardState { term, vote, commit } => {
                let now = Hard { term, vote, commit, at_ns };
                compare(observation, memory.present, now, reports);
                *memory = Memory { durable: Some(now), present: Some(now) };
            }
            Step::Started { term, vote, commit, applied, last_index } => {
                let now = Hard { term, vote, commit, at_ns };
                compare(observation, memory.durable, now, reports);
                memory.present = Some(now);
                check_log(observation, term, last_index, ledger, reports);
                check_applied(observation, applied, last_index, ledger, reports);
            }
            Step::Removed => {
                // Term and vote outlive the replica; the commit index goes with its log.
                let buried = |hard: Hard| Hard { commit: 0, ..hard };
                *memory = Memory { durable: memory.durable.map(buried), present: memory.present.map(buried) };
            }
            Step::Appended { index, term, hash } => {
                check_replaced(observation, index, Entry { term, hash }, ledger, reports);
            }
            _ => {}
        }
    }
}

/// Compares a hard state with an earlier one of the same replica.
fn compare(observation: &Observation, before: Option<Hard>, now: Hard, reports: &mut Reports) {
    let Some(before) = before else { return };
    let since = time(before.at_ns);
    if now.term < before.term {
        reports.add(Judge::Monotonic, observation, || {
            format!("term went back to {}, it was {} at {since}", now.term, before.term)
        });
    }
    if now.term == before.term && before.vote != 0 && now.vote != before.vote {
        reports.add(Judge::Monotonic, observation, || {
            let Hard { term, vote, .. } = now;
            format!("vote of term {term} became {vote} (0: none), it was {} at {since}", before.vote)
        });
    }
    if now.commit < before.commit {
        reports.add(Judge::Monotonic, observation, || {
            format!("commit index went back to {}, it was {} at {since}", now.commit, before.commit)
        });
    }
}

/// A restarted replica must still have its durable log.
fn check_log(observation: &Observation, term: u64, last_index: u64, ledger: &Ledger, reports: &mut Reports) {
    let Some(log) = ledger.log(observation) else { return };
    let certain = log.certain_last(term);
    if last_index < certain {
        reports.add(Judge::Monotonic, observation, || {
            format!("durable log tail lost: the log ends at {last_index}, it reached {certain} before")
        });
    }
}

/// A restarted replica cannot have applied what it does not have.
fn check_applied(
    observation: &Observation,
    applied: u64,
    last_index: u64,
    ledger: &Ledger,
    reports: &mut Reports,
) {
    let snapshot = ledger.log(observation).map_or(0, |log| log.snapshot.0);
    if applied > last_index.max(snapshot) {
        reports.add(Judge::Monotonic, observation, || {
            format!("stored state is at index {applied}, past log ({last_index}) and snapshot ({snapshot})")
        });
    }
}

/// An applied entry is committed: only the same entry may be written over it.
///
/// "Applied by this replica", not merely by someone: a replica that has not heard of a commit may still
/// obey a leader of an older term, which knows nothing of that entry, and lawfully replace it.
fn check_replaced(
    observation: &Observation,
    index: u64,
    entry: Entry,
    ledger: &Ledger,
    reports: &mut Reports,
) {
    let Some(log) = ledger.log(observation) else { return };
    if let Held::Entry(held) = log.get(index)
        && index <= log.applied
        && held != entry
    {
        reports.add(Judge::Monotonic, observation, || {
            let (old, new) = (held.term, entry.term);
            format!("entry {index} of term {old} had been applied, and was replaced by one of term {new}")
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::observation::Step::{HardState, Removed, SnapshotInstalled, Started};
    use crate::raft::fixture::{Run, legal, only};
    use crate::violation::Judge;

    fn hard(term: u64, vote: u64, commit: u64) -> Run {
        Run::new().node(1).step(HardState { term, vote, commit })
    }

    fn accused(run: &Run, words: &str) {
        let found = only(Judge::Monotonic, run);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].evidence.contains(words), "{}", found[0].evidence);
    }

    #[test]
    fn hard_state_goes_back() {
        accused(&hard(5, 1, 9).step(HardState { term: 4, vote: 1, commit: 9 }), "term went back to 4");
        accused(&hard(5, 1, 9).step(HardState { term: 5, vote: 2, commit: 9 }), "vote of term 5 became 2");
        accused(&hard(5, 1, 9).step(HardState { term: 5, vote: 0, commit: 9 }), "vote of term 5 became 0");
        accused(&hard(5, 1, 9).step(HardState { term: 6, vote: 0, commit: 8 }), "commit index went back");
    }

    #[test]
    fn hard_state_lost_in_a_restart() {
        let started = |term, vote, commit| Started { term, vote, commit, applied: 0, last_index: 9 };
        accused(&hard(5, 1, 9).step(started(4, 1, 9)), "term went back");
        accused(&hard(5, 1, 9).step(started(5, 0, 9)), "vote of term 5 became 0");
        accused(&hard(5, 1, 9).step(started(5, 1, 8)), "commit index went back");
        // Started from term 6, then wrote an older one.
        let run = hard(5, 1, 9).step(started(6, 0, 9));
        accused(&run.step(HardState { term: 5, vote: 1, commit: 9 }), "term went back");
    }

    #[test]
    fn hard_state_ahead_of_the_reports_and_a_vote_in_a_new_term() {
        let run = hard(5, 0, 9).step(HardState { term: 5, vote: 2, commit: 9 });
        let run = run.step(HardState { term: 6, vote: 0, commit: 9 });
        legal(&run.step(Started { term: 6, vote: 3, commit: 12, applied: 2, last_index: 12 }));
    }

    #[test]
    fn a_removed_replica_keeps_its_vote_and_nothing_else() {
        let removed = || hard(5, 1, 9).append(9, 5, 7).apply(9, 5, 7).step(Removed);
        let started = |term, vote| Started { term, vote, commit: 0, applied: 0, last_index: 0 };
        legal(&removed().step(started(5, 1)));
        accused(&removed().step(started(5, 0)), "vote of term 5 became 0");
        accused(&removed().step(started(4, 1)), "term went back");
    }

    #[test]
    fn durable_tail_lost() {
        let run = Run::new().node(1).append(1, 1, 7).append(2, 1, 8);
        accused(&run.start(1, 0, 1), "durable log tail lost: the log ends at 1, it reached 2 before");
        // In a newer term a leader might have replaced entry 2, but not once it was applied.
        let run = Run::new().node(1).append(1, 1, 7).append(2, 1, 8).apply(1, 1, 7).apply(2, 1, 8);
        accused(&run.start(2, 0, 1), "durable log tail lost");
        let run = Run::new().node(1).step(SnapshotInstalled { index: 5, term: 1 });
        accused(&run.start(2, 0, 4), "durable log tail lost: the log ends at 4, it reached 5");
    }

    #[test]
    fn tail_that_was_replaced_by_a_shorter_one() {
        let run = Run::new().node(1).append(1, 1, 7).append(2, 1, 8).append(3, 1, 9).append(2, 2, 5);
        legal(&run.start(2, 0, 2));
        // The same, where the crash came before the report.
        let run = Run::new().node(1).append(1, 1, 7).append(2, 1, 8).append(3, 1, 9);
        legal(&run.start(2, 0, 2));
    }

    #[test]
    fn applied_past_the_log() {
        accused(&Run::new().node(1).start(1, 5, 4), "stored state is at index 5");
    }

    #[test]
    fn applied_entry_replaced() {
        let run = Run::new().node(1).append(1, 1, 7).apply(1, 1, 7);
        accused(&run.append(1, 2, 8), "entry 1 of term 1 had been applied");
    }

    #[test]
    fn unapplied_or_equal_entry_replaced_and_applied_index_behind() {
        let run = Run::new().node(1).append(1, 1, 7).apply(1, 1, 7).append(2, 1, 8);
        let run = run.append(1, 1, 7).append(2, 2, 9).apply(2, 2, 9);
        legal(&run.start(2, 1, 2).apply(2, 2, 9));
    }
}
