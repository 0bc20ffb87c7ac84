//! What a judge may see of a replica: its steps, in the order in which it took them.

use crate::{GroupId, NodeId};

/// Takes the steps of replicas. Called from the driver: it must return at once.
pub trait Observer: Send + Sync {
    /// Replica (`node`, `group`) took `step`.
    fn observe(&self, node: NodeId, group: GroupId, step: Step);
}

/// What a replica did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It came up from what its disk holds.
    Started {
        /// Stored term.
        term: u64,
        /// Stored vote, 0 for none.
        vote: u64,
        /// Stored commit index.
        commit: u64,
        /// Stored applied index.
        applied: u64,
        /// Last index of the stored log.
        last_index: u64,
    },
    /// A hard state became durable.
    HardState {
        /// Term.
        term: u64,
        /// Vote, 0 for none.
        vote: u64,
        /// Commit index.
        commit: u64,
    },
    /// It became leader.
    BecameLeader {
        /// Its term.
        term: u64,
    },
    /// It stopped leading.
    SteppedDown {
        /// Its term now.
        term: u64,
    },
    /// An entry became durable, in place of everything from its index on.
    Appended {
        /// Index.
        index: u64,
        /// Term.
        term: u64,
        /// Hash of its data.
        hash: u64,
    },
    /// An entry was applied.
    Applied {
        /// Index.
        index: u64,
        /// Term.
        term: u64,
        /// Hash of its data.
        hash: u64,
    },
    /// A snapshot replaced log and state, durably.
    SnapshotInstalled {
        /// Last index it covers.
        index: u64,
        /// Term of that index.
        term: u64,
    },
    /// It was removed from its group and deleted what it had, durably.
    Removed,
    /// Hash of the state at an applied index.
    StateHash {
        /// Applied index.
        index: u64,
        /// Hash.
        hash: u64,
    },
}
