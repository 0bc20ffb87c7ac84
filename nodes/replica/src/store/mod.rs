//! One redb file per node: the logs of all groups, their hard states, and the rows of their state
//! machines with the applied index. One [`Changes`] is one transaction and one fsync. Beneath redb lie
//! blocks with checksums (`blocks`): what has rotted is noticed, never served.

mod backend;
mod blocks;
mod changes;
mod error;
mod log;
mod open;
mod snapshot;
#[cfg(test)]
mod tests;

pub use changes::{Changes, GroupChanges, GroupRecord, Position};
pub use error::StoreError;
pub use log::GroupLog;
pub use snapshot::{Chunk, SnapshotReader, decode_rows};

use crate::codec;
use crate::machine::{Row, Stored};
use crate::options::GroupSpec;
use crate::{GroupId, NodeId};
use blocks::Blocks;
use raft::eraftpb::Entry;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};
use rt::disk;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// Version of everything below; a file of another version is not opened.
pub const FORMAT: u64 = 2;

/// Ending of files that were set aside.
const ASIDE: &str = "damaged";
/// Key in [`META`]: whose data these are.
const NODE: &str = "node";

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const GROUPS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("groups");
const LOG: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("log");
const STATE: TableDefinition<'_, (u64, &[u8]), &[u8]> = TableDefinition::new("state");
/// The key in [`GROUPS`] under which the number of the newest commit stands. No group has this number.
const NEWEST_COMMIT: u64 = u64::MAX;
const STAGING: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("staging");

/// The file. Clones share it. Every method blocks: call it inside `rt::task::blocking`.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    blocks: Arc<Blocks>,
}

/// A group as found on the disk.
pub struct FoundGroup {
    /// Its record.
    pub record: GroupRecord,
    /// Its log after the compaction point.
    pub entries: Vec<Entry>,
}

impl Store {
    /// Opens the store in the folder `data`, creating it if it is missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(data: &Path, cluster: u64, cache_bytes: usize) -> Result<Self, StoreError> {
        let (database, blocks) = open::open(data, cache_bytes)?;
        let store = Store { database: Arc::new(database), blocks };
        store.judged(store.check_newest_commit())?;
        store.judged(store.identify(cluster))?;
        Ok(store)
    }

    /// redb falls back one commit if the newest one is torn. It must not if that one was durable once.
    fn check_newest_commit(&self) -> Result<(), StoreError> {
        let found = match self.database.begin_read()?.open_table(GROUPS) {
            Ok(groups) => newest_commit(&groups)?,
            Err(redb::TableError::TableDoesNotExist(_)) => 0,
            Err(error) => return Err(error.into()),
        };
        let expected = self.blocks.marker();
        if found < expected {
            let reason = format!("commit {expected} was durable, and the newest one is {found}");
            return Err(StoreError::DamagedFile { reason });
        }
        Ok(())
    }

    /// Gives a transaction its number and commits it.
    fn seal(&self, transaction: WriteTransaction) -> Result<(), StoreError> {
        let number = {
            let mut groups = transaction.open_table(GROUPS)?;
            let number = newest_commit(&groups)? + 1;
            groups.insert(NEWEST_COMMIT, number.to_le_bytes().as_slice())?;
            number
        };
        transaction.commit()?;
        self.blocks.mark_synced(number);
        Ok(())
    }

    /// redb tells damage once, and then only that something is wrong: whoever asks again hears the same.
    fn judged<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        judged(&self.blocks, result)
    }

    /// Looks at the next `blocks` blocks of the file, and begins anew after the last. Tells as well of
    /// damage that anybody else has found.
    ///
    /// # Errors
    /// [`StoreError`]; the node must stop then.
    pub fn scrub(&self, blocks: u64) -> Result<(), StoreError> {
        self.judged(self.blocks.scrub(blocks).map_err(StoreError::from))?;
        match self.blocks.damage() {
            None => Ok(()),
            Some(reason) => Err(StoreError::DamagedFile { reason: reason.to_owned() }),
        }
    }

    fn identify(&self, cluster: u64) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            for (what, expected) in [("format", FORMAT), ("cluster", cluster)] {
                let found = meta.get(what)?.map(|value| value.value());
                match found {
                    None => drop(meta.insert(what, expected)?),
                    Some(found) if found != expected => {
                        return Err(StoreError::Foreign { what, found, expected });
                    }
                    Some(_) => {}
                }
            }
            transaction.open_table(GROUPS)?;
            transaction.open_table(LOG)?;
            transaction.open_table(STATE)?;
            // A snapshot that was being received when the node stopped is begun anew by its sender.
            let unfinished = transaction.open_table(STAGING)?.len()? > 0;
            rt::sometimes!(unfinished, "store: a start found the pieces of an unfinished snapshot");
            transaction.delete_table(STAGING)?;
            transaction.open_table(STAGING)?;
        }
        self.seal(transaction)
    }

    /// The node that the data belong to; `None` as long as nobody has said so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn node(&self) -> Result<Option<NodeId>, StoreError> {
        self.number(NODE)
    }

    /// From now on the data belong to `node`.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] if they belong to another one.
    pub fn adopt(&self, node: NodeId) -> Result<(), StoreError> {
        let found = self.keep_first(NODE, node)?;
        let foreign = StoreError::Foreign { what: NODE, found, expected: node };
        if found == node { Ok(()) } else { Err(foreign) }
    }

    /// Names this data folder: drawn once, kept for ever.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn token(&self) -> Result<u64, StoreError> {
        match self.number("token")? {
            Some(token) => Ok(token),
            None => self.keep_first("token", rt::random::u64()),
        }
    }

    /// The data folder `token` claims the id `node`. Gives the token that claimed it first, durably.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn claim(&self, node: NodeId, token: u64) -> Result<u64, StoreError> {
        self.keep_first(&format!("claim/{node}"), token)
    }

    /// Where a group here began to live; `None` if there is none, or none any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn spec(&self, group: GroupId) -> Result<Option<GroupSpec>, StoreError> {
        self.judged(self.find_spec(group))
    }

    fn find_spec(&self, group: GroupId) -> Result<Option<GroupSpec>, StoreError> {
        let transaction = self.database.begin_read()?;
        let groups = transaction.open_table(GROUPS)?;
        let Some(record) = groups.get(group)? else { return Ok(None) };
        let record = GroupRecord::decode(record.value())
            .map_err(|error| StoreError::Damaged { group, reason: format!("record: {error}") })?;
        Ok(Some(record.spec).filter(|_| !record.removed))
    }

    fn number(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let transaction = self.database.begin_read()?;
        let meta = transaction.open_table(META)?;
        Ok(meta.get(key)?.map(|value| value.value()))
    }

    /// Keeps `value` under `key`, durably, unless there is one; gives what is there.
    fn keep_first(&self, key: &str, value: u64) -> Result<u64, StoreError> {
        self.judged(self.keep_first_unjudged(key, value))
    }

    fn keep_first_unjudged(&self, key: &str, value: u64) -> Result<u64, StoreError> {
        if let Some(found) = self.number(key)? {
            return Ok(found);
        }
        let transaction = self.database.begin_write()?;
        transaction.open_table(META)?.insert(key, value)?;
        self.seal(transaction)?;
        Ok(value)
    }

    /// All groups on the disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn groups(&self) -> Result<Vec<FoundGroup>, StoreError> {
        self.judged(self.find_groups())
    }

    fn find_groups(&self) -> Result<Vec<FoundGroup>, StoreError> {
        let transaction = self.database.begin_read()?;
        let groups = transaction.open_table(GROUPS)?;
        let log = transaction.open_table(LOG)?;
        let mut found = Vec::new();
        for group in groups.iter()? {
            let (group, record) = group?;
            let group = group.value();
            if group == NEWEST_COMMIT {
                continue;
            }
            let damaged = |reason: String| StoreError::Damaged { group, reason };
            let record = GroupRecord::decode(record.value()).map_err(|e| damaged(format!("record: {e}")))?;
            let mut entries = Vec::new();
            for row in log.range((group, 0)..=(group, u64::MAX))? {
                let (key, value) = row?;
                let index = key.value().1;
                let entry =
                    decode_log_row(value.value()).map_err(|e| damaged(format!("entry {index}: {e}")))?;
                let expected = record.truncated.index + 1 + entries.len() as u64;
                if index != expected || entry.index != expected {
                    return Err(damaged(format!("entry {index} stands where {expected} should")));
                }
                entries.push(entry);
            }
            found.push(FoundGroup { record, entries });
        }
        Ok(found)
    }

    /// Writes `changes` in one transaction and returns after the fsync.
    ///
    /// # Errors
    /// [`StoreError`]; the node must stop then.
    pub fn commit(&self, changes: &Changes) -> Result<(), StoreError> {
        let write = || {
            let transaction = self.database.begin_write()?;
            changes.write(&transaction)?;
            self.seal(transaction)
        };
        self.judged(write())
    }

    /// The rows as last written, for queries and snapshots; later writes do not show in it. While it
    /// lives, the space of what is overwritten cannot be used again: do not keep it longer than needed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn view(&self) -> Result<View, StoreError> {
        let transaction = self.judged(self.database.begin_read().map_err(StoreError::from))?;
        Ok(View { transaction: Arc::new(transaction), blocks: self.blocks.clone() })
    }
}

/// Gives every file in the folder `data` another name, durably, so that a new store begins there and the
/// old one can be looked at. One such set is kept: an older one goes.
///
/// # Errors
/// [`StoreError`].
pub fn set_aside(data: &Path) -> Result<(), StoreError> {
    for file in disk::list(data)? {
        if file.extension().is_none_or(|extension| extension != ASIDE) {
            let mut name = file.clone().into_os_string();
            name.push(format!(".{ASIDE}"));
            disk::rename(&file, Path::new(&name))?;
        }
    }
    disk::sync_dir(data)?;
    Ok(())
}

fn judged<T>(blocks: &Blocks, result: Result<T, StoreError>) -> Result<T, StoreError> {
    result.map_err(|error| match blocks.damage() {
        Some(reason) if !error.is_damage() => StoreError::DamagedFile { reason: reason.to_owned() },
        _ => error,
    })
}

fn newest_commit(groups: &impl ReadableTable<u64, &'static [u8]>) -> Result<u64, StoreError> {
    let Some(number) = groups.get(NEWEST_COMMIT)? else { return Ok(0) };
    let number = number.value().try_into().map(u64::from_le_bytes);
    number.map_err(|_| StoreError::DamagedFile { reason: "the number of the newest commit".into() })
}

fn encode_log_row(entry: &Entry) -> Vec<u8> {
    let body = codec::encode_entry(entry);
    let mut row = crc32c::crc32c(&body).to_le_bytes().to_vec();
    row.extend(body);
    row
}

fn decode_log_row(row: &[u8]) -> Result<Entry, String> {
    let (sum, body) = row.split_first_chunk::<4>().ok_or("too short")?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
        return Err("checksum does not match".into());
    }
    codec::decode_entry(body).map_err(|error| error.to_string())
}

/// The rows of all groups at one moment.
#[derive(Clone)]
pub struct View {
    transaction: Arc<ReadTransaction>,
    blocks: Arc<Blocks>,
}

impl View {
    /// Those of one group.
    pub fn of(&self, group: GroupId) -> GroupRows {
        GroupRows { transaction: self.transaction.clone(), group, blocks: self.blocks.clone() }
    }
}

/// The rows of one group at one moment.
#[derive(Clone)]
pub struct GroupRows {
    transaction: Arc<ReadTransaction>,
    group: GroupId,
    blocks: Arc<Blocks>,
}

impl GroupRows {
    /// Up to `limit` rows, or up to about `limit_bytes`, from `from` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn range(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
        limit_bytes: usize,
    ) -> Result<Vec<Row>, StoreError> {
        judged(&self.blocks, self.read(from, to, limit, limit_bytes))
    }

    fn read(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
        limit_bytes: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let state = self.transaction.open_table(STATE)?;
        let low = match from {
            Bound::Unbounded => Bound::Included((self.group, &[][..])),
            Bound::Included(key) => Bound::Included((self.group, key)),
            Bound::Excluded(key) => Bound::Excluded((self.group, key)),
        };
        let high = match to {
            Bound::Unbounded => Bound::Excluded((self.group + 1, &[][..])),
            Bound::Included(key) => Bound::Included((self.group, key)),
            Bound::Excluded(key) => Bound::Excluded((self.group, key)),
        };
        let mut rows = Vec::new();
        let mut bytes = 0;
        for row in state.range::<(u64, &[u8])>((low, high))? {
            if rows.len() == limit || bytes >= limit_bytes {
                break;
            }
            let (key, value) = row?;
            let row = (key.value().1.to_vec(), value.value().to_vec());
            bytes += row.0.len() + row.1.len();
            rows.push(row);
        }
        Ok(rows)
    }

    /// All rows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn all(&self) -> Result<Vec<Row>, StoreError> {
        self.range(Bound::Unbounded, Bound::Unbounded, usize::MAX, usize::MAX)
    }
}

impl Stored for GroupRows {
    fn rows(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, String> {
        self.range(from, to, limit, usize::MAX).map_err(|error| error.to_string())
    }
}
