//! State-machine safety: all replicas apply the same entries in the same order.
//!
//! Law: if a replica has applied an entry at an index, no replica of the group ever applies another one
//! there (nor receives a snapshot whose last term differs); each replica applies index by index, starting
//! after its stored state or its snapshot, and never goes back while it runs. Source: Raft paper, figure 3
//! and sections 5.3 and 5.4.3.
//!
//! A restart may apply again what an earlier incarnation had applied, but the same entries.
//!
//! Does not check that an applied entry is stored on a majority, nor what applying does (see
//! [`super::replica_equality`]).

use std::collections::BTreeMap;

use super::Reports;
use super::ledger::{Committed, Entry, Ledger};
use crate::observation::{Observation, Step};
use crate::violation::{Judge, time};

#[derive(Debug, Default)]
pub(super) struct StateMachineSafety {
    /// Last applied index of the present incarnation, by node and group.
    applied: BTreeMap<(u64, u64), u64>,
}

impl StateMachineSafety {
    pub(super) fn observe(&mut self, observation: &Observation, ledger: &Ledger, reports: &mut Reports) {
        let replica = (observation.node, observation.group);
        match observation.step {
            Step::Started { applied, .. } => {
                self.applied.insert(replica, applied);
            }
            Step::Removed => drop(self.applied.remove(&replica)),
            Step::SnapshotInstalled { index, term } => {
                if let Some(applied) = self.applied.insert(replica, index)
                    && index < applied
                {
                    reports.add(Judge::StateMachineSafety, observation, || {
                        format!("went back from applied index {applied} to a snapshot at {index}")
                    });
                }
                check_snapshot(observation, (index, term), ledger, reports);
            }
            Step::Applied { index, term, hash } => {
                if let Some(applied) = self.applied.insert(replica, index)
                    && applied.checked_add(1) != Some(index)
                {
                    reports.add(Judge::StateMachineSafety, observation, || {
                        format!("applied entry {index} right after entry {applied}")
                    });
                }
                check_entry(observation, index, Entry { term, hash }, ledger, reports);
            }
            _ => {}
        }
    }
}

fn committed(observation: &Observation, index: u64, ledger: &Ledger) -> Option<Committed> {
    ledger.group(observation.group)?.committed.get(&index).copied()
}

fn check_entry(observation: &Observation, index: u64, ours: Entry, ledger: &Ledger, reports: &mut Reports) {
    let Some(first) = committed(observation, index, ledger) else { return };
    if first.entry != ours {
        reports.add(Judge::StateMachineSafety, observation, || {
            let Committed { entry: theirs, node, at_ns, .. } = first;
            format!(
                "applied entry {index} of term {} with data {:#x}, but node {node} at {} one of term {} \
                 with data {:#x}",
                ours.term,
                ours.hash,
                time(at_ns),
                theirs.term,
                theirs.hash
            )
        });
    }
}

fn check_snapshot(
    observation: &Observation,
    (index, term): (u64, u64),
    ledger: &Ledger,
    reports: &mut Reports,
) {
    let Some(first) = committed(observation, index, ledger) else { return };
    if first.entry.term != term {
        reports.add(Judge::StateMachineSafety, observation, || {
            let Committed { entry, node, at_ns, .. } = first;
            let (theirs, when) = (entry.term, time(at_ns));
            format!(
                "installed a snapshot up to entry {index} of term {term}, but node {node} at {when} \
                 applied one of term {theirs} there"
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::observation::Step::SnapshotInstalled;
    use crate::raft::fixture::{Run, legal, only};
    use crate::violation::Judge;

    #[test]
    fn another_entry_at_the_same_index() {
        let run = Run::new().node(1).apply(1, 1, 7).node(2).apply(1, 1, 8);
        assert!(only(Judge::StateMachineSafety, &run)[0].evidence.contains("data 0x8, but node 1"));
        let run = Run::new().node(1).apply(1, 1, 7).node(2).apply(1, 2, 7);
        only(Judge::StateMachineSafety, &run);
    }

    #[test]
    fn gaps_repeats_and_steps_back() {
        only(Judge::StateMachineSafety, &Run::new().node(1).apply(1, 1, 7).apply(3, 1, 9));
        only(Judge::StateMachineSafety, &Run::new().node(1).apply(1, 1, 7).apply(1, 1, 7));
        only(Judge::StateMachineSafety, &Run::new().node(1).start(1, 4, 9).apply(6, 1, 9));
        let run = Run::new().node(1).start(1, 4, 4).step(SnapshotInstalled { index: 3, term: 1 });
        only(Judge::StateMachineSafety, &run);
    }

    #[test]
    fn a_snapshot_of_another_term() {
        let run = Run::new().node(1).start(1, 3, 4).apply(4, 2, 7);
        let run = run.node(2).step(SnapshotInstalled { index: 4, term: 1 });
        only(Judge::StateMachineSafety, &run);
    }

    #[test]
    fn a_restart_applies_again_and_a_snapshot_jumps() {
        let run = Run::new().node(1).start(0, 0, 0).append(1, 1, 7).append(2, 1, 8);
        let run = run.apply(1, 1, 7).apply(2, 1, 8).start(1, 0, 2).apply(1, 1, 7).apply(2, 1, 8);
        let run = run.node(2).start(0, 0, 0).step(SnapshotInstalled { index: 2, term: 1 });
        legal(&run.append(3, 1, 9).apply(3, 1, 9));
    }

    #[test]
    fn a_restart_that_applies_something_else() {
        let run = Run::new().node(1).apply(1, 1, 7).start(1, 0, 2).apply(1, 1, 9);
        only(Judge::StateMachineSafety, &run);
    }
}
