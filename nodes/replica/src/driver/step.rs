//! What comes in: ticks, messages and requests, turned into steps of raft.

use super::create::fix_timeout;
use super::{Driver, DriverError, Event, change};
use crate::envelope::Batch;
use crate::frame::{Consistency, Frame, Refusal, Request, Response};
use crate::group::{Group, Incoming, Proposed, Read};
use crate::transport::ReplyTo;
use crate::{GroupId, NodeId};
use raft::eraftpb::Message;
use raft::eraftpb::MessageType::{MsgRequestPreVote, MsgRequestVote, MsgTimeoutNow};
use raft::{SnapshotStatus, StateRole};
use rt::time::Instant;
use std::collections::BTreeSet;

/// Ticks between times at which a leader begins to look whether it could hand over to the group's home.
const HOME_CHECK_TICKS: u64 = 20;
/// Ticks between two times that a leader tells everybody that it leads.
const ANNOUNCE_TICKS: u64 = 10;
/// Ticks a stopping node waits for its leaderships to be taken over.
const STOP_TICKS: u32 = 10;
/// Bytes of commands in one round of a group, and so in one entry, that take no more with them: an entry must
/// fit a frame.
const MAX_ARRIVED_BYTES: usize = 8 << 20;
/// Entries proposed and not yet applied in a group at most.
const MAX_PROPOSED: usize = 1024;

impl Driver {
    pub(super) async fn take(&mut self, event: Event) -> Result<(), DriverError> {
        match event {
            Event::Raft { from, group, message } => self.step(from, group, message),
            Event::Leads { node, group, term } => self.routes.leads(group, node, term),
            Event::Unreachable { peer, refused } => {
                if refused {
                    self.gone.insert(peer);
                }
                for group in self.groups.values_mut() {
                    if group.raw.raft.state == StateRole::Leader {
                        group.raw.report_unreachable(peer);
                    }
                }
            }
            Event::SnapshotChunk { from, group, transfer, number, chunk } => {
                self.chunk(from, group, transfer, number, chunk);
            }
            Event::SnapshotEnd { from, group, transfer, chunks, message } => {
                self.snapshot_end(from, group, transfer, chunks, message);
            }
            Event::SnapshotSent { group, peer, sent } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    let status = if sent { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
                    group.raw.report_snapshot(peer, status);
                }
            }
            Event::CreateGroup { spec } => self.create(spec).await?,
            Event::RemoveGroup { group, term, last_index } => self.remove(group, term, last_index).await?,
            Event::Home { group, home } => {
                if let Some(group) = self.groups.get_mut(&group)
                    && std::mem::replace(&mut group.home, home) != home
                    && self.stopping.is_none()
                {
                    group.look_home = !hand_over_to_home(group, self.options.node);
                    fix_timeout(&self.options, group);
                }
            }
            Event::Request { request: Request::Introduce { node, token }, reply } => {
                self.introduce(node, token, reply).await?;
            }
            Event::Request { request, reply } => self.request(request, reply),
            // Nobody waits any more: the answer has no taker.
            Event::Status { reply } => drop(reply.send(self.status())),
            Event::Stop => self.begin_stop(),
        }
        Ok(())
    }

    fn step(&mut self, from: NodeId, group: GroupId, message: Message) {
        let Some(group) = self.groups.get_mut(&group) else { return };
        // A snapshot's description alone is useless: its rows come beside it.
        let announces_snapshot = message.get_msg_type() == raft::eraftpb::MessageType::MsgSnapshot;
        if message.from != from || message.to != self.options.node || announces_snapshot {
            return;
        }
        // A replica that was deleted and begins anew would forget what it has told others.
        let asks_for_vote =
            matches!(message.get_msg_type(), MsgRequestVote | MsgRequestPreVote | MsgTimeoutNow);
        if asks_for_vote && !group.keeps_promise() {
            return;
        }
        self.gone.remove(&from);
        if asks_for_vote && leader_is_gone(group, &self.gone) {
            give_up_leader(group);
        }
        if let Err(error) = group.raw.step(message) {
            tracing::debug!(group = group.id, %error, "message dropped");
        }
        fix_timeout(&self.options, group);
    }

    pub(super) fn tick(&mut self) {
        let retry_reads_after = self.options.tick * self.options.election_ticks as u32 / 2;
        for group in self.groups.values_mut() {
            group.ticks += 1;
            // It may refuse connections and live: then it is heard.
            let silent = group.raw.raft.election_elapsed > self.options.heartbeat_ticks;
            if silent && leader_is_gone(group, &self.gone) {
                give_up_leader(group);
            }
            if group.keeps_promise() {
                group.raw.tick();
            }
            change::advance(group, self.options.node);
            if std::mem::take(&mut group.eager)
                && let Err(error) = group.raw.campaign()
            {
                tracing::debug!(group = group.id, %error, "did not campaign");
            }
            ask_again(group, retry_reads_after);
            if rt::buggify!("driver: leadership is handed over at an odd moment", 0.002) {
                hand_over(group, self.options.node);
            }
            // Who answers is forgotten every election timeout: one look at a bad moment must not decide.
            if self.stopping.is_some() && group.raw.raft.lead_transferee.is_none() {
                hand_over(group, self.options.node);
            } else if self.stopping.is_none() {
                group.look_home |= group.ticks % HOME_CHECK_TICKS == 0;
                group.look_home = group.look_home && !hand_over_to_home(group, self.options.node);
            }
            fix_timeout(&self.options, group);
        }
        self.announce();
        if let Some(left) = &mut self.stopping {
            *left = left.saturating_sub(1);
        }
    }

    /// Says again what leaders say when they are elected: not everybody may have heard it.
    fn announce(&self) {
        for group in self.groups.values() {
            if group.raw.raft.state == StateRole::Leader && group.ticks % ANNOUNCE_TICKS == 0 {
                let term = group.raw.raft.term;
                self.transport.broadcast(&Frame::Leads { group: group.id, term });
            }
        }
    }

    fn request(&mut self, request: Request, reply: ReplyTo) {
        let group = request.group().and_then(|group| self.groups.get_mut(&group));
        let Some(group) = group else {
            return reply.send(Response::Refused(Refusal::NoReplica));
        };
        let leads = group.raw.raft.state == StateRole::Leader;
        match request {
            Request::Read { consistency: Consistency::Stale, .. }
                if !group.members().contains(self.options.node) =>
            {
                // Not yet taken in, or no part of the group any more: what it holds may be nothing.
                reply.send(Response::Refused(Refusal::NoReplica));
            }
            Request::Read { query, consistency: Consistency::Stale, .. } => {
                group.answer(Read { query, reply })
            }
            _ if !leads || self.stopping.is_some() => reply.send(group.not_leader()),
            Request::Read { query, .. } => group.reads.new.push(Read { query, reply }),
            Request::Propose { .. }
                if group.proposed.len() >= MAX_PROPOSED
                    || arrived_bytes(group) >= MAX_ARRIVED_BYTES
                    || rt::buggify!("driver: a proposal is refused as too much", 0.01) =>
            {
                rt::reachable!("driver: a proposal was refused as too much");
                reply.send(Response::Refused(Refusal::Busy));
            }
            Request::Propose { envelopes, .. } => {
                group.arrived_waiting.push((reply, envelopes.len()));
                group.arrived.extend(envelopes);
            }
            Request::Members { .. } => reply.send(change::members(group)),
            Request::Reconfigure(target) => {
                let answer = change::ask(group, target, self.options.node);
                fix_timeout(&self.options, group);
                reply.send(answer);
            }
            Request::Introduce { .. } => reply.send(Response::Refused(Refusal::Nonsense)),
        }
    }

    /// Everything that arrived for a group in this round becomes one entry.
    pub(super) fn propose_arrived(&mut self) {
        for group in self.groups.values_mut().filter(|group| !group.arrived_waiting.is_empty()) {
            let waiting = std::mem::take(&mut group.arrived_waiting);
            let batch = Batch { at_ms: rt::time::wall_ms(), envelopes: std::mem::take(&mut group.arrived) };
            // Not even tried when leadership went in this same round: raft would forward it in silence.
            let refusal = if group.raw.raft.state != StateRole::Leader {
                Some(group.not_leader())
            } else {
                match group.raw.propose(Vec::new(), batch.encode()) {
                    Ok(()) => None,
                    // Leadership is being handed over: in a moment another one takes it.
                    Err(_) if group.raw.raft.lead_transferee.is_some() => {
                        Some(Response::Refused(Refusal::NotLeader { leader: None }))
                    }
                    // The limit of uncommitted bytes.
                    Err(_) => Some(Response::Refused(Refusal::Busy)),
                }
            };
            match refusal {
                Some(refusal) => waiting.into_iter().for_each(|(reply, _)| reply.send(refusal.clone())),
                None => {
                    let index = group.raw.raft.raft_log.last_index();
                    let term = group.raw.raft.term;
                    group.proposed.insert(index, Proposed { term, waiting });
                }
            }
        }
    }

    /// One question for an index answers all reads that wait in a group.
    pub(super) fn ask_for_read_indexes(&mut self) {
        for group in self.groups.values_mut().filter(|group| !group.reads.new.is_empty()) {
            // Before the first commit of its term a leader does not know what is committed; raft-rs
            // would drop the question in silence.
            if group.raw.raft.state != StateRole::Leader || !group.raw.raft.commit_to_current_term() {
                rt::reachable!("driver: a read waited for the first commit of its leader's term");
                continue;
            }
            self.read_number += 1;
            let reads = std::mem::take(&mut group.reads.new);
            group.reads.asked.insert(self.read_number, (reads, Instant::now()));
            group.raw.read_index(self.read_number.to_le_bytes().to_vec());
        }
    }

    fn chunk(&mut self, from: NodeId, id: GroupId, transfer: u64, number: u64, chunk: crate::store::Chunk) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        if group.raw.raft.raft_log.unstable.snapshot.is_some() {
            // The rows of a whole snapshot wait to be installed: another one's must not take their place
            // under its index.
            return;
        }
        if number == 0 {
            group.incoming = Some(Incoming { from, transfer, next: 0, complete: false });
        }
        let Some(incoming) = &mut group.incoming else { return };
        let expected = (incoming.from, incoming.transfer, incoming.next) == (from, transfer, number);
        if !expected
            || incoming.complete
            || !chunk.is_intact()
            || rt::buggify!("driver: a chunk of a snapshot is refused")
        {
            rt::reachable!("driver: a chunk of a snapshot was refused");
            group.incoming = None;
            return;
        }
        incoming.next += 1;
        incoming.complete = chunk.last;
        self.staged.push((id, number, chunk.rows));
    }

    fn snapshot_end(&mut self, from: NodeId, id: GroupId, transfer: u64, chunks: u64, message: Message) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let whole = group.incoming.as_ref().is_some_and(|incoming| {
            incoming.complete && (incoming.from, incoming.transfer, incoming.next) == (from, transfer, chunks)
        });
        if !whole || message.from != from || message.to != self.options.node {
            rt::reachable!("driver: a snapshot came to its end with pieces missing");
            return;
        }
        if let Err(error) = group.raw.step(message) {
            tracing::debug!(group = group.id, %error, "snapshot dropped");
        }
        fix_timeout(&self.options, group);
    }

    fn begin_stop(&mut self) {
        self.stopping = Some(STOP_TICKS);
        for group in self.groups.values_mut() {
            hand_over(group, self.options.node);
            fix_timeout(&self.options, group);
        }
    }

    /// True when a stopping node leads nothing any more, or has waited long enough.
    pub(super) fn stopped(&self) -> bool {
        let leads = |group: &Group| group.raw.raft.state == StateRole::Leader;
        let alone = |group: &Group| group.members().voters.len() == 1;
        match self.stopping {
            None => false,
            Some(0) => true,
            Some(_) => !self.groups.values().any(|group| leads(group) && !alone(group)),
        }
    }
}

fn arrived_bytes(group: &Group) -> usize {
    group.arrived.iter().map(|envelope| envelope.payload.len()).sum()
}

/// raft drops questions for an index in silence now and then; they are asked again under a new number.
fn ask_again(group: &mut Group, after: std::time::Duration) {
    let late: Vec<u64> = group
        .reads
        .asked
        .iter()
        .filter(|(_, (_, since))| {
            since.elapsed() >= after || rt::buggify!("driver: a read index is asked for again too early")
        })
        .map(|(number, _)| *number)
        .collect();
    for number in late {
        rt::reachable!("driver: a read index was asked for again");
        if let Some((reads, _)) = group.reads.asked.remove(&number) {
            group.reads.new.extend(reads);
        }
    }
}

/// True if this replica follows a leader whose process is known to have ended.
fn leader_is_gone(group: &Group, gone: &BTreeSet<NodeId>) -> bool {
    group.raw.raft.state == StateRole::Follower && group.leader().is_some_and(|leader| gone.contains(&leader))
}

/// Counts a leader as silent for as long as it takes to vote for another one. When this replica asks for votes
/// itself stays its own draw, so that not all ask at once.
fn give_up_leader(group: &mut Group) {
    let raft = &mut group.raw.raft;
    if raft.election_elapsed < raft.election_timeout() {
        rt::reachable!("driver: a leader was given up because its process is gone");
        raft.election_elapsed = raft.election_timeout();
    }
}

/// Hands a leadership over to whoever is closest to taking it.
fn hand_over(group: &mut Group, node: NodeId) {
    if group.raw.raft.state == StateRole::Leader
        && let Some(heir) = heir(group, node)
    {
        group.raw.transfer_leader(heir);
    }
}

/// The voter that has most of the log.
pub(super) fn heir(group: &Group, node: NodeId) -> Option<NodeId> {
    let progress = group.raw.raft.prs();
    let voters = group.members().voters.iter().filter(|voter| **voter != node);
    let known = voters.filter_map(|voter| Some((progress.get(*voter)?, *voter)));
    known.filter(|(p, _)| p.recent_active).max_by_key(|(p, voter)| (p.matched, *voter)).map(|(_, v)| v)
}

/// Leaders stay where placement wants them, so that the load does. False if that would be right and the home is
/// not ready for it: then it is worth another look soon.
fn hand_over_to_home(group: &mut Group, node: NodeId) -> bool {
    let home = group.home;
    let raft = &group.raw.raft;
    if raft.state != StateRole::Leader || home == node || raft.lead_transferee.is_some() {
        return true;
    }
    // A change of members under way needs its leader.
    if group.target.is_some() || group.members().is_joint() || !group.members().voters.contains(&home) {
        return true;
    }
    let ready = raft.prs().get(home).is_some_and(|p| p.recent_active && p.matched >= raft.raft_log.committed);
    if ready {
        rt::reachable!("driver: leadership was handed over to the group's home");
        group.raw.transfer_leader(home);
    }
    ready
}
