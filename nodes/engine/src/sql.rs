//! What SQL is asked with and answered: plain data, with or without DuckDB.

use serde::{Deserialize, Serialize};

/// Bytes of an answer, roughly: what is longer is cut.
pub const MAX_ANSWER_BYTES: usize = 8 << 20;

/// What a query may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Rows of an answer; the rest is cut off.
    pub rows: u32,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is too large for [`Cell::Int`].
    UInt(u64),
    /// A number.
    Double(f64),
    /// Text, and everything else as text.
    Text(String),
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as DuckDB names it.
    pub kind: String,
}

/// Why an answer is not all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cut {
    /// There are more rows than [`Limits::rows`].
    Rows,
    /// It would have more than [`MAX_ANSWER_BYTES`].
    Bytes,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What each row consists of.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
    /// Set if rows are missing.
    pub cut: Option<Cut>,
}
