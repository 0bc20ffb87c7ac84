//! What a partition's log holds.

use serde::{Deserialize, Serialize};

/// Longest partition key in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// A command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Appends a row.
    Insert {
        /// Its partition key.
        key: String,
        /// A finite number.
        value: f64,
    },
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It is the row with this number in its partition, counted from 0.
    Inserted(u64),
    /// The partition holds [`engine::columnar::MAX_KEYS`] keys already. Nothing was done.
    TooManyKeys,
    /// Bytes that are no command, or a key or value that cannot be. Nothing was done.
    Invalid,
}
