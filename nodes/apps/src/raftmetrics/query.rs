//! What can be asked of a partition.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Values in one answer at most.
pub const MAX_PAGE: u64 = 10_000;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Values of a series in insertion order; the answer is an `Option<Page>`.
    Values {
        /// Name of the series.
        name: String,
        /// Leaves out the first so many.
        after: u64,
        /// So many at most.
        limit: u64,
    },
    /// The answer is an `Option<Summary>`.
    Aggregate {
        /// Name of the series.
        name: String,
    },
    /// Up to `limit` series with names after `after`; the answer is a `Vec<Exported>`.
    Export {
        /// Name to begin after.
        after: Option<String>,
        /// So many at most.
        limit: u64,
    },
}

/// Some values of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// In insertion order.
    pub values: Vec<f64>,
    /// Number of all values.
    pub count: u64,
    /// Time of the last write in milliseconds since the Unix epoch.
    pub last_ms: u64,
}

/// A series in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of values.
    pub count: u64,
    /// Exact sum, rounded once.
    pub sum: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Quantiles 0.5, 0.95 and 0.99.
    pub quantiles: [f64; 3],
    /// Time of the last write in milliseconds since the Unix epoch.
    pub last_ms: u64,
}

/// A series for the Prometheus text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// Name.
    pub name: String,
    /// Number of values.
    pub count: u64,
    /// Exact sum, rounded once.
    pub sum: f64,
    /// Upper bound and number of values in it, not cumulated, in rising order.
    pub buckets: Vec<(f64, u64)>,
}

impl Query {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }
}

/// The answer in `bytes`, `None` if they are not one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}
