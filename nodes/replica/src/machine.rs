//! The contract of a state machine.
//!
//! It is synchronous and pure: no clock, no randomness, no I/O. Its durable form is a set of rows, which
//! the driver writes in the same transaction as the log position they belong to.

use std::collections::BTreeMap;
use std::ops::Bound;

/// A change of one row: its key and its new value, `None` to remove it.
pub type RowChange = (Vec<u8>, Option<Vec<u8>>);

/// A row: key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Replicated state. Two machines that applied the same commands are equal, down to their rows.
pub trait StateMachine: Send {
    /// Applies one command and answers it. Commands come from the log: bytes that do not decode must be
    /// answered (not panicked on), the same way on every replica.
    fn apply(&mut self, command: &[u8], at_ms: u64) -> Vec<u8>;

    /// Answers a query. `stored` holds the rows as last written, which lag behind by the changes that
    /// [`StateMachine::take_changes`] has not yet handed out.
    fn query(&self, query: &[u8], stored: &dyn Stored) -> Vec<u8>;

    /// Hands out the rows changed since the last call.
    fn take_changes(&mut self) -> Vec<RowChange>;

    /// Loads the state from its rows, in key order. Rows that make no sense are an error: the data is
    /// damaged.
    ///
    /// # Errors
    /// A text that says which row and why.
    fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String>;

    /// Hash over the logical state.
    fn hash(&self) -> u64;
}

/// Rows as last written.
pub trait Stored {
    /// Up to `limit` rows with keys in the given bounds, in key order.
    ///
    /// # Errors
    /// A text, if the store cannot be read.
    fn rows(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, String>;
}

/// Rows in memory, for tests of state machines and of what hosts them.
///
/// ```
/// use replica::machine::{RowMap, Stored};
/// use std::ops::Bound;
///
/// let mut rows = RowMap::default();
/// rows.write(vec![(b"a".to_vec(), Some(vec![1])), (b"b".to_vec(), Some(vec![2]))]);
/// rows.write(vec![(b"a".to_vec(), None)]);
/// let all = rows.rows(Bound::Unbounded, Bound::Unbounded, 10);
/// assert_eq!(all, Ok(vec![(b"b".to_vec(), vec![2])]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowMap(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl RowMap {
    /// Writes what [`StateMachine::take_changes`] handed out.
    pub fn write(&mut self, changes: Vec<RowChange>) {
        for (key, value) in changes {
            match value {
                Some(value) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
    }
}

impl Stored for RowMap {
    fn rows(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, String> {
        let rows = self.0.range::<[u8], _>((from, to));
        Ok(rows.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
