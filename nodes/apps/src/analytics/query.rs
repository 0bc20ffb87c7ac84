//! What can be asked of a partition.

use engine::exact_sum::Stored;
use engine::{ExactSum, Filter, Partial, Row};
use serde::{Deserialize, Serialize};

/// Chunks looked through for one answer: a longer look would hold up everything else of the node.
pub const CHUNKS_AT_ONCE: usize = 64;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// What the wanted rows come to; the answer is a [`Piece`].
    Partial {
        /// Which rows.
        filter: Filter,
        /// Number of the first row to look at.
        first: u64,
        /// Number of the row to stop before: of all pieces of an answer the same, so that they are one
        /// picture. `None` stops at the newest.
        end: Option<u64>,
    },
    /// Rows from that number on, some at a time; the answer is a [`Rows`].
    Rows {
        /// Number of the first one.
        first: u64,
    },
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Rows that were wanted.
    pub count: u64,
    /// Their exact sum.
    pub sum: Stored,
    /// Rows of the partition, or where it was told to stop.
    pub end: u64,
    /// Number of the row that the next piece begins with, if there is one.
    pub next: Option<u64>,
}

impl Piece {
    /// As partials merge; `None` if it makes no sense.
    pub fn partial(&self) -> Option<Partial> {
        Some(Partial { count: self.count, sum: ExactSum::from_stored(&self.sum)? })
    }
}

/// Some rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// In the order of their numbers; none if there are no more.
    pub rows: Vec<Row>,
    /// Rows of the partition.
    pub end: u64,
}
