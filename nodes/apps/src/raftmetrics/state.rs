//! A partition's state machine.

use super::command::{Command, MAX_SERIES, Reply};
use super::query::Query;
use super::series::{RowKey, Series};
use replica::StateMachine;
use replica::machine::{Row, RowChange, Stored};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// All series of a partition.
#[derive(Default)]
pub struct State {
    series: BTreeMap<String, Series>,
    changed: BTreeSet<String>,
}

fn encode<T: Serialize>(answer: &T) -> Vec<u8> {
    // Serialisation of plain data into memory has no way to fail.
    postcard::to_stdvec(answer).unwrap_or_default()
}

impl State {
    fn record(&mut self, name: String, value: f64, at_ms: u64) -> Reply {
        if !value.is_finite() {
            return Reply::Invalid;
        }
        if !self.series.contains_key(&name) && self.series.len() >= MAX_SERIES {
            return Reply::TooManySeries;
        }
        if !self.changed.contains(&name) {
            self.changed.insert(name.clone());
        }
        Reply::Recorded(self.series.entry(name).or_default().record(value, at_ms))
    }
}

impl StateMachine for State {
    fn apply(&mut self, command: &[u8], at_ms: u64) -> Vec<u8> {
        let reply = match postcard::from_bytes(command) {
            Ok(Command::Record { name, value }) => self.record(name, value, at_ms),
            Err(_) => Reply::Invalid,
        };
        reply.encode()
    }

    fn query(&self, query: &[u8], stored: &dyn Stored) -> Vec<u8> {
        match postcard::from_bytes(query) {
            Ok(Query::Values { name, after, limit }) => {
                let page = self.series.get(&name).map(|series| series.page(&name, after, limit, stored));
                // No bytes are no answer: the asker is told that the node failed.
                page.transpose().map_or_else(|_| Vec::new(), |page| encode(&page))
            }
            Ok(Query::Aggregate { name }) => encode(&self.series.get(&name).map(Series::summary)),
            Ok(Query::Export { after, limit }) => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                let series = self.series.range::<String, _>((from, Bound::Unbounded));
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                encode(&series.take(limit).map(|(name, series)| series.export(name)).collect::<Vec<_>>())
            }
            Err(_) => Vec::new(),
        }
    }

    fn take_changes(&mut self) -> Vec<RowChange> {
        let changed = std::mem::take(&mut self.changed);
        let rows = changed.iter().filter_map(|name| Some(self.series.get_mut(name)?.take_rows(name)));
        rows.flatten().collect()
    }

    fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        for (key, row) in rows {
            match RowKey::parse(&key) {
                Some(RowKey::Summary(name)) => {
                    let series = self.series.entry(name.to_owned()).or_default();
                    series.restore_summary(&row).map_err(|error| format!("series {name:?}: {error}"))?;
                }
                Some(RowKey::Chunk(name, chunk)) => {
                    self.series.entry(name.to_owned()).or_default().restore_chunk(chunk, &row);
                }
                None => return Err(format!("unknown row {key:?}")),
            }
        }
        match self.series.iter().find(|(_, series)| !series.is_whole()) {
            Some((name, _)) => Err(format!("series {name:?} has lost values")),
            None => Ok(()),
        }
    }

    fn hash(&self) -> u64 {
        self.series.iter().fold(0, |hash: u64, (name, series)| hash.wrapping_add(series.hash(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::{Page, decode};
    use super::*;
    use proptest::prelude::*;
    use replica::machine::RowMap;

    fn record(state: &mut State, name: &str, value: f64) -> Reply {
        Reply::decode(&state.apply(&Command::Record { name: name.into(), value }.encode(), 5))
    }

    fn values(state: &State, rows: &RowMap, after: u64, limit: u64) -> Option<Page> {
        let query = Query::Values { name: "m".into(), after, limit };
        decode::<Option<Page>>(&state.query(&query.encode(), rows)).unwrap()
    }

    proptest! {
        /// Whatever the flushes and restarts, pages are slices of what was recorded.
        #[test]
        fn pages_are_slices(
            steps in proptest::collection::vec(0u8..12, 1..600),
            after in 0u64..700, limit in 0u64..700,
        ) {
            let (mut state, mut rows, mut expected) = (State::default(), RowMap::default(), Vec::new());
            for step in steps {
                match step {
                    0 => rows.write(state.take_changes()),
                    1 => {
                        rows.write(state.take_changes());
                        let hash = state.hash();
                        state = State::default();
                        state.restore(&mut rows.0.clone().into_iter()).unwrap();
                        prop_assert_eq!(state.hash(), hash);
                    }
                    _ => {
                        let value = expected.len() as f64 + 0.1;
                        prop_assert_eq!(record(&mut state, "m", value), Reply::Recorded(expected.len() as u64));
                        expected.push(value);
                    }
                }
            }
            let page = values(&state, &rows, after, limit).map(|page| page.values).unwrap_or_default();
            let slice: Vec<f64> = expected.iter().skip(after as usize).take(limit as usize).copied().collect();
            prop_assert_eq!(page, slice);
        }
    }

    #[test]
    fn strange_bytes_are_answered() {
        let mut state = State::default();
        assert_eq!(Reply::decode(&state.apply(b"\xff\xff", 0)), Reply::Invalid);
        assert_eq!(record(&mut state, "m", f64::NAN), Reply::Invalid);
        assert!(state.query(b"\xff", &RowMap::default()).is_empty());
    }

    #[test]
    fn a_missing_chunk_is_noticed() {
        let (mut state, mut rows) = (State::default(), RowMap::default());
        for i in 0..300 {
            record(&mut state, "m", f64::from(i));
        }
        rows.write(state.take_changes());
        rows.0.pop_last();
        assert!(State::default().restore(&mut rows.0.into_iter()).is_err());
    }
}
