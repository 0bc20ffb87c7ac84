//! Points of tagged series, as they are brought to DuckDB: columns, with series by their numbers.
//!
//! A partition numbers its points and its series from 0 on, and both numbers stay. Points may be forgotten,
//! so that numbers can be missing; series are not.
//!
//! Leaves out what the kinds of series mean: here they are words.

use serde::{Deserialize, Serialize};

/// What makes a series itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its type, as users write it.
    pub kind: String,
    /// Its tags, each key once.
    pub tags: Vec<(String, String)>,
}

/// From where on a partition keeps points: what lies before either is forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// A time, in milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// A point's number.
    pub from: u64,
}

impl Kept {
    /// The later of both, in time and in number.
    #[must_use]
    pub fn max(self, other: Kept) -> Kept {
        Kept { from_ms: self.from_ms.max(other.from_ms), from: self.from.max(other.from) }
    }

    /// True if a point is not forgotten.
    pub fn keeps(&self, number: u64, at_ms: u64) -> bool {
        number >= self.from && at_ms >= self.from_ms
    }
}

/// How much of a partition is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Number of the first point that is not.
    pub next: u64,
    /// Number of the first series that is not.
    pub series: u32,
    /// What was forgotten, as far as that is known since the start.
    pub kept: Kept,
}

/// Points without gaps between them, in columns of equal length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Number of a point before which all are held; from there to `start` there are none any more.
    pub first: u64,
    /// Number of the first point here.
    pub start: u64,
    /// Number of the first series in `series`.
    pub first_series: u32,
    /// Series in the order of their numbers.
    pub series: Vec<Series>,
    /// Number of each point's series.
    pub of: Vec<u32>,
    /// Times in milliseconds since the Unix epoch.
    pub at_ms: Vec<u64>,
    /// Values; no matter where there is a member.
    pub values: Vec<f64>,
    /// Members of sets: the point's place in this batch, rising, and the member.
    pub members: Vec<(u32, String)>,
    /// What is forgotten meanwhile.
    pub kept: Kept,
}

impl Batch {
    /// Number after the last point here.
    pub fn end(&self) -> u64 {
        self.start + self.of.len() as u64
    }
}

/// A point, as one is told from another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its number.
    pub seq: u64,
    /// Name of its series.
    pub name: String,
    /// Its time.
    pub at_ms: u64,
    /// Its value; none for a member of a set.
    pub value: Option<f64>,
    /// What a set got.
    pub member: Option<String>,
}
