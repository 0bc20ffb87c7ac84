//! Points in DuckDB: one table for them, one for their series, and the view `metrics` over both.
//!
//! What a name and its tags take is stored once a series, so that a point costs a few numbers. As with rows,
//! each transaction leaves a line in a ledger: how many points it brought, or took away, what their numbers
//! come to, and which is next. A file whose points are not those of its ledger is begun anew.

use super::{Duck, in_transaction, store};
use crate::EngineError;
use crate::points::{Batch, Held, Kept, Point};
use duckdb::arrow::array::{
    ArrayRef, Float64Array, MapBuilder, RecordBatch, StringArray, StringBuilder, UInt32Array, UInt64Array,
};
use duckdb::arrow::datatypes::{Field, Schema};
use duckdb::{Connection, OptionalExt, params};
use std::collections::BTreeMap;
use std::sync::Arc;

/// No indexes here either; lines of the ledger are never changed.
pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS series(
        part UBIGINT, series UINTEGER, name VARCHAR, type VARCHAR, tags MAP(VARCHAR, VARCHAR));
    CREATE TABLE IF NOT EXISTS points(
        part UBIGINT, seq UBIGINT, series UINTEGER, at_ms UBIGINT, value DOUBLE, member VARCHAR);
    CREATE TABLE IF NOT EXISTS points_ledger(part UBIGINT, next_seq UBIGINT, n BIGINT, total HUGEINT);
    CREATE OR REPLACE VIEW metrics AS
        SELECT p.part, p.seq, s.name, s.type, s.tags, p.at_ms, p.value, p.member
        FROM points p JOIN series s ON p.part = s.part AND p.series = s.series;";

/// Counts what is wrong: points that are not those of the ledger, and series that are missing.
const WRONG: &str = "
    WITH held AS (SELECT part, count(*) n, sum(seq) total, max(seq) newest, max(series) most FROM points GROUP BY part),
         said AS (SELECT part, sum(n) n, sum(total) total, max(next_seq) next_seq FROM points_ledger GROUP BY part),
         known AS (SELECT part, count(*) n, sum(series) total, max(series) most FROM series GROUP BY part)
    SELECT count(*) FROM said FULL JOIN held USING (part) FULL JOIN known USING (part)
    WHERE coalesce(held.n, 0) IS DISTINCT FROM said.n OR coalesce(held.total, 0) IS DISTINCT FROM said.total
       OR held.newest >= said.next_seq OR held.most >= coalesce(known.n, 0)
       OR known.most + 1 <> known.n OR known.total * 2 <> known.n * (known.n - 1)";

type Column = (&'static str, ArrayRef);

/// Columns as one batch, whose place in the table is their order.
pub(super) fn columns(columns: Vec<Column>) -> Result<RecordBatch, EngineError> {
    let field = |(name, array): &Column| Field::new(*name, array.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(schema), arrays).map_err(|error| EngineError::Store(error.to_string()))
}

/// Appends a batch to a table.
pub(super) fn append(connection: &Connection, table: &str, batch: RecordBatch) -> Result<(), duckdb::Error> {
    let mut appender = connection.appender(table)?;
    appender.append_record_batch(batch)?;
    appender.flush()
}

pub(super) fn make_sense(connection: &Connection) -> Result<bool, EngineError> {
    let found: u64 = connection.query_row(WRONG, [], |row| row.get(0)).map_err(store)?;
    Ok(found == 0)
}

/// What is held of each partition.
pub(super) fn held(connection: &Connection) -> Result<BTreeMap<u64, Held>, EngineError> {
    let sql = "
        SELECT part, next_seq, CAST(coalesce(known.n, 0) AS UINTEGER)
        FROM (SELECT part, max(next_seq) AS next_seq FROM points_ledger GROUP BY part)
        LEFT JOIN (SELECT part, count(*) n FROM series GROUP BY part) known USING (part)";
    let mut statement = connection.prepare(sql).map_err(store)?;
    let row = |row: &duckdb::Row<'_>| {
        Ok((row.get(0)?, Held { next: row.get(1)?, series: row.get(2)?, kept: Kept::default() }))
    };
    statement.query_map([], row).map_err(store)?.collect::<Result<_, _>>().map_err(store)
}

impl Duck {
    /// How much of a partition's points is held.
    pub fn held(&self, partition: u64) -> Held {
        self.held.get(&partition).copied().unwrap_or_default()
    }

    /// Takes points and series; what it holds already is left out, and so is what is forgotten. All the
    /// rest is taken, or nothing. Gives what is held then.
    ///
    /// # Errors
    /// [`EngineError::Gap`] if points or series before them are missing, [`EngineError::Store`].
    pub fn append_points(&mut self, partition: u64, batch: &Batch) -> Result<Held, EngineError> {
        let held = self.held(partition);
        let gap = |given, applied| Err(EngineError::Gap { given, applied });
        if batch.first > held.next || batch.start < batch.first {
            return gap(batch.first.min(batch.start), held.next);
        }
        if batch.first_series > held.series {
            return gap(batch.first_series.into(), held.series.into());
        }
        let whole = [batch.at_ms.len(), batch.values.len()] == [batch.of.len(); 2];
        let new_series = batch.series.get((held.series - batch.first_series) as usize..).unwrap_or_default();
        let known = held.series + new_series.len() as u32;
        if !whole || batch.of.iter().any(|series| *series >= known) {
            return Err(EngineError::Store("columns that do not fit together".into()));
        }
        let kept = held.kept.max(batch.kept);
        let next = held.next.max(batch.end());
        if next == held.next && new_series.is_empty() {
            return Ok(held);
        }
        // Those that are new, and not forgotten yet.
        let new: Vec<usize> = (batch.start..)
            .zip(&batch.at_ms)
            .enumerate()
            .filter(|(_, (seq, at_ms))| *seq >= held.next && kept.keeps(*seq, **at_ms))
            .map(|(place, _)| place)
            .collect();
        let total: i128 = new.iter().map(|place| i128::from(batch.start) + *place as i128).sum();
        let points = points_of(partition, batch, &new)?;
        let series = series_of(partition, batch, held.series)?;
        in_transaction(&self.connection, |connection| {
            if !new_series.is_empty() {
                append(connection, "series", series)?;
            }
            if !new.is_empty() {
                append(connection, "points", points)?;
            }
            let ledger = "INSERT INTO points_ledger VALUES (?, ?, ?, ?)";
            connection.execute(ledger, params![partition, next, new.len() as i64, total]).map(drop)
        })?;
        let held = Held { next, series: known, kept: held.kept };
        self.held.insert(partition, held);
        self.count_changes(new.len() as u64)?;
        Ok(held)
    }

    /// Removes what a partition has forgotten.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn forget_points(&mut self, partition: u64, kept: Kept) -> Result<(), EngineError> {
        let held = self.held(partition);
        let kept = held.kept.max(kept);
        if kept == held.kept {
            return Ok(());
        }
        let bounds = params![partition, kept.from_ms, kept.from];
        let old = "FROM points WHERE part = ? AND (at_ms < ? OR seq < ?)";
        let count = format!("SELECT count(*), -coalesce(sum(seq), 0) {old}");
        let (count, total): (u64, i128) =
            self.connection.query_row(&count, bounds, |row| Ok((row.get(0)?, row.get(1)?))).map_err(store)?;
        if count > 0 {
            in_transaction(&self.connection, |connection| {
                connection.execute(&format!("DELETE {old}"), bounds)?;
                let ledger = "INSERT INTO points_ledger VALUES (?, ?, ?, ?)";
                let line = params![partition, held.next, -i64::try_from(count).unwrap_or(i64::MAX), total];
                connection.execute(ledger, line).map(drop)
            })?;
        }
        self.held.insert(partition, Held { kept, ..held });
        self.count_changes(count)
    }

    /// Forgets everything of a partition's points and series.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn clear_points(&mut self, partition: u64) -> Result<(), EngineError> {
        in_transaction(&self.connection, |connection| {
            for table in ["points", "series", "points_ledger"] {
                connection.execute(&format!("DELETE FROM {table} WHERE part = ?"), params![partition])?;
            }
            Ok(())
        })?;
        self.held.remove(&partition);
        Ok(())
    }

    /// The newest point of `partition`: what a cache of other points would be recognised by.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn last_point(&self, partition: u64) -> Result<Option<Point>, EngineError> {
        let sql = "SELECT seq, name, at_ms, value, member FROM metrics
                   WHERE part = ? AND seq = (SELECT max(seq) FROM points WHERE part = ?)";
        let point = |row: &duckdb::Row<'_>| {
            let (seq, name, at_ms) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Point { seq, name, at_ms, value: row.get(3)?, member: row.get(4)? })
        };
        self.connection.query_row(sql, params![partition, partition], point).optional().map_err(store)
    }
}

/// The points of a batch at these places.
fn points_of(partition: u64, batch: &Batch, places: &[usize]) -> Result<RecordBatch, EngineError> {
    let mut members = batch.members.iter().peekable();
    // Places rise, in the batch's members and here.
    let members: Vec<Option<&str>> = places
        .iter()
        .map(|place| {
            while members.next_if(|(at, _)| (*at as usize) < *place).is_some() {}
            members.peek().filter(|(at, _)| *at as usize == *place).map(|(_, member)| member.as_str())
        })
        .collect();
    let values: Float64Array = places
        .iter()
        .zip(&members)
        .map(|(place, member)| if member.is_none() { Some(batch.values[*place]) } else { None })
        .collect();
    let seqs = places.iter().map(|place| batch.start + *place as u64);
    columns(vec![
        ("part", Arc::new(UInt64Array::from(vec![partition; places.len()]))),
        ("seq", Arc::new(UInt64Array::from_iter_values(seqs))),
        ("series", Arc::new(UInt32Array::from_iter_values(places.iter().map(|place| batch.of[*place])))),
        ("at_ms", Arc::new(UInt64Array::from_iter_values(places.iter().map(|place| batch.at_ms[*place])))),
        ("value", Arc::new(values)),
        ("member", Arc::new(StringArray::from(members))),
    ])
}

/// The series of a batch from number `first` on.
fn series_of(partition: u64, batch: &Batch, first: u32) -> Result<RecordBatch, EngineError> {
    let new = batch.series.get((first - batch.first_series) as usize..).unwrap_or_default();
    let mut tags = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for series in new {
        for (key, value) in &series.tags {
            tags.keys().append_value(key);
            tags.values().append_value(value);
        }
        tags.append(true).map_err(|error| EngineError::Store(error.to_string()))?;
    }
    let names = new.iter().map(|series| &series.name);
    let kinds = new.iter().map(|series| &series.kind);
    columns(vec![
        ("part", Arc::new(UInt64Array::from(vec![partition; new.len()]))),
        ("series", Arc::new(UInt32Array::from_iter_values((first..).take(new.len())))),
        ("name", Arc::new(StringArray::from_iter_values(names))),
        ("type", Arc::new(StringArray::from_iter_values(kinds))),
        ("tags", Arc::new(tags.finish())),
    ])
}
