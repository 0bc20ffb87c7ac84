//! The columnar engine with its durable rows in memory: what the others are compared with.

use crate::columnar::Columnar;
use crate::{Engine, EngineError, Filter, Partial, Row, unseen};
use std::collections::BTreeMap;

/// Durable rows by their keys.
type Durable = BTreeMap<Vec<u8>, Vec<u8>>;

/// Partitions in memory.
#[derive(Default)]
pub struct Memory(BTreeMap<u64, (Columnar, Durable)>);

impl Engine for Memory {
    fn applied(&self, partition: u64) -> Result<u64, EngineError> {
        Ok(self.0.get(&partition).map_or(0, |(rows, _)| rows.len()))
    }

    fn append(&mut self, partition: u64, first: u64, rows: &[Row]) -> Result<(), EngineError> {
        let new = unseen(self.applied(partition)?, first, rows)?;
        let (columns, stored) = self.0.entry(partition).or_default();
        for row in new {
            let taken = columns.push(&row.key, row.at_ms, row.value);
            taken.ok_or_else(|| EngineError::Limit("too many keys".into()))?;
        }
        stored.extend(columns.take_changes());
        Ok(())
    }

    fn partial(&self, partition: u64, filter: &Filter) -> Result<Partial, EngineError> {
        let Some((columns, stored)) = self.0.get(&partition) else { return Ok(Partial::default()) };
        let read = |key: &[u8]| Ok(stored.get(key).cloned());
        let piece = columns.partial(filter, 0, u64::MAX, usize::MAX, &read);
        Ok(piece.map_err(EngineError::Store)?.partial)
    }
}
