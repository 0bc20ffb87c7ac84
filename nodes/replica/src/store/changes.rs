//! What one transaction writes.

use super::{GROUPS, LOG, STAGING, STATE, StoreError, encode_log_row, snapshot};
use crate::GroupId;
use crate::machine::RowChange;
use crate::options::GroupSpec;
use raft::eraftpb::{Entry, HardState};
use redb::{Database, WriteTransaction};
use serde::{Deserialize, Serialize};

/// A place in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Index.
    pub index: u64,
    /// Term of the entry there.
    pub term: u64,
}

/// What a group keeps beside log and rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Where the group lives.
    pub spec: GroupSpec,
    /// Raft's term.
    pub term: u64,
    /// Whom this replica voted for in that term, 0 for nobody.
    pub vote: u64,
    /// Raft's commit index.
    pub commit: u64,
    /// The last entry that the compaction took.
    pub truncated: Position,
    /// The last entry whose effect the rows hold.
    pub applied: Position,
}

impl GroupRecord {
    /// A group that never did anything.
    pub fn new(spec: GroupSpec) -> Self {
        let start = Position::default();
        GroupRecord { spec, term: 0, vote: 0, commit: 0, truncated: start, applied: start }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }

    /// As raft-rs wants it.
    pub fn hard_state(&self) -> HardState {
        let mut state = HardState::default();
        (state.term, state.vote, state.commit) = (self.term, self.vote, self.commit);
        state
    }
}

/// One transaction over all groups of a node.
#[derive(Default)]
pub struct Changes {
    /// By group.
    pub groups: Vec<GroupChanges>,
    /// Chunks of snapshots being received: group, number, content.
    pub staged: Vec<(GroupId, u64, Vec<u8>)>,
}

impl Changes {
    /// True if there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.staged.is_empty()
    }
}

/// What changes in one group.
pub struct GroupChanges {
    /// The group's record as it is after this.
    pub record: GroupRecord,
    /// True: rows and log are replaced by the staged snapshot, before anything else here.
    pub install_snapshot: bool,
    /// New entries; the first one replaces everything from its index on.
    pub entries: Vec<Entry>,
    /// Last index of the log before this, to know what the first new entry replaces.
    pub last_index_before: u64,
    /// Entries up to here are compacted away; 0 for none.
    pub compact_to: u64,
    /// Index of the first entry still in the log before this.
    pub first_index_before: u64,
    /// Changed rows.
    pub rows: Vec<RowChange>,
}

impl Changes {
    pub(super) fn commit(&self, database: &Database) -> Result<(), StoreError> {
        let transaction = database.begin_write()?;
        if !self.staged.is_empty() {
            let mut staging = transaction.open_table(STAGING)?;
            for (group, number, bytes) in &self.staged {
                if *number == 0 {
                    staging.retain_in((*group, 0)..=(*group, u64::MAX), |_, _| false)?;
                }
                staging.insert((*group, *number), bytes.as_slice())?;
            }
        }
        for group in &self.groups {
            group.write(&transaction)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

impl GroupChanges {
    fn write(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        let group = self.record.spec.group;
        if self.install_snapshot {
            snapshot::install(transaction, group)?;
        }
        self.write_log(transaction, group)?;
        if !self.rows.is_empty() {
            let mut state = transaction.open_table(STATE)?;
            for (key, value) in &self.rows {
                match value {
                    Some(value) => drop(state.insert((group, key.as_slice()), value.as_slice())?),
                    None => drop(state.remove((group, key.as_slice()))?),
                }
            }
        }
        // Serialisation of plain data into memory has no way to fail.
        let record = postcard::to_stdvec(&self.record).unwrap_or_default();
        transaction.open_table(GROUPS)?.insert(group, record.as_slice())?;
        Ok(())
    }

    fn write_log(&self, transaction: &WriteTransaction, group: GroupId) -> Result<(), StoreError> {
        if self.entries.is_empty() && self.compact_to == 0 {
            return Ok(());
        }
        let mut log = transaction.open_table(LOG)?;
        let last_new = self.entries.last().map_or(0, |entry| entry.index);
        for entry in &self.entries {
            log.insert((group, entry.index), encode_log_row(entry).as_slice())?;
        }
        if !self.entries.is_empty() {
            // What the new entries overwrote is gone; what lay beyond them must go too.
            for index in last_new + 1..=self.last_index_before {
                log.remove((group, index))?;
            }
        }
        for index in self.first_index_before..=self.compact_to {
            log.remove((group, index))?;
        }
        Ok(())
    }
}
