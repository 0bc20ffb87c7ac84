//! What can be asked of the meta group.

use super::Placement;
use serde::{Deserialize, Serialize};

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The placement; the answer is an `Option<Placement>`.
    Placement,
}

impl Query {
    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(&self).unwrap_or_default()
    }
}

/// The placement in an answer; `None` if there is none yet.
pub fn placement(answer: &[u8]) -> Option<Placement> {
    postcard::from_bytes(answer).ok().flatten()
}
