//! The table `[apps.metricstream]` of the configuration file.

use crate::cluster::Cluster;
use crate::http::rate_limit::RateLimit;
use crate::profile::Profile;
use serde::Deserialize;

/// What one client may ask where nothing else is said, in the profile `metricstream`.
pub const DEFAULT_RATE: &str = "10000/s";
/// Hours that points are kept where nothing else is said: 30 days.
pub const DEFAULT_RETENTION_HOURS: u64 = 720;

/// As it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rate_limit: Option<String>,
    retention_hours: Option<u64>,
}

/// As it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What one client may post to `/metrics`; `None` is no limit.
    pub rate_limit: Option<RateLimit>,
    /// How long points are kept.
    pub retention_ms: u64,
}

impl Settings {
    /// Those of a node.
    ///
    /// # Errors
    /// A text that says what is allowed.
    pub fn of(cluster: &Cluster) -> Result<Self, String> {
        let table: Table = cluster.settings("metricstream")?;
        let named = |error: String| format!("metricstream: rate_limit: {error}; or \"off\"");
        let rate = match table.rate_limit.as_deref() {
            Some("off") => None,
            Some(text) => Some(text.parse().map_err(named)?),
            None if cluster.options().profile == Profile::MetricStream => DEFAULT_RATE.parse().ok(),
            None => None,
        };
        let hours = table.retention_hours.unwrap_or(DEFAULT_RETENTION_HOURS);
        if hours == 0 {
            return Err("metricstream: retention_hours must be 1 or more".into());
        }
        Ok(Settings { rate_limit: rate, retention_ms: hours.saturating_mul(3_600_000) })
    }
}
