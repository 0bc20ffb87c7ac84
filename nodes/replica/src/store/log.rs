//! A group's log as raft-rs reads it: a mirror in memory of what is on the disk. Compaction bounds it.

use super::changes::{GroupRecord, Position};
use crate::members::Members;
use raft::eraftpb::{Entry, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Storage, StorageError};
use std::collections::VecDeque;

/// Log and hard state of one group.
pub struct GroupLog {
    /// The record as it will be after the transaction being put together.
    pub record: GroupRecord,
    /// Where the rows on the disk stand: what a snapshot taken now would hold.
    pub durable_applied: Position,
    /// Who belonged to the group there.
    pub durable_members: Members,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl GroupLog {
    /// The log as found on the disk.
    pub fn new(record: GroupRecord, entries: Vec<Entry>) -> Self {
        let bytes = entries.iter().map(size).sum();
        let (durable_applied, durable_members) = (record.applied, record.members.clone());
        GroupLog { durable_applied, durable_members, record, entries: entries.into(), bytes }
    }

    /// Index of the first entry.
    pub fn first(&self) -> u64 {
        self.record.truncated.index + 1
    }

    /// Index of the last entry, or of the compaction point.
    pub fn last(&self) -> u64 {
        self.record.truncated.index + self.entries.len() as u64
    }

    /// Bytes of all entries.
    pub fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes new entries in place of everything from the first one's index on.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        while self.last() >= first.index
            && let Some(gone) = self.entries.pop_back()
        {
            self.bytes -= size(&gone);
        }
        self.bytes += entries.iter().map(size).sum::<usize>();
        self.entries.extend(entries.iter().cloned());
    }

    /// Drops entries up to `index`.
    pub fn compact(&mut self, index: u64) {
        while self.first() <= index
            && let Some(gone) = self.entries.pop_front()
        {
            self.bytes -= size(&gone);
            self.record.truncated = Position { index: gone.index, term: gone.term };
        }
    }

    /// Where it ends.
    pub fn end(&self) -> Position {
        let last = self.entries.back().map(|entry| Position { index: entry.index, term: entry.term });
        last.unwrap_or(self.record.truncated)
    }

    /// A snapshot up to `at`, taken when the group had these `members`, replaces everything.
    pub fn reset(&mut self, at: Position, members: Members) {
        self.entries.clear();
        self.bytes = 0;
        self.record.truncated = at;
        self.record.applied = at;
        self.record.members = members.clone();
        self.durable_applied = at;
        self.durable_members = members;
    }

    fn entry(&self, index: u64) -> Option<&Entry> {
        let offset = index.checked_sub(self.first())?;
        self.entries.get(usize::try_from(offset).ok()?)
    }
}

fn size(entry: &Entry) -> usize {
    entry.data.len() + entry.context.len() + 32
}

impl Storage for GroupLog {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.record.hard_state(), self.record.members.conf_state()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.first() {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let mut left = max_size.into().map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
        let mut found: Vec<Entry> = Vec::new();
        for entry in (low..high).filter_map(|index| self.entry(index)) {
            if !found.is_empty() && size(entry) > left {
                break;
            }
            left = left.saturating_sub(size(entry));
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.record.truncated.index {
            return Ok(self.record.truncated.term);
        }
        if index < self.first() {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.entry(index).map(|entry| entry.term).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// Only the description: the rows go to the peer beside it, in chunks. A peer that was taken in after
    /// the rows were written waits: it refuses what does not name it.
    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let at = self.durable_applied;
        let too_old = at.index < request_index || at.index < self.record.truncated.index;
        if at.index == 0 || too_old || !self.durable_members.contains(to) {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        (metadata.index, metadata.term) = (at.index, at.term);
        metadata.set_conf_state(self.durable_members.conf_state());
        // Raft's form has no room for the version.
        snapshot.data = self.durable_members.encode().into();
        Ok(snapshot)
    }
}
