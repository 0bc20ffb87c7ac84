//! What can be asked of Distri's state.

use serde::{Deserialize, Serialize};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// A document; the answer is a [`Found`].
    Document {
        /// Where.
        collection: String,
        /// Its UUID.
        id: String,
    },
    /// Documents that a selector matches; the answer is a [`Found`].
    Matching {
        /// Where.
        collection: String,
        /// See [`super::selector`].
        selector: String,
        /// How many at most.
        limit: u64,
    },
    /// Documents in the order of their ids; the answer is a [`Found`].
    Page {
        /// Where.
        collection: String,
        /// Those after this id.
        after: Option<String>,
        /// How many at most.
        limit: u64,
    },
    /// The collections with their numbers of documents: `Vec<(String, u64)>`.
    Collections,
    /// The peers' names and addresses: `Vec<(String, String)>`.
    Peers,
    /// The nodes: `Vec<NodeRow>`.
    Nodes,
    /// The cluster's key: `Option<[u8; 32]>`.
    Key,
}

/// An id and a JSON object.
pub type Document = (String, String);

/// Documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// False if there is no such collection.
    pub collection: bool,
    /// The documents.
    pub documents: Vec<Document>,
    /// True if more follow.
    pub more: bool,
}
