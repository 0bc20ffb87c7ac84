//! The JSON of RaftMetrics.

use serde::{Deserialize, Serialize};

/// Body of `POST /metrics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Name: 1 to 256 bytes of UTF-8 without control characters.
    pub metric_name: String,
    /// A finite number.
    pub value: f64,
}

/// Answer to `POST /metrics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Always true.
    pub success: bool,
    /// `Metric recorded on worker X`: the metric's home by placement.
    pub message: String,
}

/// Answer to `GET /metrics/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// Name.
    pub metric_name: String,
    /// Values in insertion order.
    pub values: Vec<f64>,
    /// Time of the last write, RFC 3339 in UTC.
    pub timestamp: String,
    /// When there are more: what to pass as `after` to get them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// Answer to `GET /metrics/{name}/aggregate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Name.
    pub metric_name: String,
    /// Number of values.
    pub count: u64,
    /// Exact sum of all values, rounded once. `null` if it does not fit a 64-bit float.
    pub sum: Option<f64>,
    /// Mean, rounded to two places unless asked `raw`.
    pub mean: Option<f64>,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Median, within 1.6 %.
    pub p50: f64,
    /// 95th percentile, within 1.6 %.
    pub p95: f64,
    /// 99th percentile, within 1.6 %.
    pub p99: f64,
    /// Time of the last write, RFC 3339 in UTC.
    pub timestamp: String,
}

/// Answer to `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `healthy`.
    pub status: String,
    /// `[node] is operational`.
    pub message: String,
}
