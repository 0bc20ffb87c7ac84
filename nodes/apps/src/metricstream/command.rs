//! What a partition's log holds of MetricStream: parts of batches in columns, counts, and retention.
//!
//! A batch is cut into one command a partition. Its columns are written once by the route and read in
//! place by every replica: no object a metric. A point without a time of its own gets its entry's, so that
//! a retry of a batch has the same bytes as the first try.

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

/// Longest name in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// Tags of a metric at most.
pub const MAX_TAGS: usize = 32;
/// Longest key or value of a tag, and longest member of a set, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// Largest time: the end of the year 9999, in milliseconds since the Unix epoch.
pub const MAX_TIME_MS: u64 = 253_402_300_799_999;
/// Series a partition holds at most; part of the format, as all replicas must refuse the same ones.
pub const MAX_SERIES: usize = 20_000;
/// Longest name of a source in bytes; part of the format.
pub const MAX_SOURCE_BYTES: usize = 512;
/// Sources that a partition keeps at most; part of the format.
pub const MAX_SOURCES: usize = 256;

/// What kind of numbers a series holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Each value is an increment, never below zero.
    Counter,
    /// Each value is a reading.
    Gauge,
    /// Each value is an observation.
    Histogram,
    /// Each value is an observation.
    Summary,
    /// Each value is a member; what counts is how many different ones there are.
    Set,
}

impl Kind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Set => "set",
        }
    }
}

/// What makes a series itself: equal ones are one series. Tags are sorted by their keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Definition {
    /// Kind.
    pub kind: Kind,
    /// Name.
    pub name: String,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// A definition that borrows, with the same bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DefinitionRef<'a> {
    /// Kind.
    pub kind: Kind,
    /// Name.
    pub name: &'a str,
    /// Tags.
    #[serde(borrow)]
    pub tags: Vec<(&'a str, &'a str)>,
}

/// What is counted of the whole cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Metrics that were accepted.
    pub received: u64,
    /// Batches of which at least one metric was accepted.
    pub batches: u64,
    /// Metrics that were rejected, and bodies that were no batch.
    pub invalid: u64,
    /// Requests that were over their client's limit.
    pub limited: u64,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: &Counts) {
        self.received = self.received.saturating_add(other.received);
        self.batches = self.batches.saturating_add(other.batches);
        self.invalid = self.invalid.saturating_add(other.invalid);
        self.limited = self.limited.saturating_add(other.limited);
    }
}

/// The metrics of a batch that live in one partition, in columns of equal length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part<'a> {
    /// Hash over the whole batch: another batch under the same key is told by it.
    pub digest: u64,
    /// What this part counts beside its own metrics: the batch itself, and what the route rejected.
    pub counts: Counts,
    /// Definitions of the part's series, in order of appearance, each as its bytes.
    #[serde(borrow)]
    pub series: Vec<&'a Bytes>,
    /// Which of them a point belongs to.
    pub of: Vec<u32>,
    /// Times in milliseconds since the Unix epoch, plus one; 0 is the entry's. Empty: all are the entry's.
    pub times: Vec<u64>,
    /// Values: the bits of a float, or the place of a set's member in `members`; 8 bytes each, low first.
    #[serde(borrow, with = "serde_bytes")]
    pub values: &'a [u8],
    /// Members of sets.
    #[serde(borrow)]
    pub members: Vec<&'a str>,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command<'a> {
    /// Appends the part's points.
    #[serde(borrow)]
    Ingest(Part<'a>),
    /// Adds to what is counted.
    Count(Counts),
    /// Forgets what lies wholly before this time.
    Retain {
        /// Milliseconds since the Unix epoch.
        before_ms: u64,
    },
    /// Appends the part's points, which come from the messages of `source` beyond number `after`, up to
    /// `upto`: only if the partition has taken in exactly those up to `after`. Since format 4.
    Fed {
        /// Name of the source, [`MAX_SOURCE_BYTES`] at most.
        source: &'a str,
        /// Number of the last message that the partition has.
        after: u64,
        /// Number of the last message of the part.
        upto: u64,
        /// The points.
        part: Part<'a>,
    },
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// All was done, but for the points with these numbers in their part: their series would be more than
    /// [`MAX_SERIES`].
    Done {
        /// Points left out.
        refused: Vec<u32>,
    },
    /// Bytes that are no command, or columns that do not fit together. Nothing was done.
    Invalid,
    /// Of its source the partition has taken in the messages up to another number. Nothing was done.
    Elsewhere {
        /// The number.
        at: u64,
    },
}

/// Plain data as bytes.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    // Serialisation of plain data into memory has no way to fail.
    postcard::to_stdvec(value).unwrap_or_default()
}
