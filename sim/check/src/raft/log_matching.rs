//! Log matching: logs that agree on an entry agree on everything up to it.
//!
//! Law: if two durable logs of a group hold an entry with the same index and term, then they hold the
//! same data there, and the same entries before it. Source: Raft paper, figure 3 and section 5.3.
//!
//! As in the paper's proof the law is checked by induction: for each (index, term) that any replica ever
//! made durable there is one hash and one term of the entry before it. That covers logs that never exist
//! at the same time, too.
//!
//! Does not check entries that never became durable, nor a predecessor that the ledger does not know
//! (after a crash, or far back), nor that terms grow along a log.

use std::collections::BTreeMap;

use super::Reports;
use super::ledger::{Ledger, WINDOW};
use crate::observation::{Observation, Step};
use crate::violation::{Judge, time};

/// The one content that (index, term) can have in a group.
#[derive(Debug)]
struct Content {
    hash: u64,
    /// Term of the entry before it; `None` until some replica's log shows it.
    previous_term: Option<u64>,
    node: u64,
    at_ns: u64,
}

#[derive(Debug, Default)]
pub(super) struct LogMatching {
    /// By group, then by (index, term).
    contents: BTreeMap<u64, BTreeMap<(u64, u64), Content>>,
}

impl LogMatching {
    pub(super) fn observe(&mut self, observation: &Observation, ledger: &Ledger, reports: &mut Reports) {
        let Observation { at_ns, node, group, ref step } = *observation;
        let Step::Appended { index, term, hash } = *step else { return };
        let previous = index.saturating_sub(1);
        let previous_term = match ledger.log(observation) {
            Some(log) => log.term(previous),
            None => (previous == 0).then_some(0),
        };
        let contents = self.contents.entry(group).or_default();
        let first = contents.entry((index, term)).or_insert(Content { hash, previous_term, node, at_ns });
        let who = |first: &Content| format!("that of node {} of {}", first.node, time(first.at_ns));
        if first.hash != hash {
            reports.add(Judge::LogMatching, observation, || {
                let (who, other) = (who(first), first.hash);
                format!("entry {index} of term {term} has data {hash:#x}, {who} has {other:#x}")
            });
        }
        match (first.previous_term, previous_term) {
            (Some(theirs), Some(ours)) if theirs != ours => {
                reports.add(Judge::LogMatching, observation, || {
                    let who = who(first);
                    format!(
                        "entry {index} of term {term} follows an entry of term {ours}, {who} follows one \
                         of term {theirs}"
                    )
                });
            }
            (None, Some(_)) => {
                *first = Content { hash: first.hash, previous_term, node, at_ns };
            }
            _ => {}
        }
        while let (Some(((lowest, _), _)), Some(((highest, _), _))) =
            (contents.first_key_value(), contents.last_key_value())
            && highest - lowest >= WINDOW
        {
            contents.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::observation::Step::SnapshotInstalled;
    use crate::raft::fixture::{Run, legal, only};
    use crate::violation::Judge;

    #[test]
    fn same_entry_with_other_data() {
        let run = Run::new().node(1).append(1, 1, 7).node(2).append(1, 1, 8);
        assert!(only(Judge::LogMatching, &run)[0].evidence.contains("data 0x8"));
    }

    #[test]
    fn same_entry_after_another_predecessor() {
        let run = Run::new().node(1).append(1, 1, 7).append(2, 2, 9);
        let run = run.node(2).append(1, 2, 8).append(2, 2, 9);
        assert!(only(Judge::LogMatching, &run)[0].evidence.contains("follows an entry of term 2"));
    }

    #[test]
    fn a_snapshot_gives_the_predecessor() {
        let run = Run::new().node(1).append(1, 1, 7).append(2, 2, 9);
        let run = run.node(2).step(SnapshotInstalled { index: 1, term: 2 }).append(2, 2, 9);
        only(Judge::LogMatching, &run);
    }

    #[test]
    fn a_conflicting_suffix_is_replaced() {
        let run = Run::new().node(1).append(1, 1, 7).append(2, 1, 8).append(3, 1, 9);
        let run = run.node(2).append(1, 1, 7).append(2, 2, 5).append(3, 2, 6);
        legal(&run.node(1).append(2, 2, 5).append(3, 2, 6));
    }

    #[test]
    fn a_replacement_that_was_durable_but_not_reported() {
        let run = Run::new().node(1).append(1, 1, 7).append(2, 2, 5).append(3, 2, 6);
        let run = run.node(2).append(1, 1, 7).append(2, 1, 8);
        // Node 2 crashed just after it had replaced entry 2.
        legal(&run.start(2, 0, 2).append(3, 2, 6));
    }

    #[test]
    fn the_same_index_and_term_in_two_groups() {
        legal(&Run::new().node(1).append(1, 1, 7).group(2).append(1, 1, 8));
    }
}
