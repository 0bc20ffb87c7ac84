//! How far a partition has taken in each source of messages.
//!
//! A source numbers its messages. The partition keeps the number of the last one it has, with the points
//! themselves and in the same log entry: that is what makes a message count exactly once for ever, however
//! often somebody brings it.

use super::command::{MAX_SOURCE_BYTES, MAX_SOURCES, encode};
use xxhash_rust::xxh3::xxh3_64;

/// Sources with the number of the last message, in the order of their first messages.
#[derive(Default)]
pub(super) struct Sources(Vec<(String, u64)>);

impl Sources {
    /// The last message that was taken in; 0 if there was none.
    pub(super) fn at(&self, source: &str) -> u64 {
        self.0.iter().find(|(known, _)| known == source).map_or(0, |(_, at)| *at)
    }

    pub(super) fn has_room_for(&self, source: &str) -> bool {
        let known = self.0.iter().any(|(known, _)| known == source);
        known || (self.0.len() < MAX_SOURCES && (1..=MAX_SOURCE_BYTES).contains(&source.len()))
    }

    /// Notes how far it is; gives the number of the source's row, and the row.
    pub(super) fn set(&mut self, source: &str, upto: u64) -> (u64, Vec<u8>) {
        let place = self.0.iter().position(|(known, _)| known == source).unwrap_or_else(|| {
            self.0.push((source.to_owned(), 0));
            self.0.len() - 1
        });
        self.0[place].1 = upto;
        (place as u64, encode(&self.0[place]))
    }

    /// Takes a row back; they come in the order of their numbers.
    pub(super) fn restore(&mut self, number: u64, row: &[u8]) -> Result<(), String> {
        if number != self.0.len() as u64 {
            return Err("sources before it are missing".into());
        }
        self.0.push(postcard::from_bytes(row).map_err(|error| error.to_string())?);
        Ok(())
    }

    /// 0 as long as there are none, so that older nodes come to the same.
    pub(super) fn hash(&self) -> u64 {
        if self.0.is_empty() { 0 } else { xxh3_64(&encode(&self.0)) }
    }
}
