//! The state machine against a list of rows, through flushes and restarts.

use super::State;
use super::command::{Command, Reply};
use super::query::{Piece, Query, Rows};
use engine::{Filter, Partial};
use proptest::prelude::*;
use replica::StateMachine;
use replica::machine::{Row, Stored};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ops::Bound;

#[derive(Default)]
struct Durable(BTreeMap<Vec<u8>, Vec<u8>>);

impl Durable {
    fn take(&mut self, state: &mut State) {
        self.0.extend(state.take_changes().into_iter().filter_map(|(key, row)| Some((key, row?))));
    }
}

impl Stored for Durable {
    fn rows(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, String> {
        let rows = self.0.range::<[u8], _>((from, to));
        Ok(rows.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

fn insert(state: &mut State, key: &str, value: f64, at_ms: u64) -> Reply {
    let command = postcard::to_stdvec(&Command::Insert { key: key.into(), value }).unwrap();
    postcard::from_bytes(&state.apply(&command, at_ms)).unwrap()
}

fn ask<T: DeserializeOwned>(state: &State, durable: &Durable, query: &Query) -> T {
    postcard::from_bytes(&state.query(&postcard::to_stdvec(query).unwrap(), durable)).unwrap()
}

fn all_pieces(state: &State, durable: &Durable, filter: &Filter) -> Partial {
    let (mut all, mut first, mut end) = (Partial::default(), 0, None);
    loop {
        let piece: Piece = ask(state, durable, &Query::Partial { filter: filter.clone(), first, end });
        all.merge(&piece.partial().unwrap());
        end = Some(piece.end);
        match piece.next {
            Some(next) => first = next,
            None => return all,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn partials_are_those_of_the_rows(
        steps in proptest::collection::vec((0u8..60, 0u64..50, -1e3..1e3), 1..1500),
        prefix in 0usize..4, from in proptest::option::of(0u64..60), to in proptest::option::of(0u64..60),
    ) {
        let (mut state, mut durable, mut rows) = (State::default(), Durable::default(), Vec::new());
        for (step, at_ms, value) in steps {
            match step {
                0 => durable.take(&mut state),
                1 => {
                    durable.take(&mut state);
                    let hash = state.hash();
                    state = State::default();
                    state.restore(&mut durable.0.clone().into_iter()).unwrap();
                    prop_assert_eq!(state.hash(), hash);
                }
                _ => {
                    let key = ["a", "ab", "b", "abc"][usize::from(step) % 4];
                    let number = rows.len() as u64;
                    prop_assert_eq!(insert(&mut state, key, value, at_ms), Reply::Inserted(number));
                    rows.push(engine::Row { key: key.into(), at_ms, value });
                }
            }
        }
        let filter = Filter { prefix: ["", "a", "ab", "c"][prefix].into(), from_ms: from, to_ms: to };
        let mut expected = Partial::default();
        rows.iter().filter(|row| filter.wants(row)).for_each(|row| expected.add(row.value));
        let found = all_pieces(&state, &durable, &filter);
        prop_assert_eq!((found.count, found.sum.value()), (expected.count, expected.sum.value()));
        let mut exported = Vec::new();
        loop {
            let page: Rows = ask(&state, &durable, &Query::Rows { first: exported.len() as u64 });
            if page.rows.is_empty() {
                break;
            }
            exported.extend(page.rows);
        }
        prop_assert_eq!(exported, rows);
    }
}

#[test]
fn long_looks_come_in_pieces() {
    let (mut state, mut durable) = (State::default(), Durable::default());
    for i in 0..100_000u32 {
        insert(&mut state, "k", 1.0, u64::from(i));
    }
    durable.take(&mut state);
    let filter = Filter { from_ms: Some(1), ..Filter::default() };
    let piece: Piece = ask(&state, &durable, &Query::Partial { filter: filter.clone(), first: 0, end: None });
    assert_eq!(piece.next, Some((super::query::CHUNKS_AT_ONCE * engine::columnar::CHUNK) as u64));
    assert_eq!(all_pieces(&state, &durable, &filter).count, 99_999);
}

#[test]
fn strange_bytes_are_answered() {
    let mut state = State::default();
    assert_eq!(postcard::from_bytes(&state.apply(b"\xff\xff", 0)), Ok(Reply::Invalid));
    assert_eq!(insert(&mut state, "k", f64::NAN, 0), Reply::Invalid);
    assert_eq!(insert(&mut state, "", 1.0, 0), Reply::Invalid);
    assert!(state.query(b"\xff", &Durable::default()).is_empty());
}

#[test]
fn damage_is_noticed() {
    let (mut state, mut durable) = (State::default(), Durable::default());
    for i in 0..1200u32 {
        insert(&mut state, if i % 2 == 0 { "a" } else { "b" }, f64::from(i), 0);
    }
    durable.take(&mut state);
    for key in durable.0.keys() {
        let mut rows = durable.0.clone();
        rows.remove(key);
        assert!(State::default().restore(&mut rows.into_iter()).is_err(), "without {key:?}");
    }
}
