//! First answers by idempotency key: part of a group's replicated state and of its snapshots.
//!
//! A key is remembered for the next [`CAPACITY`] keyed commands of its group; then the oldest goes. The
//! number is part of the format: all replicas must forget at the same entry.

use crate::envelope::Answer;
use crate::machine::{Row, RowChange};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Keys remembered in a group.
pub const CAPACITY: usize = 32_768;

/// Rows of the table begin with this byte; rows of a state machine never do.
pub const ROW_PREFIX: u8 = 0;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    key: String,
    fingerprint: u64,
    #[serde(with = "serde_bytes")]
    answer: Vec<u8>,
}

/// The table.
#[derive(Debug, Default)]
pub struct Dedup {
    by_number: BTreeMap<u64, Remembered>,
    number_of: BTreeMap<String, u64>,
    next: u64,
    changed: BTreeMap<u64, ()>,
    capacity: usize,
}

impl Dedup {
    /// An empty table of the standard capacity.
    pub fn new() -> Self {
        Dedup { capacity: CAPACITY, ..Dedup::default() }
    }

    /// The answer to a command that came before under `key`, if any.
    pub fn lookup(&self, key: &str, fingerprint: u64) -> Option<Answer> {
        let remembered = self.by_number.get(self.number_of.get(key)?)?;
        if remembered.fingerprint == fingerprint {
            Some(Answer::Applied(remembered.answer.clone()))
        } else {
            Some(Answer::KeyReused)
        }
    }

    /// Remembers the first answer under `key`.
    pub fn remember(&mut self, key: &str, fingerprint: u64, answer: &[u8]) {
        let number = self.next;
        self.next += 1;
        self.number_of.insert(key.to_owned(), number);
        let remembered = Remembered { key: key.to_owned(), fingerprint, answer: answer.to_vec() };
        self.by_number.insert(number, remembered);
        self.changed.insert(number, ());
        while self.by_number.len() > self.capacity {
            if let Some((oldest, remembered)) = self.by_number.pop_first() {
                self.number_of.remove(&remembered.key);
                self.changed.insert(oldest, ());
            }
        }
    }

    /// Keys remembered now.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// True if no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// Rows changed since the last call.
    pub fn take_changes(&mut self) -> Vec<RowChange> {
        let changed = std::mem::take(&mut self.changed);
        let row = |number: u64| {
            let mut key = vec![ROW_PREFIX];
            key.extend(number.to_be_bytes());
            // Serialisation of plain data into memory has no way to fail.
            let value = self.by_number.get(&number).map(|r| postcard::to_stdvec(r).unwrap_or_default());
            (key, value)
        };
        changed.into_keys().map(row).collect()
    }

    /// Takes one row back at a restart.
    ///
    /// # Errors
    /// If the row is not one of ours.
    pub fn restore(&mut self, (key, value): &Row) -> Result<(), String> {
        let number = key.get(1..).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let number = number.ok_or("a dedup row with a key of the wrong size")?;
        let remembered: Remembered =
            postcard::from_bytes(value).map_err(|error| format!("dedup row {number}: {error}"))?;
        self.number_of.insert(remembered.key.clone(), number);
        self.by_number.insert(number, remembered);
        self.next = self.next.max(number + 1);
        Ok(())
    }

    /// Hash over the table.
    pub fn hash(&self) -> u64 {
        self.by_number.iter().fold(0, |hash: u64, (number, remembered)| {
            let key = xxhash_rust::xxh3::xxh3_64_with_seed(remembered.key.as_bytes(), *number);
            hash.wrapping_add(key ^ remembered.fingerprint)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(capacity: usize) -> Dedup {
        Dedup { capacity, ..Dedup::default() }
    }

    #[test]
    fn a_retry_gets_the_first_answer_and_another_command_is_refused() {
        let mut dedup = table(10);
        dedup.remember("k", 1, b"first");
        assert_eq!(dedup.lookup("k", 1), Some(Answer::Applied(b"first".to_vec())));
        assert_eq!(dedup.lookup("k", 2), Some(Answer::KeyReused));
        assert_eq!(dedup.lookup("other", 1), None);
    }

    #[test]
    fn it_stays_within_its_capacity_and_survives_its_rows() {
        let mut dedup = table(3);
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for i in 0..5 {
            dedup.remember(&format!("k{i}"), i, &[i as u8]);
            for (key, value) in dedup.take_changes() {
                match value {
                    Some(value) => rows.insert(key, value),
                    None => rows.remove(&key),
                };
            }
        }
        assert_eq!((dedup.len(), rows.len()), (3, 3));
        let mut back = table(3);
        rows.into_iter().for_each(|row| back.restore(&row).unwrap());
        assert_eq!(back.hash(), dedup.hash());
        assert_eq!(back.lookup("k4", 4), Some(Answer::Applied(vec![4])));
        assert_eq!(back.lookup("k1", 1), None);
        back.remember("k5", 5, b"");
        assert_eq!(back.lookup("k2", 2), None, "the oldest goes first, after a restart too");
    }
}
