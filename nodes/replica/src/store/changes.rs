//! What one transaction writes.

use super::{GROUPS, LOG, STAGING, STATE, StoreError, encode_log_row, snapshot};
use crate::GroupId;
use crate::machine::RowChange;
use crate::members::Members;
use crate::options::GroupSpec;
use raft::eraftpb::{Entry, HardState};
use redb::WriteTransaction;
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// Where the group began to live. It never changes.
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
    /// Who belongs to the group, as of `applied`.
    pub members: Members,
    /// The replica was removed and its data deleted; only this record is left.
    pub removed: bool,
    /// A removed replica has told others that its log reaches here. If it is ever needed again, it must
    /// not vote before its log does so once more.
    pub promise: Position,
}

/// The record as format 1 wrote it, when members never changed.
#[derive(Serialize, Deserialize)]
struct RecordV1 {
    spec: GroupSpec,
    term: u64,
    vote: u64,
    commit: u64,
    truncated: Position,
    applied: Position,
}

/// What came with format 2, behind [`MARK`] and the record of format 1.
#[derive(Default, PartialEq, Eq, Serialize, Deserialize)]
struct RecordV2 {
    members: Members,
    removed: bool,
    promise: Position,
}

/// Begins a record of format 2 or later. Format 1 begins with the group's number, which this never is.
const MARK: u64 = u64::MAX;
/// The newest format of records.
const RECORD_FORMAT: u64 = 2;

impl GroupRecord {
    /// A group that never did anything.
    pub fn new(spec: GroupSpec) -> Self {
        let start = Position::default();
        let members = Members::genesis(&spec);
        GroupRecord {
            spec,
            term: 0,
            vote: 0,
            commit: 0,
            truncated: start,
            applied: start,
            members,
            removed: false,
            promise: start,
        }
    }

    /// What is left of a replica whose log ended at `last` when it was removed.
    pub fn tombstone(self, last: Position) -> Self {
        let GroupRecord { term, vote, promise, members, .. } = self;
        let promise = promise.max_position(last);
        GroupRecord { term, vote, promise, members, removed: true, ..GroupRecord::new(self.spec) }
    }

    /// The record of a replica that begins anew where a removed one was: with its term, vote and promise.
    pub fn revived(self, spec: GroupSpec) -> Self {
        let GroupRecord { term, vote, promise, .. } = self;
        GroupRecord { term, vote, promise, ..GroupRecord::new(spec) }
    }

    /// A record whose members never changed is written as format 1 wrote it: the way back to an older
    /// version stays open until the first change.
    pub(super) fn encode(&self) -> Vec<u8> {
        let GroupRecord { spec, term, vote, commit, truncated, applied, .. } = self.clone();
        let base = RecordV1 { spec, term, vote, commit, truncated, applied };
        let added = RecordV2 { members: self.members.clone(), removed: self.removed, promise: self.promise };
        let plain = RecordV2 { members: Members::genesis(&base.spec), ..RecordV2::default() };
        // Serialisation of plain data into memory has no way to fail.
        if added == plain {
            postcard::to_stdvec(&base).unwrap_or_default()
        } else {
            postcard::to_stdvec(&(MARK, RECORD_FORMAT, base, added)).unwrap_or_default()
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = |error: postcard::Error| error.to_string();
        let (mark, rest) = postcard::take_from_bytes::<u64>(bytes).map_err(text)?;
        let (base, added) = if mark == MARK {
            let (format, rest) = postcard::take_from_bytes::<u64>(rest).map_err(text)?;
            if format != RECORD_FORMAT {
                return Err(format!("format {format}, this version knows up to {RECORD_FORMAT}"));
            }
            postcard::from_bytes::<(RecordV1, RecordV2)>(rest).map_err(text)?
        } else {
            let base: RecordV1 = postcard::from_bytes(bytes).map_err(text)?;
            let members = Members::genesis(&base.spec);
            (base, RecordV2 { members, ..RecordV2::default() })
        };
        let RecordV1 { spec, term, vote, commit, truncated, applied } = base;
        let RecordV2 { members, removed, promise } = added;
        Ok(GroupRecord { spec, term, vote, commit, truncated, applied, members, removed, promise })
    }

    /// As raft-rs wants it.
    pub fn hard_state(&self) -> HardState {
        let mut state = HardState::default();
        (state.term, state.vote, state.commit) = (self.term, self.vote, self.commit);
        state
    }
}

impl Position {
    /// How up to date a log is that ends here, in raft's order: by term, then by index.
    fn rank(self) -> (u64, u64) {
        (self.term, self.index)
    }

    /// True if a log that ends here is at least as up to date as one that ends at `other`.
    pub fn reaches(self, other: Position) -> bool {
        self.rank() >= other.rank()
    }

    fn max_position(self, other: Position) -> Position {
        if self.reaches(other) { self } else { other }
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
    pub(super) fn write(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
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
            group.write(transaction)?;
        }
        Ok(())
    }
}

impl GroupChanges {
    fn write(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        let group = self.record.spec.group;
        if self.install_snapshot {
            snapshot::install(transaction, group)?;
        }
        if self.record.removed {
            snapshot::clear(transaction, group)?;
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
        transaction.open_table(GROUPS)?.insert(group, self.record.encode().as_slice())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> GroupRecord {
        let spec = GroupSpec { group: 200, voters: vec![3, 1, 2], learners: vec![4], home: 3 };
        let (truncated, applied) = (Position { index: 5, term: 2 }, Position { index: 9, term: 3 });
        GroupRecord { term: 3, vote: 1, commit: 9, truncated, applied, ..GroupRecord::new(spec) }
    }

    #[test]
    fn a_record_without_changes_is_one_of_format_1() {
        let GroupRecord { spec, term, vote, commit, truncated, applied, .. } = record();
        let old = postcard::to_stdvec(&(spec, term, vote, commit, truncated, applied)).unwrap();
        assert_eq!(record().encode(), old);
        assert_eq!(GroupRecord::decode(&old), Ok(record()));
    }

    #[test]
    fn changed_members_and_tombstones_survive() {
        let mut changed = record();
        changed.members = Members {
            version: 4,
            voters: vec![1, 2, 7],
            learners: vec![9],
            voters_outgoing: vec![1, 2, 3],
            learners_next: vec![3],
        };
        assert_eq!(GroupRecord::decode(&changed.encode()), Ok(changed.clone()));
        let last = Position { index: 12, term: 3 };
        let tombstone = changed.clone().tombstone(last);
        assert!(tombstone.removed && tombstone.truncated == Position::default());
        assert_eq!(GroupRecord::decode(&tombstone.encode()), Ok(tombstone.clone()));
        let again = tombstone.revived(changed.spec.clone());
        assert_eq!((again.term, again.vote, again.commit, again.promise), (3, 1, 0, last));
        assert_eq!(again.members, Members::genesis(&changed.spec));
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let bytes = postcard::to_stdvec(&(MARK, 3u64, 0u8)).unwrap();
        assert!(GroupRecord::decode(&bytes).unwrap_err().contains("format 3"));
    }
}
