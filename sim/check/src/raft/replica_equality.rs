//! Replica equality: replicas that applied the same entries hold the same state.
//!
//! Law: for one group and one applied index there is one state hash, whoever reports it and however often
//! (a replica that replayed its log, or was built from a snapshot, included). Source: the definition of
//! state-machine replication (Schneider 1990); TigerBeetle's state checker.
//!
//! Does not check that the state is right, only that it is the same; nor replicas that never report a
//! hash at a common index.

use std::collections::BTreeMap;

use super::Reports;
use super::ledger::prune;
use crate::observation::{Observation, Step};
use crate::violation::{Judge, time};

/// The hash that was reported first.
#[derive(Debug)]
struct First {
    hash: u64,
    node: u64,
    at_ns: u64,
}

#[derive(Debug, Default)]
pub(super) struct ReplicaEquality {
    /// By group, then by index.
    hashes: BTreeMap<u64, BTreeMap<u64, First>>,
}

impl ReplicaEquality {
    pub(super) fn observe(&mut self, observation: &Observation, reports: &mut Reports) {
        let Observation { at_ns, node, group, ref step } = *observation;
        let Step::StateHash { index, hash } = *step else { return };
        let hashes = self.hashes.entry(group).or_default();
        let first = hashes.entry(index).or_insert(First { hash, node, at_ns });
        if first.hash != hash {
            reports.add(Judge::ReplicaEquality, observation, || {
                let First { hash: theirs, node, at_ns } = first;
                let when = time(*at_ns);
                format!("state at index {index} is {hash:#x}, that of node {node} at {when} was {theirs:#x}")
            });
        }
        prune(hashes);
    }
}

#[cfg(test)]
mod tests {
    use crate::observation::Step::StateHash;
    use crate::raft::fixture::{Run, legal, only};
    use crate::violation::Judge;

    #[test]
    fn two_states_at_one_index() {
        let run = Run::new().node(1).step(StateHash { index: 5, hash: 1 });
        let found = only(Judge::ReplicaEquality, &run.node(2).step(StateHash { index: 5, hash: 2 }));
        assert!(found[0].evidence.contains("state at index 5 is 0x2, that of node 1"));
    }

    #[test]
    fn one_node_that_changes_its_mind_after_a_replay() {
        let run = Run::new().node(1).step(StateHash { index: 5, hash: 1 }).start(0, 0, 0);
        only(Judge::ReplicaEquality, &run.step(StateHash { index: 5, hash: 2 }));
    }

    #[test]
    fn other_indices_and_other_groups_may_differ() {
        let run = Run::new().node(1).step(StateHash { index: 5, hash: 1 });
        let run = run.node(2).step(StateHash { index: 6, hash: 2 });
        legal(&run.group(2).step(StateHash { index: 5, hash: 3 }));
    }
}
