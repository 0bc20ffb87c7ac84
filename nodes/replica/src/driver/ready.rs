//! What goes out: one round of raft's decisions, written in one transaction.

use super::create::fix_timeout;
use super::{Driver, DriverError, Event, change};
use crate::frame::Frame;
use crate::group::Group;
use crate::members::Members;
use crate::observe::Step;
use crate::options::ReplicaOptions;
use crate::store::{Changes, GroupChanges, Position, SnapshotReader, StoreError};
use crate::transport::Transport;
use crate::{GroupId, NodeId, codec};
use raft::eraftpb::{Entry, EntryType, HardState, Message, MessageType, Snapshot};
use raft::{Ready, StateRole};
use std::sync::Arc;

/// Applied entries are written with the next log write; without one, after this many ticks.
const FLUSH_TICKS: u64 = 10;
/// A state hash is shown to the observer every so many entries.
const HASH_EVERY: u64 = 16;

/// A group's part of a round, between `ready` and `advance`.
struct Part {
    group: GroupId,
    ready: Ready,
    entries: Vec<Entry>,
    hard_state: Option<HardState>,
    snapshot: Option<(Position, Members)>,
}

impl Driver {
    /// One round over all groups. Returns false when there was nothing to do.
    pub(super) async fn round(&mut self) -> Result<bool, DriverError> {
        if rt::buggify!("driver: a round takes long", 0.01) {
            rt::time::sleep(self.options.tick).await;
        }
        let mut parts = Vec::new();
        let mut changes = Changes { groups: Vec::new(), staged: std::mem::take(&mut self.staged) };
        let mut must_write = !changes.staged.is_empty();
        let ids: Vec<GroupId> = self.groups.keys().copied().collect();
        for &id in &ids {
            must_write |= self.begin(id, &mut parts)?;
        }
        // What was applied but not yet written rides along, or waits for its tick.
        let due = |ticks: u64| {
            ticks.is_multiple_of(FLUSH_TICKS) || rt::buggify!("driver: applied rows are written early")
        };
        let flush = self.groups.values().any(|g| g.urgent || g.dirty && due(g.ticks));
        if parts.is_empty() && !must_write && !flush {
            return Ok(false);
        }
        if must_write || flush {
            self.gather(&parts, &mut changes);
            self.write(changes).await?;
        }
        for part in parts {
            self.finish(part).await?;
        }
        Ok(true)
    }

    /// Takes a group's Ready: sends and applies what need not wait for the disk. True if it must be
    /// written.
    fn begin(&mut self, id: GroupId, parts: &mut Vec<Part>) -> Result<bool, DriverError> {
        let Some(group) = self.groups.get_mut(&id) else { return Ok(false) };
        if !group.raw.has_ready() {
            return Ok(false);
        }
        let mut ready = group.raw.ready();
        let messages = ready.take_messages();
        let role = ready.ss().map(|soft| soft.raft_state);
        let committed = ready.take_committed_entries();
        for state in ready.take_read_states() {
            let number = state.request_ctx.as_slice().try_into().map(u64::from_le_bytes);
            if let Some((reads, _)) = number.ok().and_then(|number| group.reads.asked.remove(&number)) {
                group.reads.ready.push((state.index, reads));
            }
        }
        let hard_state = ready.hs().cloned();
        let entries = ready.take_entries();
        let snapshot = described(ready.snapshot());
        let must_write = ready.must_sync() || !entries.is_empty() || snapshot.is_some();
        if let Some(role) = role {
            self.change_role(id, role);
        }
        self.send(id, messages)?;
        self.apply(id, committed);
        parts.push(Part { group: id, ready, entries, hard_state, snapshot });
        Ok(must_write)
    }

    fn change_role(&mut self, id: GroupId, role: StateRole) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let was = std::mem::replace(&mut group.role, role);
        let term = group.raw.raft.term;
        if was == role {
            return;
        }
        if role == StateRole::Leader {
            tracing::info!(group = id, term, node = self.options.node, "elected leader");
            self.observe(id, Step::BecameLeader { term });
            self.routes.leads(id, self.options.node, term);
            self.transport.broadcast(&Frame::Leads { group: id, term });
        } else if was == StateRole::Leader {
            rt::sometimes!(
                !group.proposed.is_empty(),
                "driver: leadership went while proposals were under way"
            );
            group.refuse_reads();
            tracing::info!(group = id, term, node = self.options.node, "stepped down");
            self.observe(id, Step::SteppedDown { term });
        }
    }

    /// Applies committed entries and answers those who wait for them.
    fn apply(&mut self, id: GroupId, entries: Vec<Entry>) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        for entry in entries {
            if entry.entry_type == EntryType::EntryConfChangeV2 {
                change::apply(group, &entry, self.options.node);
            }
            group.apply(&entry);
            if let Some(observer) = &self.options.observer {
                let node = self.options.node;
                observer.observe(
                    node,
                    id,
                    Step::Applied { index: entry.index, term: entry.term, hash: hash(&entry) },
                );
                if entry.index % HASH_EVERY == 0 {
                    observer.observe(node, id, Step::StateHash { index: entry.index, hash: group.hash() });
                }
            }
        }
        group.answer_ready_reads();
    }

    /// Puts everything that changed in any group into one transaction.
    fn gather(&mut self, parts: &[Part], changes: &mut Changes) {
        for group in self.groups.values_mut() {
            let part = parts.iter().find(|part| part.group == group.id);
            let compact_to = compaction_point(&self.options, group);
            if part.is_none() && !group.dirty && !group.urgent && compact_to == 0 {
                continue;
            }
            // A snapshot replaces the rows: what was changed in the old ones is void.
            let snapshot = part.and_then(|part| part.snapshot.as_ref());
            group.urgent = false;
            let rows = if snapshot.is_some() { Vec::new() } else { group.take_changes() };
            let applied = group.applied;
            let log = group.raw.mut_store();
            let mut entries = Vec::new();
            let (first_index_before, last_index_before) = (log.first(), log.last());
            log.record.applied = applied;
            let (from, next) = (part.and_then(|part| part.entries.first()), last_index_before + 1);
            rt::sometimes!(from.is_some_and(|e| e.index < next), "driver: a conflicting suffix was cut off");
            rt::sometimes!(
                snapshot.is_some() && first_index_before < next,
                "driver: a snapshot was installed over a log with entries"
            );
            rt::sometimes!(
                snapshot.is_some() && parts.iter().any(|part| !part.entries.is_empty()),
                "driver: a snapshot was installed while entries were being appended"
            );
            rt::sometimes!(compact_to > 0, "driver: a log was compacted");
            if let Some(part) = part {
                if let Some((at, members)) = snapshot {
                    log.reset(*at, members.clone());
                }
                if let Some(state) = &part.hard_state {
                    (log.record.term, log.record.vote, log.record.commit) =
                        (state.term, state.vote, state.commit);
                }
                log.append(&part.entries);
                entries.clone_from(&part.entries);
            }
            log.record.commit = log.record.commit.max(log.record.applied.index);
            log.compact(compact_to);
            changes.groups.push(GroupChanges {
                record: log.record.clone(),
                install_snapshot: snapshot.is_some(),
                entries,
                last_index_before: if snapshot.is_some() { 0 } else { last_index_before },
                compact_to: if snapshot.is_some() { 0 } else { compact_to },
                first_index_before,
                rows,
            });
            rt::always!(
                names_those_that_count(group),
                "driver: a record names the members that raft counts",
                "{:?}",
                group.members()
            );
        }
    }

    /// One transaction, one fsync. Afterwards everything in it is durable and said so to the observer.
    async fn write(&mut self, changes: Changes) -> Result<(), DriverError> {
        let store = self.store.clone();
        let (changes, view) = rt::task::blocking(move || -> Result<_, StoreError> {
            store.commit(&changes)?;
            let view = store.view()?;
            Ok((changes, view))
        })
        .await?;
        self.commits += 1;
        // All of them, not only those written: an old view keeps the store from using space again.
        for group in self.groups.values_mut() {
            group.rows = Some(view.of(group.id));
        }
        for written in &changes.groups {
            let id = written.record.spec.group;
            if let Some(group) = self.groups.get_mut(&id) {
                let log = group.raw.mut_store();
                log.durable_applied = written.record.applied;
                if log.durable_members != written.record.members {
                    log.durable_members.clone_from(&written.record.members);
                }
            }
            self.observe_written(written);
        }
        Ok(())
    }

    fn observe_written(&self, written: &GroupChanges) {
        if self.options.observer.is_none() {
            return;
        }
        let record = &written.record;
        let id = record.spec.group;
        if written.install_snapshot {
            let Position { index, term } = record.truncated;
            self.observe(id, Step::SnapshotInstalled { index, term });
        }
        for entry in &written.entries {
            self.observe(id, Step::Appended { index: entry.index, term: entry.term, hash: hash(entry) });
        }
        self.observe(id, Step::HardState { term: record.term, vote: record.vote, commit: record.commit });
    }

    /// After the write: what had to wait for it may go.
    async fn finish(&mut self, mut part: Part) -> Result<(), DriverError> {
        let id = part.group;
        if let Some((at, _)) = part.snapshot.take() {
            self.adopt_snapshot(id, at).await?;
        }
        self.send(id, part.ready.take_persisted_messages())?;
        let Some(group) = self.groups.get_mut(&id) else { return Ok(()) };
        let mut light = group.raw.advance(part.ready);
        if let Some(commit) = light.commit_index() {
            // Written with the next transaction: a commit index may lag behind.
            group.raw.mut_store().record.commit = commit;
        }
        let messages = light.take_messages();
        let committed = light.take_committed_entries();
        self.send(id, messages)?;
        self.apply(id, committed);
        if let Some(group) = self.groups.get_mut(&id) {
            group.raw.advance_apply();
            fix_timeout(&self.options, group);
        }
        Ok(())
    }

    /// The store holds a snapshot's rows: the state machine takes them over.
    async fn adopt_snapshot(&mut self, id: GroupId, at: Position) -> Result<(), DriverError> {
        let machine = self.new_machine(id);
        let Some(group) = self.groups.get_mut(&id) else { return Ok(()) };
        let Some(rows) = group.rows.clone() else { return Ok(()) };
        let all = rt::task::blocking(move || rows.all()).await?;
        group.restore(machine, all).map_err(|reason| StoreError::Damaged { group: id, reason })?;
        group.applied = at;
        group.incoming = None;
        group.forget_proposed(at.index);
        *self.snapshots.entry(id).or_default() += 1;
        tracing::info!(group = id, index = at.index, node = self.options.node, "snapshot installed");
        Ok(())
    }

    fn send(&mut self, id: GroupId, messages: Vec<Message>) -> Result<(), DriverError> {
        for message in messages {
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.send_snapshot(id, message)?;
                continue;
            }
            let frame = Frame::Raft { group: id, message: codec::encode(&message) };
            // A dropped message is raft's daily bread: it is sent again.
            let _ = self.transport.send(message.to, &frame);
        }
        Ok(())
    }

    /// Starts a task that sends the rows as they are on the disk now, then the message.
    fn send_snapshot(&mut self, id: GroupId, message: Message) -> Result<(), DriverError> {
        let Some(rows) = self.groups.get(&id).and_then(|group| group.rows.clone()) else { return Ok(()) };
        let reader = SnapshotReader::new(rows, self.options.snapshot_chunk_bytes);
        let (transport, sender) = (self.transport.clone(), self.sender.clone());
        *self.snapshots.entry(id).or_default() += 1;
        let transfer = rt::random::u64();
        rt::task::spawn(async move {
            let peer = message.to;
            let sent = stream_snapshot(&transport, id, transfer, reader, message).await;
            if let Some(sender) = sender.upgrade() {
                // The driver is gone: nobody waits for the news.
                let _ = sender.send(Event::SnapshotSent { group: id, peer, sent }).await;
            }
        });
        Ok(())
    }

    /// Writes what is applied but not yet written.
    pub(super) async fn flush(&mut self) -> Result<(), DriverError> {
        let mut changes = Changes::default();
        self.gather(&[], &mut changes);
        if changes.is_empty() { Ok(()) } else { self.write(changes).await }
    }
}

async fn stream_snapshot(
    transport: &Arc<Transport>,
    group: GroupId,
    transfer: u64,
    mut reader: SnapshotReader,
    message: Message,
) -> bool {
    let peer: NodeId = message.to;
    for number in 0.. {
        let (back, chunk) = rt::task::blocking(move || {
            let chunk = reader.next_chunk();
            (reader, chunk)
        })
        .await;
        reader = back;
        if rt::buggify!("driver: a snapshot is given up while it is sent") {
            return false;
        }
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::error!(group, %error, "cannot read the snapshot");
                return false;
            }
        };
        let last = chunk.last;
        if !transport.send_waiting(peer, &Frame::SnapshotChunk { group, transfer, number, chunk }).await {
            return false;
        }
        if last {
            let message = codec::encode(&message);
            let end = Frame::SnapshotEnd { group, transfer, chunks: number + 1, message };
            return transport.send_waiting(peer, &end).await;
        }
    }
    false
}

/// Up to where the log may go, 0 for nowhere: only what the rows on the disk hold.
fn compaction_point(options: &ReplicaOptions, group: &Group) -> u64 {
    let log = group.raw.store();
    let small = log.len() < options.compact_after_entries && log.size_bytes() < options.compact_after_bytes;
    if small && !rt::buggify!("driver: a log is compacted right now") {
        return 0;
    }
    let trailing = options.trailing_entries.min(log.len() as u64 / 2);
    let to = log.durable_applied.index.saturating_sub(trailing);
    if to < log.first() { 0 } else { to }
}

fn names_those_that_count(group: &Group) -> bool {
    let counted = group.raw.raft.prs().conf().to_conf_state();
    *group.members() == Members::of(group.members().version, &counted)
}

/// Where a snapshot ends and who belonged to the group there; `None` if there is no snapshot.
fn described(snapshot: &Snapshot) -> Option<(Position, Members)> {
    let metadata = snapshot.get_metadata();
    let at = Position { index: metadata.index, term: metadata.term };
    // Nodes before membership changes send no members of our own form.
    let members =
        Members::decode(&snapshot.data).unwrap_or_else(|| Members::of(0, metadata.get_conf_state()));
    (at.index > 0).then_some((at, members))
}

fn hash(entry: &Entry) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&entry.data, entry.entry_type as u64)
}
