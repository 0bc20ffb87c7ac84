//! What the log holds of Distri, and the limits that are part of its format.

use serde::{Deserialize, Serialize};

/// Collections that exist from the start, and cannot be deleted.
pub const FIRST_COLLECTIONS: [&str; 3] = ["catalog", "permissions", "users"];
/// Longest name of a collection in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Collections at most.
pub const MAX_COLLECTIONS: usize = 1_000;
/// Largest document, as JSON.
pub const MAX_DOCUMENT_BYTES: usize = 32 << 10;
/// Documents of all collections at most.
pub const MAX_DOCUMENTS: usize = 200_000;
/// Bytes of all documents at most.
pub const MAX_TOTAL_BYTES: usize = 64 << 20;
/// Peers at most.
pub const MAX_PEERS: usize = 10_000;
/// Nodes at most.
pub const MAX_NODES: usize = 1_000;
/// Longest name and longest address of a peer in bytes.
pub const MAX_PEER_BYTES: usize = 128;
/// How long a peer is known after its last heartbeat, in log time.
pub const PEER_TTL_MS: u64 = 15_000;
/// What one log entry adds to log time at most: a clock that jumps must not end living peers.
pub const MAX_STEP_MS: u64 = 3_000;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Creates a collection.
    Create(String),
    /// Deletes a collection and its documents.
    Drop(String),
    /// Adds a document under an id that the route drew.
    Add {
        /// Where.
        collection: String,
        /// Its UUID.
        id: String,
        /// A JSON object.
        body: String,
    },
    /// Replaces a document.
    Update {
        /// Where.
        collection: String,
        /// Its UUID.
        id: String,
        /// A JSON object.
        body: String,
    },
    /// Deletes what a selector matches.
    Delete {
        /// Where.
        collection: String,
        /// See [`super::selector`].
        selector: String,
    },
    /// A peer lives, at that address.
    Heartbeat {
        /// Its name.
        peer: String,
        /// Where others reach it.
        address: String,
    },
    /// A peer goes.
    Leave(String),
    /// A key for the cluster, in case it has none.
    ProposeKey([u8; 32]),
    /// A node lives.
    Node(NodeRow),
    /// Time passes.
    Tick,
}

/// A node of the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Its id in the cluster.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Where its byte protocol is reached.
    pub address: String,
    /// The public key that it signs by.
    pub key: [u8; 32],
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// So many documents were deleted.
    Deleted(u64),
    /// The cluster's key.
    Key([u8; 32]),
    /// Nothing was done.
    Refused(Refused),
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// There is one of that name or id already.
    Known,
    /// There is no such collection.
    NoCollection,
    /// There is no such document.
    NoDocument,
    /// The collection exists for ever.
    Fixed,
    /// A limit is reached.
    Full,
    /// Bytes that are no command, or that break the limits.
    Invalid,
}

/// True for the name of a collection: letters, digits, `_`, `-` and `.`.
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

/// True for a UUID as it is written here: lower case, with dashes.
pub fn is_id(id: &str) -> bool {
    let dash = |place: usize| [8, 13, 18, 23].contains(&place);
    let fits = |(place, byte): (usize, u8)| match byte {
        b'-' => dash(place),
        b'0'..=b'9' | b'a'..=b'f' => !dash(place),
        _ => false,
    };
    id.len() == 36 && id.bytes().enumerate().all(fits)
}

/// True for a peer's name or address.
pub fn is_peer(text: &str) -> bool {
    (1..=MAX_PEER_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
