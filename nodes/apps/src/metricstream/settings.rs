//! The table `[apps.metricstream]` of the configuration file.

use super::queue::{self, QueueIn, QueueOut};
use crate::cluster::Cluster;
use crate::http::rate_limit::RateLimit;
use crate::profile::Profile;
use serde::Deserialize;
use std::path::PathBuf;

/// What one client may ask where nothing else is said, in the profile `metricstream`.
pub const DEFAULT_RATE: &str = "10000/s";
/// Hours that points are kept where nothing else is said: 30 days.
pub const DEFAULT_RETENTION_HOURS: u64 = 720;

/// Size at which `metrics.jsonl` is set aside where nothing else is said.
pub const DEFAULT_FILE_MIB: u64 = 64;

/// As it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rate_limit: Option<String>,
    retention_hours: Option<u64>,
    export: Option<bool>,
    folder: Option<PathBuf>,
    file_mib: Option<u64>,
    queue_in: Option<QueueIn>,
    queue_out: Option<QueueOut>,
}

/// Where `metrics.jsonl` goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its folder.
    pub folder: PathBuf,
    /// Bytes after which it is set aside.
    pub file_bytes: u64,
}

/// As it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What one client may post to `/metrics`; `None` is no limit.
    pub rate_limit: Option<RateLimit>,
    /// How long points are kept.
    pub retention_ms: u64,
    /// Where `metrics.jsonl` goes; `None` if it is not written here.
    pub export: Option<Export>,
    /// Where messages come from.
    pub queue_in: Option<QueueIn>,
    /// Where points go as messages.
    pub queue_out: Option<QueueOut>,
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
        let file_mib = table.file_mib.unwrap_or(DEFAULT_FILE_MIB);
        if !(1..=1024).contains(&file_mib) {
            return Err("metricstream: file_mib must lie in 1..=1024".into());
        }
        let (queue_in, queue_out) = (table.queue_in, table.queue_out);
        queue::check(cluster, queue_in.as_ref(), queue_out.as_ref())?;
        let options = cluster.options();
        let wanted = table.export.unwrap_or(options.profile == Profile::MetricStream);
        let folder = table.folder.unwrap_or_else(|| options.data.clone());
        let export = wanted.then_some(Export { folder, file_bytes: file_mib << 20 });
        let retention_ms = hours.saturating_mul(3_600_000);
        Ok(Settings { rate_limit: rate, retention_ms, export, queue_in, queue_out })
    }
}
