//! One replica of one group: raft's node, the state machine, and who waits for what.
//!
//! Holds the data and what follows from applying entries. Everything that drives raft-rs is in
//! [`crate::driver`].

use crate::dedup::Dedup;
use crate::envelope::{Answer, Batch, Envelope};
use crate::frame::{Refusal, Response};
use crate::machine::{Row, RowChange, StateMachine};
use crate::members::{Members, Target};
use crate::store::{GroupLog, GroupRows, Position};
use crate::transport::ReplyTo;
use crate::{GroupId, NodeId};
use raft::eraftpb::{Entry, EntryType};
use raft::{RawNode, StateRole};
use rt::time::Instant;
use std::collections::BTreeMap;

/// A proposal in the log whose fate is open.
pub(crate) struct Proposed {
    pub(crate) term: u64,
    /// Who waits, and how many of the entry's commands are theirs.
    pub(crate) waiting: Vec<(ReplyTo, usize)>,
}

/// A read that waits for its turn.
pub(crate) struct Read {
    pub(crate) query: Vec<u8>,
    pub(crate) reply: ReplyTo,
}

/// Linearizable reads on their way.
#[derive(Default)]
pub(crate) struct Reads {
    /// Not yet asked for an index.
    pub(crate) new: Vec<Read>,
    /// Asked for an index under a number that is never used twice.
    pub(crate) asked: BTreeMap<u64, (Vec<Read>, Instant)>,
    /// Have an index, wait until it is applied.
    pub(crate) ready: Vec<(u64, Vec<Read>)>,
}

impl Reads {
    fn take_all(&mut self) -> Vec<Read> {
        let asked = std::mem::take(&mut self.asked).into_values().flat_map(|(reads, _)| reads);
        let ready = std::mem::take(&mut self.ready).into_iter().flat_map(|(_, reads)| reads);
        std::mem::take(&mut self.new).into_iter().chain(asked).chain(ready).collect()
    }
}

/// A snapshot being received.
pub(crate) struct Incoming {
    pub(crate) from: NodeId,
    pub(crate) transfer: u64,
    pub(crate) next: u64,
    pub(crate) complete: bool,
}

pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) raw: RawNode<GroupLog>,
    pub(crate) machine: Box<dyn StateMachine>,
    pub(crate) dedup: Dedup,
    pub(crate) applied: Position,
    pub(crate) role: StateRole,
    /// Commands that came in this round.
    pub(crate) arrived: Vec<Envelope>,
    pub(crate) arrived_waiting: Vec<(ReplyTo, usize)>,
    pub(crate) proposed: BTreeMap<u64, Proposed>,
    pub(crate) reads: Reads,
    pub(crate) incoming: Option<Incoming>,
    /// Applied beyond what the rows on the disk hold.
    pub(crate) dirty: bool,
    pub(crate) rows: Option<GroupRows>,
    /// Its members changed: to be written at once.
    pub(crate) urgent: bool,
    /// The voter that leads when all is well.
    pub(crate) home: NodeId,
    /// What a leader was asked to make of its group, and has not yet made.
    pub(crate) target: Option<Target>,
    /// A fresh replica at home may lead at once, without waiting for an election timeout.
    pub(crate) eager: bool,
    pub(crate) ticks: u64,
    /// It is time to hand over to the home, as soon as that can be done.
    pub(crate) look_home: bool,
}

impl Group {
    pub(crate) fn leader(&self) -> Option<NodeId> {
        Some(self.raw.raft.leader_id).filter(|leader| *leader != 0)
    }

    pub(crate) fn not_leader(&self) -> Response {
        Response::Refused(Refusal::NotLeader { leader: self.leader() })
    }

    /// Who belongs to the group, as applied here.
    pub(crate) fn members(&self) -> &Members {
        &self.raw.store().record.members
    }

    /// True if the log reaches what an earlier replica here has told others that it does.
    pub(crate) fn keeps_promise(&self) -> bool {
        let log = self.raw.store();
        log.end().reaches(log.record.promise)
    }

    /// Applies a committed entry and answers those who wait for it.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        let (at, before) = (entry.index, self.applied.index);
        rt::always!(at == before + 1, "group: entries are applied one by one", "{at} after {before}");
        let answers = self.apply_batch(entry);
        self.applied = Position { index: entry.index, term: entry.term };
        self.dirty = true;
        let Some(proposed) = self.proposed.remove(&entry.index) else { return };
        if proposed.term != entry.term {
            // Another leader's entry took the place: ours is not committed and never will be.
            rt::reachable!("group: a proposal was overwritten by another leader's entry");
            for (reply, _) in proposed.waiting {
                reply.send(Response::Refused(Refusal::Overwritten));
            }
            return;
        }
        let mut answers = answers.into_iter();
        for (reply, count) in proposed.waiting {
            let answers = answers.by_ref().take(count).collect();
            reply.send(Response::Proposed { index: entry.index, answers });
        }
    }

    fn apply_batch(&mut self, entry: &Entry) -> Vec<Answer> {
        // Changes of members are the driver's.
        if entry.data.is_empty() || entry.entry_type != EntryType::EntryNormal {
            return Vec::new();
        }
        match Batch::decode(&entry.data) {
            Ok(batch) => batch.envelopes.iter().map(|e| self.apply_envelope(e, batch.at_ms)).collect(),
            Err(error) => {
                // It was committed, so every replica skips it the same way.
                tracing::error!(group = self.id, index = entry.index, %error, "an entry that is no batch");
                Vec::new()
            }
        }
    }

    fn apply_envelope(&mut self, envelope: &Envelope, at_ms: u64) -> Answer {
        let Some(key) = &envelope.key else {
            return Answer::Applied(self.machine.apply(&envelope.payload, at_ms));
        };
        let fingerprint = envelope.fingerprint();
        if let Some(answer) = self.dedup.lookup(key, fingerprint) {
            rt::reachable!("group: a retry was answered from the dedup table");
            return answer;
        }
        let answer = self.machine.apply(&envelope.payload, at_ms);
        self.dedup.remember(key, fingerprint, &answer);
        Answer::Applied(answer)
    }

    /// Answers reads whose index is applied.
    pub(crate) fn answer_ready_reads(&mut self) {
        if self.reads.ready.is_empty() {
            return;
        }
        let ready = std::mem::take(&mut self.reads.ready);
        let (now, later): (Vec<_>, Vec<_>) =
            ready.into_iter().partition(|(index, _)| *index <= self.applied.index);
        self.reads.ready = later;
        for read in now.into_iter().flat_map(|(_, reads)| reads) {
            self.answer(read);
        }
    }

    /// Answers a read from what is applied.
    pub(crate) fn answer(&self, read: Read) {
        let response = match &self.rows {
            Some(rows) => {
                let answer = self.machine.query(&read.query, rows);
                Response::Read { applied: self.applied.index, answer }
            }
            None => Response::Refused(Refusal::NoReplica),
        };
        read.reply.send(response);
    }

    /// Leadership is gone: reads go elsewhere. Proposals keep their place until the log decides.
    pub(crate) fn refuse_reads(&mut self) {
        let response = self.not_leader();
        for read in self.reads.take_all() {
            read.reply.send(response.clone());
        }
    }

    /// The replica goes: who waits gets no answer from here.
    pub(crate) fn refuse_all(&mut self) {
        for read in self.reads.take_all() {
            read.reply.send(Response::Refused(Refusal::NoReplica));
        }
        for (reply, _) in std::mem::take(&mut self.arrived_waiting) {
            reply.send(Response::Refused(Refusal::NoReplica));
        }
        self.forget_proposed(u64::MAX - 1);
    }

    /// A snapshot jumped over entries that somebody waits for: what became of them is not known here.
    pub(crate) fn forget_proposed(&mut self, up_to: u64) {
        let later = self.proposed.split_off(&(up_to + 1));
        for proposed in std::mem::replace(&mut self.proposed, later).into_values() {
            for (reply, _) in proposed.waiting {
                reply.send(Response::Refused(Refusal::Unknown));
            }
        }
    }

    /// Changed rows of machine and dedup table since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<RowChange> {
        let mut rows = self.machine.take_changes();
        rows.extend(self.dedup.take_changes());
        self.dirty = false;
        rows
    }

    /// Loads machine and dedup table from `rows`.
    pub(crate) fn restore(&mut self, machine: Box<dyn StateMachine>, rows: Vec<Row>) -> Result<(), String> {
        let (dedup, machine_rows): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|(key, _)| key.first() == Some(&crate::dedup::ROW_PREFIX));
        self.machine = machine;
        self.dedup = Dedup::new();
        for row in &dedup {
            self.dedup.restore(row)?;
        }
        self.dirty = false;
        self.machine.restore(&mut machine_rows.into_iter())
    }

    /// Hash over everything replicated.
    pub(crate) fn hash(&self) -> u64 {
        self.machine.hash() ^ self.dedup.hash().rotate_left(32)
    }
}
