//! Everything a node's replicas are started with.

use crate::machine::StateMachine;
use crate::observe::Observer;
use crate::{GroupId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Makes the empty state machine of a group.
pub type MachineFactory = Arc<dyn Fn(GroupId) -> Box<dyn StateMachine> + Send + Sync>;

/// What the replicas of a node are started with. Fields without a unit in their name count.
#[derive(Clone)]
pub struct ReplicaOptions {
    /// This node.
    pub node: NodeId,
    /// Nodes of another cluster are not talked to.
    pub cluster: u64,
    /// Peer address (`host:port`) of every configured node, this one included. What the cluster itself
    /// knows of its nodes goes before it, see [`crate::Directory`].
    pub peers: BTreeMap<NodeId, String>,
    /// Address to listen on for peers.
    pub peer_listen: String,
    /// Folder of the node's files.
    pub data: PathBuf,
    /// Makes state machines.
    pub machines: MachineFactory,
    /// Watches, for a judge. `None` in production.
    pub observer: Option<Arc<dyn Observer>>,
    /// Raft's unit of time.
    pub tick: Duration,
    /// Ticks without a leader before an election; the timeout of a term lies between this and its double.
    pub election_ticks: usize,
    /// Ticks between heartbeats.
    pub heartbeat_ticks: usize,
    /// Proposals, reads and messages waiting for the driver; a full queue answers "busy".
    pub event_queue: usize,
    /// Frames waiting for a connection.
    pub peer_queue: usize,
    /// Commands in one log entry at most.
    pub max_batch: usize,
    /// Bytes of commands in one log entry; a single larger command still gets one.
    pub max_batch_bytes: usize,
    /// Batches a gateway has under way for a group.
    pub max_batches_in_flight: usize,
    /// Writes waiting at a gateway for a group; a full queue answers "busy".
    pub gateway_queue: usize,
    /// Log entries that make a group compact its log.
    pub compact_after_entries: usize,
    /// Log bytes that make a group compact its log.
    pub compact_after_bytes: usize,
    /// Entries kept before the compaction point for followers that are a little behind.
    pub trailing_entries: u64,
    /// Bytes in a chunk of a snapshot.
    pub snapshot_chunk_bytes: usize,
    /// redb's page cache.
    pub cache_bytes: usize,
    /// The format that this node says it speaks, see [`crate::bootstrap::FORMAT`].
    pub format: u32,
}

impl ReplicaOptions {
    /// Defaults for `node` in a cluster of `peers`.
    pub fn new(
        node: NodeId,
        peers: BTreeMap<NodeId, String>,
        data: PathBuf,
        machines: MachineFactory,
    ) -> Self {
        let peer_listen = peers.get(&node).cloned().unwrap_or_default();
        ReplicaOptions {
            node,
            cluster: 1,
            peers,
            peer_listen,
            data,
            machines,
            observer: None,
            tick: Duration::from_millis(100),
            election_ticks: 10,
            heartbeat_ticks: 2,
            event_queue: 8192,
            peer_queue: 4096,
            max_batch: 1024,
            max_batch_bytes: 1 << 20,
            max_batches_in_flight: 4,
            gateway_queue: 8192,
            compact_after_entries: 8192,
            compact_after_bytes: 4 << 20,
            trailing_entries: 512,
            snapshot_chunk_bytes: 256 << 10,
            cache_bytes: 8 << 20,
            format: crate::bootstrap::FORMAT,
        }
    }
}

/// Where a group lives, or began to live: every replica of a group starts from the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// The group.
    pub group: GroupId,
    /// Voting replicas.
    pub voters: Vec<NodeId>,
    /// Replicas that receive the log and do not vote.
    pub learners: Vec<NodeId>,
    /// The voter that leads when all is well.
    pub home: NodeId,
}

impl GroupSpec {
    /// True if `node` holds a replica.
    pub fn contains(&self, node: NodeId) -> bool {
        self.voters.contains(&node) || self.learners.contains(&node)
    }
}
