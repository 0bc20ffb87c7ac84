//! Changes of a group's members, where raft-rs carries them out.
//!
//! [`crate::members`] decides what comes next; here it is proposed, applied and told. A change is
//! proposed only by a leader that has committed an entry of its own term and applied the change before:
//! without that barrier two leaders could decide with disjoint majorities. What is applied becomes
//! durable in one transaction with the index at which it was applied.

use super::step::heir;
use super::{Driver, DriverError};
use crate::NodeId;
use crate::frame::{Introduction, Refusal, Response};
use crate::group::Group;
use crate::members::{self, Change, Members, Next, Standing, Step, Target};
use crate::transport::ReplyTo;
use raft::StateRole;
use raft::eraftpb::Entry;

/// Who belongs to the group that `group` leads.
pub(super) fn members(group: &Group) -> Response {
    let raft = &group.raw.raft;
    let members = group.members().clone();
    let settled = !members.is_joint() && group.target.as_ref().is_none_or(|target| members.are(target));
    Response::Members { members, settled, term: raft.term, last_index: raft.raft_log.last_index() }
}

/// A leader is asked to work towards `target`.
pub(super) fn ask(group: &mut Group, target: Target, node: NodeId) -> Response {
    if !target.makes_sense() {
        return Response::Refused(Refusal::Nonsense);
    }
    let asked = group.target.as_ref().map_or(0, |target| target.version).max(group.members().version);
    let differs = group.target.as_ref().is_some_and(|known| *known != target);
    let under_way = group.members().is_joint() || group.raw.raft.has_pending_conf();
    // What is proposed comes to its end; what is only asked for gives way to what is newer.
    if target.version < asked || differs && (under_way || target.version == asked) {
        return Response::Refused(Refusal::ChangeUnderWay);
    }
    group.target = Some(target);
    match plan(group, node) {
        Next::NoQuorum => Response::Refused(Refusal::NoQuorum),
        _ => {
            advance(group, node);
            members(group)
        }
    }
}

fn plan(group: &Group, node: NodeId) -> Next {
    let progress = group.raw.raft.prs();
    let standing = |member: NodeId| {
        // raft-rs calls a new member active before it has ever answered: one that holds nothing has not.
        progress
            .get(member)
            .map(|p| Standing { matched: p.matched, active: p.recent_active && p.matched > 0 })
    };
    let last_index = group.raw.raft.raft_log.last_index();
    members::next(group.members(), group.target.as_ref(), node, last_index, standing)
}

/// A leader's next step, if it can be taken now.
pub(super) fn advance(group: &mut Group, node: NodeId) {
    if group.raw.raft.state != StateRole::Leader {
        group.target = None;
        return;
    }
    if group.target.is_none() && !group.members().is_joint() {
        return;
    }
    let raft = &group.raw.raft;
    if raft.has_pending_conf() || !raft.commit_to_current_term() || raft.lead_transferee.is_some() {
        return;
    }
    match plan(group, node) {
        Next::Done => group.target = None,
        Next::Wait | Next::NoQuorum => {}
        Next::HandOver => {
            if let Some(heir) = heir(group, node) {
                group.raw.transfer_leader(heir);
            }
        }
        Next::Propose(change) => {
            mark(group, node, &change);
            let result = group.raw.propose_conf_change(change.encode(), change.to_raft());
            // Refused while too much is uncommitted: the next tick tries again.
            tracing::debug!(group = group.id, ?change, ?result, "change of members proposed");
        }
    }
}

/// What must hold whenever a change is proposed, whoever decided on it. Said apart from the decision, so
/// that a mistake there shows.
fn mark(group: &Group, node: NodeId, change: &Change) {
    let (raft, members) = (&group.raw.raft, group.members());
    rt::always!(
        raft.commit_to_current_term(),
        "change: a leader proposes only after it has committed an entry of its term",
        "group {} on node {node}, term {}",
        group.id,
        raft.term
    );
    rt::always!(
        !members.is_joint() || members.voters.contains(&node),
        "change: a joint change is ended by a leader that stays",
        "group {} on node {node}: {members:?}",
        group.id
    );
    let votes = |step: &Step| if let Step::Vote(node) = *step { Some(node) } else { None };
    for new in change.steps.iter().filter_map(votes) {
        let matched = raft.prs().get(new).map_or(0, |progress| progress.matched);
        let last = raft.raft_log.last_index();
        rt::always!(
            new == node || matched > 0 && matched + members::CAUGHT_UP >= last,
            "change: a new voter has caught up",
            "group {}: node {new} holds {matched} of {last}",
            group.id
        );
    }
}

/// Applies a committed change. Every replica decides alike, whatever the entry holds.
pub(super) fn apply(group: &mut Group, entry: &Entry, node: NodeId) {
    let Some(change) = Change::decode(&entry.context) else {
        tracing::error!(group = group.id, index = entry.index, "a change of members that is none");
        return;
    };
    match group.raw.apply_conf_change(&change.to_raft()) {
        Ok(state) => {
            let members = Members::of(change.version.max(group.members().version), &state);
            tracing::info!(group = group.id, node, ?members, "members changed");
            let votes = members.voters.contains(&node) || members.voters_outgoing.contains(&node);
            group.raw.mut_store().record.members = members;
            group.urgent = true;
            if !votes && group.raw.raft.state == StateRole::Leader {
                step_down(group);
            }
        }
        Err(error) => tracing::warn!(group = group.id, %error, "a change of members was void"),
    }
}

/// A leader that has left must not go on: raft-rs counts on a leader that belongs to its group. It comes
/// to this only when it was elected with the end of the change already in its log.
fn step_down(group: &mut Group) {
    let term = group.raw.raft.term;
    group.raw.raft.become_follower(term, 0);
    // Said as a leader; they may all be lost.
    group.raw.raft.msgs.clear();
}

impl Driver {
    /// Answers a node that introduces itself, and keeps its claim if it is the first: see
    /// [`crate::bootstrap`].
    pub(super) async fn introduce(
        &mut self,
        node: NodeId,
        token: u64,
        reply: ReplyTo,
    ) -> Result<(), DriverError> {
        let directory = self.transport.directory();
        let mut taken = node != 0 && (directory.is_taken(node) || !directory.addresses.contains_key(&node));
        if node != 0 && !taken {
            let store = self.store.clone();
            let first = rt::task::blocking(move || store.claim(node, token)).await?;
            taken = first != token;
        }
        let (format, version) = (self.options.format, directory.version);
        let nodes = if directory.is_known() { directory.addresses.into_iter().collect() } else { Vec::new() };
        reply.send(Response::Introduced(Introduction { format, taken, version, nodes }));
        Ok(())
    }
}
