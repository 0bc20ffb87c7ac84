//! State machines on replicated logs: many raft groups in one node, one log store, one fsync.
//!
//! The map, in reading order:
//!
//! | module | what it holds |
//! |---|---|
//! | [`options`] | everything a node's replicas are started with |
//! | [`members`] | who belongs to a group, and the way from one membership to another |
//! | [`bootstrap`] | how a node without data finds out who it is |
//! | [`directory`] | the cluster's nodes and their addresses |
//! | [`machine`] | the contract of a state machine |
//! | [`envelope`] | a command on its way: payload, idempotency key, time |
//! | [`dedup`] | first answers by idempotency key |
//! | [`store`] | one redb file: logs, hard states, states |
//! | [`codec`] | raft messages as bytes |
//! | [`frame`] | what goes over a connection between nodes |
//! | [`transport`] | the connections themselves |
//! | [`group`] | one replica of one group |
//! | [`driver`] | the one loop that drives all groups of a node |
//! | [`gateway`] | writes and reads from any node to the leader of any group |
//! | [`observe`] | what a judge may see |
//! | [`start`] | puts them together |
//!
//! Deliberately absent: consensus (raft-rs), the B-tree (redb), and what makes nodes come and go.

pub mod bootstrap;
pub mod codec;
pub mod dedup;
pub mod directory;
pub mod driver;
pub mod envelope;
pub mod frame;
pub mod gateway;
pub mod group;
pub mod machine;
pub mod members;
pub mod observe;
pub mod options;
pub mod start;
pub mod store;
pub mod transport;

pub use directory::Directory;
pub use envelope::Envelope;
pub use gateway::{Gateway, ReadError, WriteError};
pub use machine::{StateMachine, Stored};
pub use members::{Members, Target};
pub use options::{GroupSpec, ReplicaOptions};
pub use start::{Replica, StartError};
pub use store::{Store, StoreError};

/// Names a raft group. Group 0 is the meta group.
pub type GroupId = u64;
/// Names a node. Never 0, which raft uses for "none".
pub type NodeId = u64;
