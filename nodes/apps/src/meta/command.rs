//! What the meta group's log holds.

use super::Placement;
use serde::{Deserialize, Serialize};

/// A command to the meta group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Sets the placement, unless there is one.
    Place(Placement),
}

impl Command {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }
}
