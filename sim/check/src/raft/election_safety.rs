//! Election safety: at most one leader can be elected in a given term.
//!
//! Law: within a group, two different nodes never become leader of the same term. Source: Raft paper
//! (Ongaro and Ousterhout 2014), figure 3 and section 5.2.
//!
//! Does not check that a leader was elected by a majority, nor that the old leader knows it is deposed:
//! two nodes may well believe to lead at the same time, in different terms.

use std::collections::BTreeMap;

use super::Reports;
use crate::observation::{Observation, Step};
use crate::violation::{Judge, time};

/// Terms remembered per group: far more than any run needs, and a bound all the same.
const TERMS: usize = 10_000;

/// A leader and when it was first seen.
#[derive(Debug)]
struct Leader {
    node: u64,
    at_ns: u64,
}

#[derive(Debug, Default)]
pub(super) struct ElectionSafety {
    /// By group, then by term.
    leaders: BTreeMap<u64, BTreeMap<u64, Leader>>,
}

impl ElectionSafety {
    pub(super) fn observe(&mut self, observation: &Observation, reports: &mut Reports) {
        let Observation { at_ns, node, group, ref step } = *observation;
        let Step::BecameLeader { term } = *step else { return };
        let terms = self.leaders.entry(group).or_default();
        let first = terms.entry(term).or_insert(Leader { node, at_ns });
        if first.node != node {
            reports.add(Judge::ElectionSafety, observation, || {
                let Leader { node, at_ns } = first;
                format!("became leader of term {term}, which node {node} led since {}", time(*at_ns))
            });
        }
        if terms.len() > TERMS {
            terms.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::observation::Step::BecameLeader;
    use crate::raft::fixture::{Run, legal, only};
    use crate::violation::Judge;

    #[test]
    fn two_leaders_of_one_term() {
        let run = Run::new().node(1).step(BecameLeader { term: 3 }).node(2).step(BecameLeader { term: 3 });
        let found = only(Judge::ElectionSafety, &run);
        assert_eq!(
            found[0].evidence,
            "t=0.002 s: node 2, group 1: became leader of term 3, which node 1 led since t=0.001 s"
        );
    }

    #[test]
    fn the_same_term_in_two_groups_and_a_late_leader_of_an_older_term() {
        let run = Run::new().node(1).step(BecameLeader { term: 3 });
        let run = run.node(2).group(2).step(BecameLeader { term: 3 });
        // Votes for term 2 were on their way while term 3 was won: odd, but legal.
        legal(&run.group(1).step(BecameLeader { term: 2 }));
    }
}
