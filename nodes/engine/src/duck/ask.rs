//! SQL of users: one question, within limits, and nothing else.
//!
//! The text becomes part of a `SELECT … FROM (text) LIMIT n` and must hold no semicolon, so whatever it says,
//! it is one statement, and that statement reads; and it runs in a transaction that only reads. Files and
//! extensions are out of reach for the whole engine (see `config` above).
//!
//! Leaves out a limit of memory that holds for everything DuckDB does: that is the process's.

use super::{Duck, EngineError};
use crate::sql::{Cell, Column, Cut, Limits, MAX_ANSWER_BYTES, Table};
use duckdb::Connection;
use duckdb::types::Value;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// Types that arrive as they are; all others become text on the way.
const PLAIN: [&str; 12] = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "DOUBLE",
    "VARCHAR",
];
/// After the first interruption there may be more to interrupt.
const AGAIN: Duration = Duration::from_millis(50);

/// The first line; the others advise on settings that nobody can change here.
fn memory(error: &duckdb::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    format!("the query takes more memory than it may: {first}")
}

fn refused(error: &duckdb::Error) -> EngineError {
    EngineError::Refused(error.to_string())
}

impl Duck {
    /// What `text`, a single `SELECT`, comes to.
    ///
    /// # Errors
    /// [`EngineError::Refused`] if it is wrong or not allowed, [`EngineError::Limit`] if it takes too long,
    /// [`EngineError::Memory`] if it takes too much of that.
    pub fn ask(&self, text: &str, limits: Limits) -> Result<Table, EngineError> {
        let text = text.trim().trim_end_matches(';').trim_end();
        if text.is_empty() {
            return Err(EngineError::Refused("there is no query".into()));
        }
        if text.contains([';', '\0']) {
            let detail = "a query is one statement; a semicolon in a text is written as chr(59)";
            return Err(EngineError::Refused(detail.into()));
        }
        let connection = self.connection.try_clone().map_err(|error| refused(&error))?;
        let handle = connection.interrupt_handle();
        let (done, waiting) = mpsc::channel::<()>();
        let limit = Duration::from_millis(limits.timeout_ms);
        std::thread::scope(|scope| {
            let watch = scope.spawn(move || {
                let (mut patience, mut late) = (limit, false);
                while waiting.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                    handle.interrupt();
                    (patience, late) = (AGAIN, true);
                }
                late
            });
            let table = answer(&connection, text, limits.rows as usize);
            drop(done);
            let late = watch.join().unwrap_or(true);
            match table {
                Err(_) if late => Err(EngineError::Limit(format!("the query took longer than {limit:?}"))),
                Err(error) if error.to_string().contains("Out of Memory") => {
                    Err(EngineError::Memory(memory(&error)))
                }
                table => table.map_err(|error| refused(&error)),
            }
        })
    }
}

fn answer(connection: &Connection, text: &str, most: usize) -> Result<Table, duckdb::Error> {
    connection.execute_batch("BEGIN TRANSACTION READ ONLY")?;
    let columns = columns(connection, text)?;
    let wanted: Vec<String> =
        columns.iter().enumerate().map(|(place, column)| wanted(place, column)).collect();
    let names: Vec<String> = (0..columns.len()).map(|place| format!("c{place}")).collect();
    let (wanted, names, limit) = (wanted.join(", "), names.join(", "), most + 1);
    let sql = format!("SELECT {wanted} FROM (\n{text}\n) AS answer({names}) LIMIT {limit}");
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    let (mut table, mut bytes) = (Table { columns, ..Table::default() }, 0);
    while let Some(row) = found.next()? {
        let cells = (0..table.columns.len()).map(|place| row.get(place).map(cell));
        let cells = cells.collect::<Result<Vec<Cell>, _>>()?;
        bytes += cells.iter().map(size).sum::<usize>();
        let cut = if table.rows.len() == most { Some(Cut::Rows) } else { None };
        table.cut = cut.or((bytes > MAX_ANSWER_BYTES).then_some(Cut::Bytes));
        if table.cut.is_some() {
            break;
        }
        table.rows.push(cells);
    }
    Ok(table)
}

fn columns(connection: &Connection, text: &str) -> Result<Vec<Column>, duckdb::Error> {
    let mut statement = connection.prepare(&format!("DESCRIBE SELECT * FROM (\n{text}\n)"))?;
    let columns = statement.query_map([], |row| Ok(Column { name: row.get(0)?, kind: row.get(1)? }))?;
    columns.collect()
}

fn wanted(place: usize, column: &Column) -> String {
    if PLAIN.contains(&column.kind.as_str()) {
        return format!("c{place}");
    }
    // A float goes over its own digits: 0.1 stays 0.1.
    format!("CAST(c{place} AS VARCHAR)")
}

fn cell(value: Value) -> Cell {
    let whole = |number: i128| match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => Cell::Int(number),
        (_, Ok(number)) => Cell::UInt(number),
        _ => Cell::Text(number.to_string()),
    };
    match value {
        Value::Null => Cell::Null,
        Value::Boolean(value) => Cell::Bool(value),
        Value::TinyInt(number) => whole(number.into()),
        Value::SmallInt(number) => whole(number.into()),
        Value::Int(number) => whole(number.into()),
        Value::BigInt(number) => whole(number.into()),
        Value::HugeInt(number) => whole(number),
        Value::UTinyInt(number) => whole(number.into()),
        Value::USmallInt(number) => whole(number.into()),
        Value::UInt(number) => whole(number.into()),
        Value::UBigInt(number) => whole(number.into()),
        Value::Double(number) if number.is_finite() => Cell::Double(number),
        Value::Double(number) => Cell::Text(number.to_string()),
        Value::Text(text) => Cell::Text(text),
        other => Cell::Text(format!("{other:?}")),
    }
}

fn size(cell: &Cell) -> usize {
    16 + if let Cell::Text(text) = cell { text.len() } else { 0 }
}
