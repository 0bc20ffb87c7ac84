//! The configuration file: TOML, every key optional, flags go before it.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a file may set. Keys are those of `node run`, with underscores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// This node.
    pub id: Option<u64>,
    /// `control`, `worker` or `all`.
    pub role: Option<String>,
    /// What fails together with this node: a data centre, a rack.
    pub region: Option<String>,
    /// Ids of the control nodes.
    pub control: Option<Vec<u64>>,
    /// API address.
    pub listen: Option<String>,
    /// Peer address.
    pub peer_listen: Option<String>,
    /// Peer address by id: `peers = { 1 = "host:port" }`.
    pub peers: Option<BTreeMap<String, String>>,
    /// Data folder.
    pub data: Option<PathBuf>,
    /// `unified`, `raftmetrics`, `analytics`, `metricstream`, `raft3d` or `distri`.
    pub profile: Option<String>,
    /// Further API addresses by their profiles: `listeners = { raft3d = "127.0.0.1:8180" }`.
    pub listeners: Option<BTreeMap<String, String>>,
    /// `auto` or `strict`.
    pub auth: Option<String>,
    /// Bearer token.
    pub token: Option<String>,
    /// Partitions of a new cluster.
    pub partitions: Option<u32>,
    /// Largest request body.
    pub max_body_bytes: Option<usize>,
    /// What one client may ask of this node: `100/s`, `20/min`, `5000/h`.
    pub rate_limit: Option<String>,
    /// How long a request may take inside the cluster.
    pub request_deadline_ms: Option<u64>,
    /// Tables of the apps' own settings: `[apps.metricstream]`, …
    #[serde(default)]
    pub apps: BTreeMap<String, serde_json::Value>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// It is not what it should be; the text names line, column and what is allowed.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: Box<toml::de::Error>,
    },
}

/// Reads a file.
///
/// # Errors
/// [`ConfigError`].
#[allow(clippy::disallowed_methods, reason = "read by the binary before there is a node")]
pub fn read(path: &Path) -> Result<FileConfig, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })
}
