//! A command on its way through the log.

use serde::{Deserialize, Serialize};

/// A command, and what makes its retries harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The client's idempotency key.
    pub key: Option<String>,
    /// The command, in its app's encoding.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
}

impl Envelope {
    /// What tells a retry from another command under the same key.
    pub fn fingerprint(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.payload)
    }
}

/// One log entry: commands that arrived together, stamped with the leader's wall clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Milliseconds since the Unix epoch at the leader.
    pub at_ms: u64,
    /// The commands, in order.
    pub envelopes: Vec<Envelope>,
}

impl Batch {
    /// The entry's bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// The batch in an entry's bytes.
    ///
    /// # Errors
    /// If the bytes are not a batch.
    pub fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// What the state machine answered, now or the first time.
    Applied(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The idempotency key was used for another command before. Nothing was done.
    KeyReused,
}
