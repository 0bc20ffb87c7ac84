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
