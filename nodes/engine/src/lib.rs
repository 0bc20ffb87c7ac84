//! Where rows are kept to be averaged: [`columnar`] is the durable form that a partition's replicas share;
//! `duck` (feature `duckdb`) is a cache of it that SQL can be asked of, and that can be rebuilt at any time;
//! it takes [`points`] of tagged series too; `process` keeps it in a process of its own.
//!
//! Rows of a partition are numbered from 0 and never change. That number is what engines agree on: one that
//! has applied `n` rows holds exactly the rows below `n`.
//!
//! Leaves out who writes rows and in what order: that is the log's.

pub mod columnar;
#[cfg(feature = "duckdb")]
pub mod duck;
pub mod exact_sum;
mod memory;
pub mod points;
#[cfg(feature = "duckdb")]
pub mod process;
pub mod sql;

pub use exact_sum::ExactSum;
pub use memory::Memory;

use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The key that picked the partition.
    pub key: String,
    /// When its insert was proposed, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// A finite number.
    pub value: f64,
}

/// Which rows are asked for; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// What keys begin with.
    pub prefix: String,
    /// Not older than this.
    pub from_ms: Option<u64>,
    /// Older than this.
    pub to_ms: Option<u64>,
}

impl Filter {
    /// True if a row of that time is asked for.
    pub fn wants_time(&self, at_ms: u64) -> bool {
        self.from_ms.is_none_or(|from| at_ms >= from) && self.to_ms.is_none_or(|to| at_ms < to)
    }

    /// True if the row is asked for.
    pub fn wants(&self, row: &Row) -> bool {
        self.wants_time(row.at_ms) && row.key.starts_with(&self.prefix)
    }
}

/// What rows come to: partials of different rows merge without loss.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Partial {
    /// Rows.
    pub count: u64,
    /// Their exact sum.
    pub sum: ExactSum,
}

impl Partial {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum.add(value);
    }

    /// Adds what other rows come to.
    pub fn merge(&mut self, other: &Partial) {
        self.count += other.count;
        self.sum.merge(&other.sum);
    }

    /// The average of the rows as if it was worked out with endless digits, rounded once. 0 of no rows.
    pub fn average(&self) -> f64 {
        NonZeroU64::new(self.count).map_or(0.0, |count| self.sum.divided_by(count))
    }
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum EngineError {
    /// Rows are missing between those it holds and those it was given.
    #[error("rows begin at {given}, and {applied} are held")]
    Gap {
        /// Number of the first row given.
        given: u64,
        /// Rows held.
        applied: u64,
    },
    /// What is stored makes no sense, or could not be read or written.
    #[error("{0}")]
    Store(String),
    /// The question is not allowed, or wrong.
    #[error("{0}")]
    Refused(String),
    /// The answer would take longer, or be larger, than allowed.
    #[error("{0}")]
    Limit(String),
    /// Finding the answer would take more memory than allowed.
    #[error("{0}")]
    Memory(String),
}

/// Keeps the rows of some partitions.
pub trait Engine: Send {
    /// How many rows of `partition` it holds.
    ///
    /// # Errors
    /// [`EngineError`].
    fn applied(&self, partition: u64) -> Result<u64, EngineError>;

    /// Takes rows, the first of which has the number `first`. Those it holds already are left out; all
    /// others are taken, or none.
    ///
    /// # Errors
    /// [`EngineError::Gap`] if rows before them are missing.
    fn append(&mut self, partition: u64, first: u64, rows: &[Row]) -> Result<(), EngineError>;

    /// What the wanted rows of `partition` come to.
    ///
    /// # Errors
    /// [`EngineError`].
    fn partial(&self, partition: u64, filter: &Filter) -> Result<Partial, EngineError>;
}

/// The part of `rows` that an engine with `applied` rows does not hold.
///
/// # Errors
/// [`EngineError::Gap`].
pub fn unseen(applied: u64, first: u64, rows: &[Row]) -> Result<&[Row], EngineError> {
    let held = applied.checked_sub(first).ok_or(EngineError::Gap { given: first, applied })?;
    Ok(rows.get(usize::try_from(held).unwrap_or(usize::MAX)..).unwrap_or_default())
}
