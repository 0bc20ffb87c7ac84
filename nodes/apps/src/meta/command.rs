//! What the meta group's log holds.

use super::Placement;
use super::members::{Join, Member, Refused};
use replica::{GroupSpec, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A command to the meta group. All but the first came with format 2: they are proposed only when every
/// configured node speaks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Sets the placement, unless there is one.
    Place(Placement),
    /// Begins the table of members with the configured nodes, unless there is one.
    Enroll {
        /// They.
        members: BTreeMap<NodeId, Member>,
        /// Where the meta group lives.
        meta: GroupSpec,
    },
    /// A node wants to become a member.
    Join(Join),
    /// A node runs, or has moved.
    Started {
        /// The node.
        node: NodeId,
        /// Its peer address.
        peer: String,
        /// Its API address.
        api: String,
    },
    /// A member is to leave.
    Leave {
        /// The member.
        node: NodeId,
    },
    /// A member has left.
    Removed {
        /// It.
        node: NodeId,
    },
    /// Every member speaks this format. (Since format 3.)
    Speaks {
        /// The format.
        format: u32,
    },
    /// The group that holds all this is at home on another voter from now on. (Since format 3.)
    MoveHome {
        /// The voter.
        node: NodeId,
    },
    /// A member lives in this region. (Since format 4.)
    Region {
        /// The member.
        node: NodeId,
        /// The region; empty if it is none any more.
        region: String,
    },
}

impl Command {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done, or as it was already.
    Done,
    /// The id of the new member, and what it needs to begin.
    Joined {
        /// Its id.
        node: NodeId,
        /// Where the meta group began.
        meta: GroupSpec,
        /// Peer addresses of all members.
        nodes: Vec<(NodeId, String)>,
    },
    /// Not done.
    Refused(Refused),
}

impl Reply {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// The reply in `bytes`; `None` if there is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}
