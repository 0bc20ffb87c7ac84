//! What a partition's log holds.

use serde::{Deserialize, Serialize};

/// Longest name in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// Series a partition holds at most; part of the format, as all replicas must refuse the same ones.
pub const MAX_SERIES: usize = 20_000;

/// A command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Appends a value to a series.
    Record {
        /// Name of the series.
        name: String,
        /// A finite number.
        value: f64,
    },
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It is the value with this number in its series, counted from 0.
    Recorded(u64),
    /// The partition holds [`MAX_SERIES`] series already. Nothing was done.
    TooManySeries,
    /// A value that is not finite, or bytes that are no command. Nothing was done.
    Invalid,
}

impl Command {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }
}

impl Reply {
    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(&self).unwrap_or_default()
    }

    /// The reply in `bytes`; bytes that are none count as invalid.
    pub fn decode(bytes: &[u8]) -> Self {
        postcard::from_bytes(bytes).unwrap_or(Reply::Invalid)
    }
}
