//! What nodes did inside, as the replicated log sees it: the material of the raft judges.

use serde::{Deserialize, Serialize};

/// One step of one replica. `node` and `group` name the replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Simulated time in nanoseconds from the start of the run.
    pub at_ns: u64,
    /// Node.
    pub node: u64,
    /// Raft group.
    pub group: u64,
    /// What happened.
    pub step: Step,
}

/// What a replica did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The replica came up from what its disk holds (all zero: an empty disk).
    Started {
        /// Term of the stored hard state.
        term: u64,
        /// Vote of the stored hard state, 0 for none.
        vote: u64,
        /// Commit index of the stored hard state.
        commit: u64,
        /// Applied index of the stored state.
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
    /// The replica became leader of `term`.
    BecameLeader {
        /// Term.
        term: u64,
    },
    /// The replica stopped being leader.
    SteppedDown {
        /// Its term now.
        term: u64,
    },
    /// An entry became durable in the log, replacing everything from `index` on.
    Appended {
        /// Index.
        index: u64,
        /// Term.
        term: u64,
        /// Hash of the entry's data.
        hash: u64,
    },
    /// An entry was applied to the state machine.
    Applied {
        /// Index.
        index: u64,
        /// Term.
        term: u64,
        /// Hash of the entry's data.
        hash: u64,
    },
    /// A snapshot replaced log and state.
    SnapshotInstalled {
        /// Last index that it covers.
        index: u64,
        /// Term of that index.
        term: u64,
    },
    /// The replica was removed from its group and has deleted its log and state. What it keeps for ever are
    /// its term and its vote; if the node is ever needed in the group again, it begins with an empty log.
    Removed,
    /// The state machine's logical content at `index`, hashed.
    StateHash {
        /// Applied index.
        index: u64,
        /// Hash.
        hash: u64,
    },
}
