//! Snapshots as chunks of rows: read from one moment of the store, staged by the receiver as they come,
//! installed in one transaction.

use super::{GroupRows, LOG, STAGING, STATE, StoreError};
use crate::GroupId;
use crate::machine::Row;
use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Rows in key order, encoded.
    #[serde(with = "serde_bytes")]
    pub rows: Vec<u8>,
    /// CRC-32C of `rows`.
    pub checksum: u32,
    /// No chunk follows.
    pub last: bool,
}

impl Chunk {
    /// True if the content is what the sender sent.
    pub fn is_intact(&self) -> bool {
        crc32c::crc32c(&self.rows) == self.checksum
    }
}

/// Reads the rows of a group chunk by chunk.
pub struct SnapshotReader {
    rows: GroupRows,
    after: Option<Vec<u8>>,
    chunk_bytes: usize,
}

impl SnapshotReader {
    /// Reads from `rows`.
    pub fn new(rows: GroupRows, chunk_bytes: usize) -> Self {
        SnapshotReader { rows, after: None, chunk_bytes }
    }

    /// The next chunk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_chunk(&mut self) -> Result<Chunk, StoreError> {
        let from = match &self.after {
            None => Bound::Unbounded,
            Some(key) => Bound::Excluded(key.as_slice()),
        };
        let rows = self.rows.range(from, Bound::Unbounded, usize::MAX, self.chunk_bytes)?;
        let last = rows.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() < self.chunk_bytes;
        self.after = rows.last().map(|(key, _)| key.clone()).or(self.after.take());
        // Serialisation of plain data into memory has no way to fail.
        let rows = postcard::to_stdvec(&rows).unwrap_or_default();
        Ok(Chunk { checksum: crc32c::crc32c(&rows), rows, last })
    }
}

/// The rows in a chunk.
///
/// # Errors
/// If the bytes are not rows.
pub fn decode_rows(bytes: &[u8]) -> Result<Vec<Row>, postcard::Error> {
    postcard::from_bytes(bytes)
}

/// Replaces rows and log of a group by what is staged.
pub(super) fn install(transaction: &WriteTransaction, group: GroupId) -> Result<(), StoreError> {
    let mut staging = transaction.open_table(STAGING)?;
    let mut state = transaction.open_table(STATE)?;
    state.retain_in(rows_of(group), |_, _| false)?;
    for chunk in staging.range((group, 0)..=(group, u64::MAX))? {
        let (_, chunk) = chunk?;
        let rows = decode_rows(chunk.value())
            .map_err(|error| StoreError::Damaged { group, reason: format!("staged snapshot: {error}") })?;
        for (key, value) in rows {
            state.insert((group, key.as_slice()), value.as_slice())?;
        }
    }
    staging.retain_in((group, 0)..=(group, u64::MAX), |_, _| false)?;
    transaction.open_table(LOG)?.retain_in((group, 0)..=(group, u64::MAX), |_, _| false)?;
    Ok(())
}

fn rows_of(group: GroupId) -> std::ops::Range<(u64, &'static [u8])> {
    (group, &[][..])..(group + 1, &[][..])
}

/// Deletes rows, log and staged chunks of a group.
pub(super) fn clear(transaction: &WriteTransaction, group: GroupId) -> Result<(), StoreError> {
    transaction.open_table(STATE)?.retain_in(rows_of(group), |_, _| false)?;
    transaction.open_table(STAGING)?.retain_in((group, 0)..=(group, u64::MAX), |_, _| false)?;
    transaction.open_table(LOG)?.retain_in((group, 0)..=(group, u64::MAX), |_, _| false)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::options::GroupSpec;
    use crate::store::{Changes, GroupChanges, GroupRecord, Store};

    fn key(number: u8) -> Vec<u8> {
        vec![1, number]
    }

    /// A piece of a snapshot that holds these rows.
    fn piece(number: u64, rows: &[u8]) -> (u64, u64, Vec<u8>) {
        let rows: Vec<_> = rows.iter().map(|row| (key(*row), vec![*row; 9])).collect();
        (7, number, postcard::to_stdvec(&rows).unwrap())
    }

    fn changes(install_snapshot: bool, rows: &[u8]) -> GroupChanges {
        let spec = GroupSpec { group: 7, voters: vec![2], learners: vec![], home: 2 };
        GroupChanges {
            record: GroupRecord::new(spec),
            install_snapshot,
            entries: Vec::new(),
            last_index_before: 0,
            compact_to: 0,
            first_index_before: 1,
            rows: rows.iter().map(|row| (key(*row), Some(vec![*row; 9]))).collect(),
        }
    }

    #[test]
    fn what_is_installed_is_the_last_snapshot_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 1, 64 << 10).unwrap();
        let write = |groups, staged| store.commit(&Changes { groups, staged }).unwrap();
        // Rows from before; then a snapshot of three pieces that is given up, and a shorter one that is whole.
        write(vec![changes(false, &[1, 2])], Vec::new());
        write(Vec::new(), vec![piece(0, &[3]), piece(1, &[4]), piece(2, &[5])]);
        write(Vec::new(), vec![piece(0, &[6, 7])]);
        write(vec![changes(true, &[])], Vec::new());
        let installed = || -> Vec<Vec<u8>> {
            let rows = store.view().unwrap().of(7).all().unwrap();
            rows.into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(installed(), [key(6), key(7)]);
        // Nothing stays behind for the next one.
        write(vec![changes(true, &[])], Vec::new());
        assert!(installed().is_empty());
    }
}
