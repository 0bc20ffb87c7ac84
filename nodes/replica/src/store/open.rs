//! The store's file: found, made, or made from that of format 1.
//!
//! A file gets its name when it is whole and durable, so whoever dies on the way begins anew, and a file
//! under that name that is not whole is damaged.

use super::backend::{Checked, Plain};
use super::blocks::Blocks;
use super::{GROUPS, LOG, META, STATE, StoreError};
use redb::{
    Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, Value,
};
use rt::disk::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// Name of the file in the data folder.
pub(super) const FILE: &str = "replica.store";
/// Name of a file that is not yet whole.
const UNFINISHED: &str = "replica.unfinished";
/// Name of the file in format 1: redb without checksums beneath.
pub(super) const FORMAT_1_FILE: &str = "replica.redb";

/// redb's page cache while format 1 is read, in bytes.
const CACHE_BYTES: usize = 8 << 20;

pub(super) fn open(data: &Path, cache_bytes: usize) -> Result<(Database, Arc<Blocks>), StoreError> {
    disk::create_durable_dir(data)?;
    match existing(data, FILE)? {
        None => make(data, cache_bytes),
        Some(file) => {
            lock(&file)?;
            // Whoever made it from format 1 may have died before this. Nobody must find the old data later.
            remove_format_1(data)?;
            // It may have got its name from a process that died before its sync.
            disk::sync_dir(data)?;
            database(Blocks::open(file)?, cache_bytes)
        }
    }
}

fn database(blocks: Blocks, cache_bytes: usize) -> Result<(Database, Arc<Blocks>), StoreError> {
    let blocks = Arc::new(blocks);
    let backend = Checked(blocks.clone());
    let database = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend)?;
    blocks.trust()?;
    Ok((database, blocks))
}

fn existing(data: &Path, name: &str) -> Result<Option<File>, StoreError> {
    match disk::open_existing(&data.join(name)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn lock(file: &File) -> Result<(), StoreError> {
    file.lock().map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => StoreError::InUse,
        _ => StoreError::Io(error),
    })
}

fn make(data: &Path, cache_bytes: usize) -> Result<(Database, Arc<Blocks>), StoreError> {
    let file = disk::open(&data.join(UNFINISHED))?;
    lock(&file)?;
    if existing(data, FILE)?.is_some() {
        // Another process was faster, and holds the lock of what it made.
        return Err(StoreError::InUse);
    }
    let old = existing(data, FORMAT_1_FILE)?;
    let (database, blocks) = database(Blocks::create(file)?, cache_bytes)?;
    if let Some(old) = old {
        lock(&old)?;
        copy(old, &database)?;
    }
    disk::rename(&data.join(UNFINISHED), &data.join(FILE))?;
    disk::sync_dir(data)?;
    remove_format_1(data)?;
    Ok((database, blocks))
}

fn remove_format_1(data: &Path) -> Result<(), StoreError> {
    match disk::remove(&data.join(FORMAT_1_FILE)) {
        Ok(()) => Ok(disk::sync_dir(data)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Copies everything that is kept from a file of format 1, in one durable transaction.
fn copy(old: File, new: &Database) -> Result<(), StoreError> {
    let old = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(Plain(old))?;
    let from = old.begin_read()?;
    let to = new.begin_write()?;
    if let Some(meta) = table(&from, META)? {
        let mut to = to.open_table(META)?;
        for row in meta.iter()? {
            let (key, value) = row?;
            let (key, value) = (key.value(), value.value());
            match (key, value) {
                ("format", 1) => drop(to.insert(key, super::FORMAT)?),
                ("format", found) => return Err(StoreError::Foreign { what: "format", found, expected: 1 }),
                _ => drop(to.insert(key, value)?),
            }
        }
    }
    macro_rules! copy {
        ($($name:ident),*) => {$(
            if let Some(rows) = table(&from, $name)? {
                let mut to = to.open_table($name)?;
                for row in rows.iter()? {
                    let (key, value) = row?;
                    to.insert(key.value(), value.value())?;
                }
            }
        )*};
    }
    copy!(GROUPS, LOG, STATE);
    to.commit()?;
    Ok(())
}

/// A table, if it was ever written.
fn table<K: Key + 'static, V: Value + 'static>(
    transaction: &ReadTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<Option<redb::ReadOnlyTable<K, V>>, StoreError> {
    match transaction.open_table(definition) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
