//! Who belongs to a group, and the steps from one membership to another.
//!
//! Pure: what a leader should do next follows from who belongs now, who should, and how far everybody is.
//! Safety comes from raft's joint consensus. This file decides the order: new replicas learn first, vote
//! when they have caught up, and one joint change swaps all voters.

use crate::options::GroupSpec;
use crate::{GroupId, NodeId};
use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState};
use serde::{Deserialize, Serialize};

/// A replica this many entries behind has caught up: it will not hold up commits.
pub const CAUGHT_UP: u64 = 64;

/// Who belongs to a group, as its log says. All lists are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Version of the placement that the last change was made for; 0 before the first one.
    pub version: u64,
    /// Replicas that vote.
    pub voters: Vec<NodeId>,
    /// Replicas that receive the log and do not vote.
    pub learners: Vec<NodeId>,
    /// While a joint change is under way: those who voted before, and still do.
    pub voters_outgoing: Vec<NodeId>,
    /// Those of them that will be learners afterwards.
    pub learners_next: Vec<NodeId>,
}

fn sorted(mut nodes: Vec<NodeId>) -> Vec<NodeId> {
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

impl Members {
    /// Those of a group that never changed.
    pub fn genesis(spec: &GroupSpec) -> Self {
        let (voters, learners) = (sorted(spec.voters.clone()), sorted(spec.learners.clone()));
        Members { voters, learners, ..Members::default() }
    }

    /// As raft says it.
    pub fn of(version: u64, state: &ConfState) -> Self {
        Members {
            version,
            voters: sorted(state.voters.clone()),
            learners: sorted(state.learners.clone()),
            voters_outgoing: sorted(state.voters_outgoing.clone()),
            learners_next: sorted(state.learners_next.clone()),
        }
    }

    /// As raft wants it. A joint change is always left by a proposal of our own, never by raft-rs itself.
    pub fn conf_state(&self) -> ConfState {
        ConfState {
            voters: self.voters.clone(),
            learners: self.learners.clone(),
            voters_outgoing: self.voters_outgoing.clone(),
            learners_next: self.learners_next.clone(),
            auto_leave: false,
            ..ConfState::default()
        }
    }

    /// True while two sets of voters decide together.
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// True if `node` belongs to the group in any way.
    pub fn contains(&self, node: NodeId) -> bool {
        [&self.voters, &self.learners, &self.voters_outgoing].iter().any(|nodes| nodes.contains(&node))
    }

    /// True if they are what `target` asks for, with nothing under way.
    pub fn are(&self, target: &Target) -> bool {
        !self.is_joint()
            && self.voters == sorted(target.voters.clone())
            && self.learners == sorted(target.learners.clone())
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// The members in `bytes`; `None` if there are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// Who should belong to a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The group.
    pub group: GroupId,
    /// Version of the placement that says so: a newer one goes before an older one.
    pub version: u64,
    /// Replicas that vote.
    pub voters: Vec<NodeId>,
    /// Replicas that only learn.
    pub learners: Vec<NodeId>,
}

impl Target {
    /// True if it can be asked for at all: some voter, nobody twice, no node 0.
    pub fn makes_sense(&self) -> bool {
        let all: Vec<NodeId> = self.voters.iter().chain(&self.learners).copied().collect();
        !self.voters.is_empty() && !all.contains(&0) && sorted(all.clone()).len() == all.len()
    }
}

/// A change of members, as it stands in the log beside raft's own form of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Version of the placement that it is made for.
    pub version: u64,
    /// What changes; nothing for the end of a joint change.
    pub steps: Vec<Step>,
}

/// What changes for one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// It votes.
    Vote(NodeId),
    /// It learns.
    Learn(NodeId),
    /// It leaves.
    Leave(NodeId),
}

impl Change {
    /// As raft wants it: one learner more or less is a change of its own, everything else is joint.
    pub fn to_raft(&self) -> ConfChangeV2 {
        let mut change = ConfChangeV2::default();
        for step in &self.steps {
            let (kind, node) = match *step {
                Step::Vote(node) => (ConfChangeType::AddNode, node),
                Step::Learn(node) => (ConfChangeType::AddLearnerNode, node),
                Step::Leave(node) => (ConfChangeType::RemoveNode, node),
            };
            let mut single = ConfChangeSingle { node_id: node, ..ConfChangeSingle::default() };
            single.set_change_type(kind);
            change.changes.push(single);
        }
        let simple = matches!(self.steps[..], [] | [Step::Learn(_)]);
        let transition = if simple { ConfChangeTransition::Auto } else { ConfChangeTransition::Explicit };
        change.set_transition(transition);
        change
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// The change in `bytes`; `None` if there is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// How far a member is, as its leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Last index it is known to hold.
    pub matched: u64,
    /// It answered lately.
    pub active: bool,
}

/// What a leader should do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: they are as asked.
    Done,
    /// Wait until new voters have caught up.
    Wait,
    /// Not now: fewer than a majority of the asked voters answer.
    NoQuorum,
    /// Propose this.
    Propose(Change),
    /// Another replica must lead before the joint change can end.
    HandOver,
}

/// The next step of the leader `leader` from `now` towards `target`. Without a target only a joint change
/// is brought to its end.
pub fn next(
    now: &Members,
    target: Option<&Target>,
    leader: NodeId,
    last_index: u64,
    standing: impl Fn(NodeId) -> Option<Standing>,
) -> Next {
    if now.is_joint() {
        // A leader that is about to leave would end without having told anybody.
        return if now.voters.contains(&leader) {
            Next::Propose(Change { version: now.version, steps: Vec::new() })
        } else {
            Next::HandOver
        };
    }
    let Some(target) = target.filter(|target| !now.are(target)) else { return Next::Done };
    let version = target.version;
    let mut wanted = target.voters.iter().chain(&target.learners).copied();
    if let Some(missing) = wanted.find(|node| !now.contains(*node)) {
        return Next::Propose(Change { version, steps: vec![Step::Learn(missing)] });
    }
    let caught_up = |node: NodeId| {
        standing(node).is_some_and(|s| s.active && s.matched + CAUGHT_UP >= last_index) || node == leader
    };
    if target.voters.iter().any(|node| !now.voters.contains(node) && !caught_up(*node)) {
        return Next::Wait;
    }
    let able = target.voters.iter().filter(|node| caught_up(**node)).count();
    if able <= target.voters.len() / 2 {
        return Next::NoQuorum;
    }
    let promoted = target.voters.iter().filter(|node| !now.voters.contains(node)).map(|n| Step::Vote(*n));
    let demoted = target.learners.iter().filter(|node| !now.learners.contains(node)).map(|n| Step::Learn(*n));
    let gone = now.voters.iter().chain(&now.learners);
    let gone = gone.filter(|node| !target.voters.contains(node) && !target.learners.contains(node));
    let steps = promoted.chain(demoted).chain(gone.map(|node| Step::Leave(*node))).collect();
    Next::Propose(Change { version, steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(voters: &[NodeId], learners: &[NodeId], outgoing: &[NodeId]) -> Members {
        Members {
            voters: voters.to_vec(),
            learners: learners.to_vec(),
            voters_outgoing: outgoing.to_vec(),
            ..Members::default()
        }
    }

    fn target(voters: &[NodeId], learners: &[NodeId]) -> Target {
        Target { group: 1, version: 7, voters: voters.to_vec(), learners: learners.to_vec() }
    }

    fn fine(_: NodeId) -> Option<Standing> {
        Some(Standing { matched: 1000, active: true })
    }

    fn proposed(steps: &[Step]) -> Next {
        Next::Propose(Change { version: 7, steps: steps.to_vec() })
    }

    #[test]
    fn a_new_voter_learns_first_and_votes_when_it_has_caught_up() {
        let to = target(&[1, 2, 4], &[]);
        let now = members(&[1, 2, 3], &[], &[]);
        assert_eq!(next(&now, Some(&to), 1, 1000, fine), proposed(&[Step::Learn(4)]));
        let learning = members(&[1, 2, 3], &[4], &[]);
        for behind in [None, Some((935, true)), Some((1000, false))] {
            let standing = |node| match behind.filter(|_| node == 4) {
                Some((matched, active)) => Some(Standing { matched, active }),
                None => fine(node).filter(|_| node != 4),
            };
            assert_eq!(next(&learning, Some(&to), 1, 1000, standing), Next::Wait, "{behind:?}");
        }
        let swap = proposed(&[Step::Vote(4), Step::Leave(3)]);
        assert_eq!(next(&learning, Some(&to), 1, 1000, fine), swap);
    }

    #[test]
    fn no_change_without_a_majority_afterwards() {
        let now = members(&[1, 2, 3], &[], &[]);
        let lonely = |node| fine(node).filter(|_| node == 1);
        assert_eq!(next(&now, Some(&target(&[1, 2], &[])), 1, 1000, lonely), Next::NoQuorum);
        assert_eq!(next(&now, Some(&target(&[1], &[])), 1, 1000, lonely), {
            proposed(&[Step::Leave(2), Step::Leave(3)])
        });
    }

    #[test]
    fn a_joint_change_is_ended_by_a_leader_that_stays() {
        let joint = members(&[2, 4], &[], &[1, 2]);
        assert_eq!(next(&joint, None, 1, 9, fine), Next::HandOver);
        let end = Next::Propose(Change { version: 0, steps: vec![] });
        assert_eq!(next(&joint, None, 2, 9, fine), end);
        assert_eq!(next(&members(&[2, 4], &[], &[]), None, 2, 9, fine), Next::Done);
    }

    #[test]
    fn voters_become_learners_and_nothing_is_done_twice() {
        let now = members(&[1, 2, 3], &[], &[]);
        let to = target(&[1, 2], &[3]);
        assert_eq!(next(&now, Some(&to), 1, 10, fine), proposed(&[Step::Learn(3)]));
        assert_eq!(next(&members(&[1, 2], &[3], &[]), Some(&to), 1, 10, fine), Next::Done);
        assert!(!target(&[], &[1]).makes_sense() && !target(&[1], &[1]).makes_sense());
        assert!(!target(&[0], &[]).makes_sense() && target(&[1], &[2]).makes_sense());
    }
}
