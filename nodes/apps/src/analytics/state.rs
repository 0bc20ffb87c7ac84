//! A partition's state machine: the columnar engine.

use super::command::{Command, MAX_KEY_BYTES, Reply};
use super::query::{CHUNKS_AT_ONCE, Piece, Query, Rows};
use engine::columnar::Columnar;
use replica::StateMachine;
use replica::machine::{Row, RowChange, Stored};
use serde::Serialize;
use std::ops::Bound;

/// All rows of a partition.
#[derive(Default)]
pub struct State(Columnar);

fn encode<T: Serialize>(answer: &T) -> Vec<u8> {
    // Serialisation of plain data into memory has no way to fail.
    postcard::to_stdvec(answer).unwrap_or_default()
}

/// The stored row of exactly that key.
fn row_of(stored: &dyn Stored, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let rows = stored.rows(Bound::Included(key), Bound::Included(key), 1)?;
    Ok(rows.into_iter().next().map(|(_, row)| row))
}

impl State {
    fn insert(&mut self, key: &str, value: f64, at_ms: u64) -> Reply {
        if !value.is_finite() || key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Reply::Invalid;
        }
        self.0.push(key, at_ms, value).map_or(Reply::TooManyKeys, Reply::Inserted)
    }

    fn answer(&self, query: Query, stored: &dyn Stored) -> Result<Vec<u8>, String> {
        let read = |key: &[u8]| row_of(stored, key);
        match query {
            Query::Partial { filter, first, end } => {
                let end = end.unwrap_or(self.0.len()).min(self.0.len());
                let found = self.0.partial(&filter, first, end, CHUNKS_AT_ONCE, &read)?;
                let (count, sum) = (found.partial.count, found.partial.sum.to_stored());
                Ok(encode(&Piece { count, sum, end, next: found.next }))
            }
            Query::Rows { first } => {
                Ok(encode(&Rows { rows: self.0.rows(first, &read)?, end: self.0.len() }))
            }
        }
    }
}

impl StateMachine for State {
    fn apply(&mut self, command: &[u8], at_ms: u64) -> Vec<u8> {
        let reply = match postcard::from_bytes(command) {
            Ok(Command::Insert { key, value }) => self.insert(&key, value, at_ms),
            Err(_) => Reply::Invalid,
        };
        encode(&reply)
    }

    fn query(&self, query: &[u8], stored: &dyn Stored) -> Vec<u8> {
        // No bytes are no answer: the asker is told that the node failed.
        let Ok(query) = postcard::from_bytes(query) else { return Vec::new() };
        self.answer(query, stored).unwrap_or_default()
    }

    fn take_changes(&mut self) -> Vec<RowChange> {
        self.0.take_changes().into_iter().map(|(key, row)| (key, Some(row))).collect()
    }

    fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        self.0.restore(rows)
    }

    fn hash(&self) -> u64 {
        self.0.hash()
    }
}
