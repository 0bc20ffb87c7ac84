//! A cache of rows and of points in DuckDB, which SQL can be asked of.
//!
//! What it holds can be read from the partitions again, so nothing waits for its disk, and its own way back
//! from a crash is not trusted: the write-ahead log that it leaves is thrown away, which leaves the file as
//! it was at its last checkpoint. Rows and how many there are of them are written in one transaction, so
//! any such file is a prefix of each partition. A file that makes no sense, or that the process died over
//! while it was opened, is begun anew.
//!
//! Leaves out who brings the rows, and the newest of them.

#![allow(clippy::disallowed_methods, reason = "DuckDB does its own I/O; no simulation contains it")]

mod ask;
mod points;

use crate::points::Held;
use crate::{Engine, EngineError, Filter, Partial, Row, unseen};
use duckdb::arrow::array::{AsArray, Float64Array, StringArray, UInt64Array};
use duckdb::arrow::datatypes::Float64Type;
use duckdb::{AccessMode, Config, Connection, OptionalExt, params};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Rows after which the file is brought up to date.
const CHECKPOINT_ROWS: u64 = 50_000;
const FILE: &str = "analytics.duckdb";
/// There while a file is being opened: one that kills the process is not opened again.
const OPENING: &str = "analytics.opening";

/// No indexes: they are what breaks under traffic. One row of `applied` a transaction, none ever changed.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS rows(part UBIGINT, seq UBIGINT, partition_key VARCHAR, at_ms UBIGINT, value DOUBLE);
    CREATE TABLE IF NOT EXISTS applied(part UBIGINT, first UBIGINT, n UBIGINT);";

/// Rows and points in DuckDB.
pub struct Duck {
    connection: Connection,
    since_checkpoint: u64,
    /// Rows of each partition, and how much of its points: what the tables say, so that nobody adds it up
    /// again.
    applied: BTreeMap<u64, u64>,
    held: BTreeMap<u64, Held>,
}

fn store(error: duckdb::Error) -> EngineError {
    EngineError::Store(error.to_string())
}

fn disk(error: io::Error) -> EngineError {
    EngineError::Store(error.to_string())
}

fn remove(file: &Path) -> Result<(), EngineError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(error)),
        _ => Ok(()),
    }
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// All of it, or nothing.
fn in_transaction(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<(), duckdb::Error>,
) -> Result<(), EngineError> {
    connection.execute_batch("BEGIN TRANSACTION").map_err(store)?;
    if let Err(error) = work(connection) {
        // What cannot be taken back is gone with the process.
        drop(connection.execute_batch("ROLLBACK"));
        return Err(store(error));
    }
    connection.execute_batch("COMMIT").map_err(store)
}

/// One thread, no other file, no extension, no checkpoint but ours.
fn config(memory_mb: u32) -> Result<Config, duckdb::Error> {
    Config::default()
        .access_mode(AccessMode::ReadWrite)?
        .threads(1)?
        .enable_external_access(false)?
        .max_memory(&format!("{memory_mb}MB"))?
        .with("max_temp_directory_size", "0MB")?
        .with("autoinstall_known_extensions", "false")?
        .with("autoload_known_extensions", "false")?
        .with("allow_community_extensions", "false")?
        .with("checkpoint_threshold", "1TB")
}

impl Duck {
    /// The cache in `folder`, or an empty one if there is none that can be used. It keeps so many megabytes in
    /// memory.
    ///
    /// # Errors
    /// [`EngineError::Store`] if not even an empty one can be made.
    pub fn open(folder: &Path, memory_mb: u32) -> Result<Self, EngineError> {
        fs::create_dir_all(folder).map_err(disk)?;
        let (file, marker) = (folder.join(FILE), folder.join(OPENING));
        if marker.exists() {
            remove(&file)?;
        }
        fs::write(&marker, b"").map_err(disk)?;
        remove(&with_suffix(&file, ".wal"))?;
        let opened = Duck::open_alone(&file, memory_mb).or_else(|_| {
            remove(&file)?;
            remove(&with_suffix(&file, ".wal"))?;
            Duck::try_open(&file, memory_mb)
        });
        remove(&marker)?;
        opened
    }

    /// Waits a moment for a process before this one that is about to end.
    fn open_alone(file: &Path, memory_mb: u32) -> Result<Self, EngineError> {
        let mut opened = Duck::try_open(file, memory_mb);
        for _ in 0..20 {
            if !matches!(&opened, Err(EngineError::Store(text)) if text.contains("Could not set lock")) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            opened = Duck::try_open(file, memory_mb);
        }
        opened
    }

    fn try_open(file: &Path, memory_mb: u32) -> Result<Self, EngineError> {
        let connection =
            Connection::open_with_flags(file, config(memory_mb).map_err(store)?).map_err(store)?;
        connection.execute_batch(TABLES).map_err(store)?;
        connection.execute_batch(points::TABLES).map_err(store)?;
        connection.execute_batch("CHECKPOINT; SET lock_configuration = true").map_err(store)?;
        if !makes_sense(&connection)? {
            return Err(EngineError::Store("rows or points are missing".into()));
        }
        let (applied, held) = (applied(&connection)?, points::held(&connection)?);
        Ok(Duck { connection, since_checkpoint: 0, applied, held })
    }

    /// Counts what was written, and brings the file up to date when that is much.
    fn count_changes(&mut self, rows: u64) -> Result<(), EngineError> {
        self.since_checkpoint += rows;
        if self.since_checkpoint >= CHECKPOINT_ROWS { self.checkpoint() } else { Ok(()) }
    }

    /// Writes the file as it is, so that a crash does not throw this away.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn checkpoint(&mut self) -> Result<(), EngineError> {
        self.since_checkpoint = 0;
        self.connection.execute_batch("CHECKPOINT").map_err(store)
    }

    /// The newest row of `partition`: what a cache of other rows would be recognised by.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn last(&self, partition: u64) -> Result<Option<Row>, EngineError> {
        let sql = "SELECT partition_key, at_ms, value FROM rows WHERE part = ? ORDER BY seq DESC LIMIT 1";
        let row =
            |row: &duckdb::Row<'_>| Ok(Row { key: row.get(0)?, at_ms: row.get(1)?, value: row.get(2)? });
        self.connection.query_row(sql, params![partition], row).optional().map_err(store)
    }
}

/// True if each partition holds the rows from 0 on, each once, as many as it says. Their numbers' sum takes
/// the place of a count of different ones, which would take memory for each.
fn makes_sense(connection: &Connection) -> Result<bool, EngineError> {
    let wrong = "
        WITH held AS (SELECT part, count(*) n, sum(seq) total, max(seq) + 1 m FROM rows GROUP BY part),
             said AS (SELECT part, sum(n) n FROM applied GROUP BY part)
        SELECT count(*) FROM held FULL JOIN said USING (part)
        WHERE held.n IS DISTINCT FROM said.n OR held.n <> held.m OR held.total * 2 <> held.n * (held.n - 1)";
    let found: u64 = connection.query_row(wrong, [], |row| row.get(0)).map_err(store)?;
    Ok(found == 0 && points::make_sense(connection)?)
}

fn applied(connection: &Connection) -> Result<BTreeMap<u64, u64>, EngineError> {
    let sql = "SELECT part, CAST(sum(n) AS UBIGINT) FROM applied GROUP BY part";
    let mut statement = connection.prepare(sql).map_err(store)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(store)?;
    rows.collect::<Result<_, _>>().map_err(store)
}

impl Engine for Duck {
    fn applied(&self, partition: u64) -> Result<u64, EngineError> {
        Ok(self.applied.get(&partition).copied().unwrap_or(0))
    }

    fn append(&mut self, partition: u64, first: u64, rows: &[Row]) -> Result<(), EngineError> {
        let applied = self.applied(partition)?;
        let new = unseen(applied, first, rows)?;
        if new.is_empty() {
            return Ok(());
        }
        let count = new.len() as u64;
        let batch = points::columns(vec![
            ("part", Arc::new(UInt64Array::from(vec![partition; new.len()]))),
            ("seq", Arc::new(UInt64Array::from_iter_values((applied..).take(new.len())))),
            ("partition_key", Arc::new(StringArray::from_iter_values(new.iter().map(|row| &row.key)))),
            ("at_ms", Arc::new(UInt64Array::from_iter_values(new.iter().map(|row| row.at_ms)))),
            ("value", Arc::new(Float64Array::from_iter_values(new.iter().map(|row| row.value)))),
        ])?;
        in_transaction(&self.connection, |connection| {
            points::append(connection, "rows", batch)?;
            let line = "INSERT INTO applied VALUES (?, ?, ?)";
            connection.execute(line, params![partition, applied, count]).map(drop)
        })?;
        self.applied.insert(partition, applied + count);
        self.count_changes(count)
    }

    fn partial(&self, partition: u64, filter: &Filter) -> Result<Partial, EngineError> {
        // DuckDB adds floats in whatever order and rounds each time: it finds the rows, we add them.
        let sql = "SELECT value FROM rows WHERE part = ? AND starts_with(partition_key, ?)
                   AND at_ms >= ? AND (? OR at_ms < ?)";
        let mut statement = self.connection.prepare(sql).map_err(store)?;
        let (from, to) = (filter.from_ms.unwrap_or(0), filter.to_ms);
        let bounds = params![partition, filter.prefix, from, to.is_none(), to.unwrap_or(0)];
        let mut partial = Partial::default();
        for batch in statement.query_arrow(bounds).map_err(store)? {
            let values = batch.column(0).as_primitive_opt::<Float64Type>();
            let values = values.ok_or_else(|| EngineError::Store("values that are no floats".into()))?;
            values.values().iter().for_each(|value| partial.add(*value));
        }
        Ok(partial)
    }
}
