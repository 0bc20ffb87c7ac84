//! What can be asked of a partition.

use super::accumulator::{Need, Stored};
use super::command::{Definition, Kind};
use serde::{Deserialize, Serialize};

/// Points in one answer at most.
pub const MAX_POINTS: u64 = 10_000;
/// Steps of all series together in one answer at most.
pub const MAX_CELLS: usize = 11_000;
/// Series in one answer at most.
pub const MAX_LISTED: u64 = 1_000;

/// Which points.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {
    /// Of series with this name; `None` is all.
    pub name: Option<String>,
    /// That have all these tags.
    pub tags: Vec<(String, String)>,
    /// Not before this time, in milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// Before this time.
    pub to_ms: u64,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The answer is [`Counts`](super::command::Counts).
    Counts,
    /// Up to `limit` series with numbers from `from` on; the answer is a `Vec<Listed>`.
    Series {
        /// Which ones; times do not matter.
        select: Select,
        /// Number to begin at.
        from: u32,
        /// So many at most.
        limit: u64,
    },
    /// Points in the order of their arrival; the answer is [`Points`].
    Points {
        /// Which ones.
        select: Select,
        /// Number of the first point that is wanted.
        from: u64,
        /// So many at most.
        limit: u64,
    },
    /// Points summed up; the answer is an `Option<Sums>`, which is `None` if there were too many.
    Sums(Sum),
    /// How far the partition has taken in the messages of a source; the answer is a number, 0 at first.
    /// Since format 4.
    Taken {
        /// Name of the source.
        source: String,
    },
    /// Points as they lie there, for whoever takes all of them; the answer is a [`Slice`].
    Slice {
        /// Number of the first point that is wanted.
        from: u64,
        /// Number of the first series that the asker does not know.
        series: u32,
    },
}

/// What to sum up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Which points.
    pub select: Select,
    /// Length of a step, aligned to the Unix epoch; 0 is one step for all.
    pub step_ms: u64,
    /// What is wanted.
    pub need: Need,
    /// Put together what agrees in these tags; `None` leaves each series to itself.
    pub by: Option<Vec<String>>,
    /// From the roll-ups instead of the points. Times and steps are multiples of a roll-up's pane then.
    pub rolled_up: bool,
    /// Where the last answer said to go on; 0 at first.
    pub from: u64,
}

/// A series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its number in its partition.
    pub number: u32,
    /// What it is.
    pub definition: Definition,
    /// Points that it ever got.
    pub count: u64,
}

/// A point's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A finite number.
    Number(f64),
    /// A member of a set.
    Member(String),
}

/// Some points.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// Series that appear, with their numbers.
    pub series: Vec<(u32, Definition)>,
    /// Number of the point, number of its series, its time and value.
    pub points: Vec<(u64, u32, u64, Value)>,
    /// Where to go on, if there may be more.
    pub next: Option<u64>,
    /// Points that the partition ever got.
    pub end: u64,
    /// What lies wholly before this time was forgotten.
    pub retained_ms: u64,
}

/// Points summed up, or a part of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// What the sums belong to: kind and tags.
    pub groups: Vec<(Kind, Vec<(String, String)>)>,
    /// Number of the group, begin of the step, and the sum.
    pub cells: Vec<(u32, u64, Stored)>,
    /// Where to go on, if there is more.
    pub next: Option<u64>,
    /// Latest time that a log entry of the partition carried.
    pub watermark_ms: u64,
}

/// Points that lie together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Number of the first one: later than asked for if some were forgotten.
    pub start: u64,
    /// The points, as [`Columns`](super::columns::Columns) are stored.
    #[serde(with = "serde_bytes")]
    pub columns: Vec<u8>,
    /// Places of those that are members of sets.
    pub members: Vec<u32>,
    /// Series that the asker did not know, in the order of their numbers; perhaps not all.
    pub series: Vec<Definition>,
    /// Points that the partition ever got.
    pub end: u64,
    /// What lies wholly before this time was forgotten.
    pub retained_ms: u64,
    /// Points before this number were forgotten.
    pub kept: u64,
}
