//! Hand-made runs for the tests of the raft judges: one step a millisecond, by the node named last.

use super::RaftJudges;
use crate::observation::{Observation, Step};
use crate::violation::{Judge, Violation};

/// A run in the making.
#[derive(Clone)]
pub(super) struct Run {
    node: u64,
    group: u64,
    steps: Vec<Observation>,
}

impl Run {
    pub(super) fn new() -> Self {
        Self { node: 1, group: 1, steps: Vec::new() }
    }

    /// Following steps are of this node.
    pub(super) fn node(mut self, node: u64) -> Self {
        self.node = node;
        self
    }

    /// Following steps are of this group.
    pub(super) fn group(mut self, group: u64) -> Self {
        self.group = group;
        self
    }

    pub(super) fn step(mut self, step: Step) -> Self {
        let at_ns = (self.steps.len() as u64 + 1) * 1_000_000;
        self.steps.push(Observation { at_ns, node: self.node, group: self.group, step });
        self
    }

    pub(super) fn append(self, index: u64, term: u64, hash: u64) -> Self {
        self.step(Step::Appended { index, term, hash })
    }

    pub(super) fn apply(self, index: u64, term: u64, hash: u64) -> Self {
        self.step(Step::Applied { index, term, hash })
    }

    /// A start without vote and commit.
    pub(super) fn start(self, term: u64, applied: u64, last_index: u64) -> Self {
        self.step(Step::Started { term, vote: 0, commit: 0, applied, last_index })
    }

    pub(super) fn judge(&self) -> RaftJudges {
        let mut judges = RaftJudges::new();
        self.steps.iter().for_each(|step| judges.observe(step));
        judges
    }
}

/// Asserts that this judge fires and no other, and returns what it found.
pub(super) fn only(judge: Judge, run: &Run) -> Vec<Violation> {
    let found = run.judge().violations().to_vec();
    assert!(!found.is_empty(), "{judge} found nothing");
    assert!(found.iter().all(|violation| violation.judge == judge), "{found:#?}");
    found
}

/// Asserts that no judge fires.
pub(super) fn legal(run: &Run) {
    assert_eq!(run.judge().violations(), []);
}
