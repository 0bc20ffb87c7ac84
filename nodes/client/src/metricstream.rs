//! The JSON of MetricStream.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Body of `POST /metrics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// 1 to 10,000 metrics.
    pub metrics: Vec<Metric>,
}

/// A metric of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Name: 1 to 256 bytes of UTF-8 without control characters.
    pub name: String,
    /// A finite number; for a set also a string.
    pub value: Value,
    /// `counter`, `gauge`, `histogram`, `summary` or `set`; without it, `gauge`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// At most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Milliseconds since the Unix epoch; without it, the time at which the cluster took it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A finite number.
    Number(f64),
    /// A member of a set.
    Text(String),
}

/// Answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAnswer {
    /// Always true.
    pub success: bool,
    /// Metrics that are stored now.
    pub accepted: u64,
    /// Metrics that are not, because they break a rule.
    pub rejected: u64,
    /// The first of these rules, 100 at most.
    pub errors: Vec<ItemError>,
}

/// What is wrong with one metric of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemError {
    /// Its place in the batch, from 0.
    pub index: u32,
    /// The rule that it breaks.
    pub error: String,
}

/// Answer to `GET /stats`, and to `GET /metrics` with `Accept: application/json`: counted over the whole
/// cluster, since its first day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Metrics that were accepted.
    pub metrics_received: u64,
    /// Batches of which at least one metric was accepted.
    pub batches_processed: u64,
    /// Metrics that were rejected, and bodies that were refused as a whole.
    pub validation_errors: u64,
    /// Requests that were answered with 429.
    pub rate_limited_requests: u64,
}

/// Answer to `GET /query`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryAnswer {
    /// Name of the metric.
    pub name: String,
    /// The aggregate; absent for points as they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agg: Option<String>,
    /// Length of a step; absent without steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_ms: Option<u64>,
    /// One element a series, or a group of them.
    pub series: Vec<QuerySeries>,
    /// For points as they came: what to pass as `after` to get more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// A series of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuerySeries {
    /// `counter`, `gauge`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its tags, or those that it was grouped by.
    pub tags: BTreeMap<String, String>,
    /// Time and value, in the order of time. A value that no JSON number can hold is null.
    pub points: Vec<(u64, Option<Value>)>,
}

/// Answer to `GET /rollups`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollupAnswer {
    /// Name of the metric.
    pub name: String,
    /// Length of a window.
    pub window_ms: u64,
    /// From the begin of a window to the begin of the next.
    pub slide_ms: u64,
    /// One element a series, or a group of them.
    pub series: Vec<RollupSeries>,
}

/// A series' windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollupSeries {
    /// `counter`, `gauge`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its tags, or those that it was grouped by.
    pub tags: BTreeMap<String, String>,
    /// Windows that hold points, in the order of time.
    pub windows: Vec<Window>,
}

/// A window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Its begin, in milliseconds since the Unix epoch.
    pub start: u64,
    /// Its end, which is not part of it.
    pub end: u64,
    /// Points.
    pub count: u64,
    /// Their exact sum, rounded once. Absent for sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    /// Smallest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Arithmetic mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg: Option<f64>,
    /// Different members; of sets only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<u64>,
    /// The partition's log has passed its end. A point that comes late still counts.
    pub closed: bool,
}

/// Answer to `GET /series`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesAnswer {
    /// Series, 1,000 of a partition at most.
    pub series: Vec<SeriesEntry>,
}

/// A series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesEntry {
    /// Name.
    pub name: String,
    /// `counter`, `gauge`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Points that it ever got.
    pub count: u64,
}
