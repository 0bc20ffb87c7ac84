//! The cluster's nodes and their addresses, as this node knows them.
//!
//! It begins with the configured peers and is replaced by what the cluster itself knows, a newer version
//! for an older one.

use crate::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// The cluster's nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Rises with every change; 0 for what was configured.
    pub version: u64,
    /// Peer addresses (`host:port`).
    pub addresses: BTreeMap<NodeId, String>,
    /// Nodes that have begun to take part: their ids are never given to an empty data folder again.
    pub started: BTreeSet<NodeId>,
    /// Nodes that were removed: they are not listened to.
    pub removed: BTreeSet<NodeId>,
}

impl Directory {
    /// What is configured, before anything is known of the cluster.
    pub fn configured(addresses: BTreeMap<NodeId, String>) -> Self {
        Directory { addresses, ..Directory::default() }
    }

    /// True if a cluster is known, not only a configuration.
    pub fn is_known(&self) -> bool {
        self.version > 0
    }

    /// True if no empty data folder may take the id `node`.
    pub fn is_taken(&self, node: NodeId) -> bool {
        self.is_known() && (self.started.contains(&node) || !self.addresses.contains_key(&node))
    }
}
