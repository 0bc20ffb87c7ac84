//! The state machine against a list of points, whatever the blocks, flushes and restarts.

use super::accumulator::{Accumulator, Need};
use super::columns::Columns;
use super::command::{Command, Counts, MAX_SERIES, MAX_SOURCE_BYTES, MAX_SOURCES, Reply, encode};
use super::ingest::sort;
use super::query::{Points, Query, Select, Slice, Sum, Sums, Value};
use super::rollup::PANE_MS;
use super::state::{BLOCK, State};
use proptest::prelude::*;
use replica::StateMachine;
use replica::machine::RowMap;
use std::collections::BTreeMap;

fn ingest(state: &mut State, body: &str, at_ms: u64) -> Reply {
    let sorted = sort(body.as_bytes(), 1).unwrap();
    assert_eq!(sorted.rejected, 0, "{:?}", sorted.errors);
    let counts = Counts { batches: 1, ..Counts::default() };
    postcard::from_bytes(&state.apply(&encode(&Command::Ingest(sorted.part(1, 7, counts))), at_ms)).unwrap()
}

fn fed(state: &mut State, body: &str, after: u64, upto: u64, at_ms: u64) -> Reply {
    let sorted = sort(body.as_bytes(), 1).unwrap();
    let part = sorted.part(1, 0, Counts::default());
    let command = Command::Fed { source: "in:s", after, upto, part };
    postcard::from_bytes(&state.apply(&encode(&command), at_ms)).unwrap()
}

fn ask<T: serde::de::DeserializeOwned>(state: &State, rows: &RowMap, query: &Query) -> T {
    postcard::from_bytes(&state.query(&encode(query), rows)).unwrap()
}

fn everything() -> Select {
    Select { to_ms: u64::MAX, ..Select::default() }
}

fn all_points(state: &State, rows: &RowMap) -> Vec<(u64, u32, u64, Value)> {
    let (mut from, mut found) = (0, Vec::new());
    loop {
        let page: Points = ask(state, rows, &Query::Points { select: everything(), from, limit: 1000 });
        found.extend(page.points);
        match page.next {
            Some(next) => from = next,
            None => return found,
        }
    }
}

/// All points, as whoever keeps a copy gets them, and how many series it was told of.
fn all_slices(state: &State, rows: &RowMap) -> (Vec<(u64, u32, u64, Value)>, usize) {
    let (mut from, mut series, mut found) = (0, 0, Vec::new());
    loop {
        let slice: Slice = ask(state, rows, &Query::Slice { from, series: series as u32 });
        let columns = Columns::decode(&slice.columns).unwrap();
        let progress = !columns.is_empty() || !slice.series.is_empty() || slice.start > from;
        assert!(progress || from == slice.end, "it goes on at {from}");
        series += slice.series.len();
        for ((place, number), point) in (0u32..).zip(slice.start..).zip(columns.points()) {
            assert!((point.series as usize) < series, "a series that nobody was told of");
            let is_member = slice.members.contains(&place);
            let member = || Value::Member(columns.members[point.bits as usize].clone());
            let value = if is_member { member() } else { Value::Number(f64::from_bits(point.bits)) };
            found.push((number, point.series, point.at_ms, value));
        }
        from = slice.start + columns.len() as u64;
        if from == slice.end {
            return (found, series);
        }
    }
}

/// Sums by begin of the step, over all pages.
fn sums(state: &State, rows: &RowMap, step_ms: u64, rolled_up: bool) -> BTreeMap<(u32, u64), Accumulator> {
    let need = Need { sum: true, quantiles: false, members: true };
    let mut sum = Sum { select: everything(), step_ms, need, by: None, rolled_up, from: 0 };
    let mut found = BTreeMap::new();
    loop {
        let page: Option<Sums> = ask(state, rows, &Query::Sums(sum.clone()));
        let page = page.unwrap();
        for (group, at, cell) in page.cells {
            let cell = Accumulator::from_stored(cell).unwrap();
            found.entry((group, at)).or_insert_with(|| Accumulator::new(need)).merge(&cell);
        }
        match page.next {
            Some(next) => sum.from = next,
            None => return found,
        }
    }
}

fn batch(count: usize, number: usize) -> String {
    let metric = |n: usize| {
        let (host, value) = (n % 7, (number * 1000 + n) as f64 + 0.1);
        let at = 1_000_000 + (n as u64 * 7919) % 100_000;
        if n.is_multiple_of(5) {
            format!(r#"{{"name":"u","type":"set","value":"m{}","timestamp":{at}}}"#, n % 11)
        } else {
            format!(
                r#"{{"name":"c","type":"gauge","value":{value},"tags":{{"host":"h{host}"}},"timestamp":{at}}}"#
            )
        }
    };
    format!(r#"{{"metrics":[{}]}}"#, (0..count).map(metric).collect::<Vec<_>>().join(","))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Flushed and restarted anywhere: the same points, and sums that agree with them. And a machine that
    /// was never restarted has the same hash and the same rows.
    #[test]
    fn nothing_is_lost_or_doubled(steps in proptest::collection::vec((0u8..5, 1usize..4000), 1..14)) {
        let (mut state, mut rows) = (State::default(), RowMap::default());
        let (mut calm, mut calm_rows) = (State::default(), RowMap::default());
        let (mut count, mut fed_upto) = (0, 0);
        for (number, (step, size)) in steps.into_iter().enumerate() {
            if step == 0 {
                rows.write(state.take_changes());
                let hash = state.hash();
                state = State::default();
                state.restore(&mut rows.0.clone().into_iter()).unwrap();
                prop_assert_eq!(state.hash(), hash);
            } else if step == 1 {
                rows.write(state.take_changes());
            }
            let (body, number) = (batch(size, number), number as u64);
            if step == 2 {
                // Brought twice, taken once.
                let done = Reply::Done { refused: Vec::new() };
                for reply in [done, Reply::Elsewhere { at: number + 1 }] {
                    prop_assert_eq!(&fed(&mut state, &body, fed_upto, number + 1, number), &reply);
                    prop_assert_eq!(&fed(&mut calm, &body, fed_upto, number + 1, number), &reply);
                }
                fed_upto = number + 1;
            } else {
                ingest(&mut state, &body, number);
                ingest(&mut calm, &body, number);
            }
            count += size;
        }
        let points = all_points(&state, &rows);
        prop_assert_eq!(points.len(), count);
        prop_assert!(points.iter().enumerate().all(|(place, point)| point.0 == place as u64));
        prop_assert_eq!(&all_slices(&state, &rows).0, &points);
        let exact = sums(&state, &rows, PANE_MS, false);
        let rolled = sums(&state, &rows, PANE_MS, true);
        prop_assert_eq!(exact.values().map(|sum| sum.count).sum::<u64>(), count as u64);
        prop_assert_eq!(exact.len(), rolled.len());
        for (cell, sum) in &exact {
            let other = &rolled[cell];
            prop_assert_eq!((sum.count, sum.sum(), sum.members()), (other.count, other.sum(), other.members()));
            prop_assert_eq!((sum.first, sum.last), (other.first, other.last));
        }
        prop_assert_eq!(state.hash(), calm.hash());
        rows.write(state.take_changes());
        calm_rows.write(calm.take_changes());
        prop_assert_eq!(rows.0, calm_rows.0);
    }

    #[test]
    fn strange_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut state = State::default();
        let reply: Reply = postcard::from_bytes(&state.apply(&bytes, 5)).unwrap();
        let known = matches!(reply, Reply::Invalid | Reply::Done { .. } | Reply::Elsewhere { .. });
        prop_assert!(known);
        let _ = state.query(&bytes, &RowMap::default());
        let _ = State::default().restore(&mut [(bytes.clone(), bytes)].into_iter());
    }
}

#[test]
fn columns_that_do_not_fit_change_nothing() {
    let mut state = State::default();
    let (body, counts) = (batch(10, 0), Counts::default());
    let sorted = sort(body.as_bytes(), 1).unwrap();
    let whole = sorted.part(1, 0, counts);
    let mut broken = Vec::new();
    broken.push({
        let mut part = whole.clone();
        part.of[3] = 99;
        part
    });
    broken.push({
        let mut part = whole.clone();
        part.of.pop();
        part
    });
    broken.push({
        let mut part = whole.clone();
        part.times.pop();
        part
    });
    broken.push({
        let mut part = whole.clone();
        part.values = &part.values[1..];
        part
    });
    broken.push({
        let mut part = whole.clone();
        part.members.pop();
        part
    });
    let nan: Vec<u8> = (0..10).flat_map(|_| f64::NAN.to_le_bytes()).collect();
    broken.push({
        let mut part = whole.clone();
        part.values = &nan;
        part
    });
    for part in broken {
        let reply: Reply = postcard::from_bytes(&state.apply(&encode(&Command::Ingest(part)), 5)).unwrap();
        assert_eq!(reply, Reply::Invalid);
    }
    assert_eq!(state.hash(), State::default().hash());
    assert_eq!(state.take_changes(), []);
}

#[test]
fn a_time_that_was_not_given_is_the_entrys() {
    let (mut state, rows) = (State::default(), RowMap::default());
    let body = r#"{"metrics":[{"name":"a","value":1},{"name":"a","value":2,"timestamp":0}]}"#;
    ingest(&mut state, body, 77);
    ingest(&mut state, r#"{"metrics":[{"name":"a","value":3}]}"#, 50);
    let times: Vec<u64> = all_points(&state, &rows).into_iter().map(|point| point.2).collect();
    assert_eq!(times, [77, 0, 77], "and it does not run backwards");
}

#[test]
fn series_beyond_the_limit_are_refused_one_by_one() {
    let mut state = State::default();
    let metric = |n: usize| format!(r#"{{"name":"n{n}","value":1}}"#);
    for start in (0..MAX_SERIES).step_by(5000) {
        let metrics: Vec<String> = (start..start + 5000).map(metric).collect();
        let reply = ingest(&mut state, &format!(r#"{{"metrics":[{}]}}"#, metrics.join(",")), 1);
        assert_eq!(reply, Reply::Done { refused: vec![] });
    }
    let body = r#"{"metrics":[{"name":"n1","value":1},{"name":"new","value":1},{"name":"n2","value":1}]}"#;
    assert_eq!(ingest(&mut state, body, 1), Reply::Done { refused: vec![1] });
    let counts: Counts = ask(&state, &RowMap::default(), &Query::Counts);
    assert_eq!((counts.received, counts.batches, counts.invalid), (MAX_SERIES as u64 + 2, 5, 1));
}

#[test]
fn long_definitions_come_a_few_at_a_time() {
    let mut state = State::default();
    let tag = |n: usize| format!(r#""k{n}":"{}""#, "v".repeat(250));
    let tags = (0..32).map(tag).collect::<Vec<_>>().join(",");
    let metric = |n: usize| format!(r#"{{"name":"n{n}","value":1,"tags":{{{tags}}}}}"#);
    for start in (0..400).step_by(100) {
        let metrics: Vec<String> = (start..start + 100).map(metric).collect();
        ingest(&mut state, &format!(r#"{{"metrics":[{}]}}"#, metrics.join(",")), 1);
    }
    let first: Slice = ask(&state, &RowMap::default(), &Query::Slice { from: 0, series: 0 });
    assert!((50..200).contains(&first.series.len()), "{} definitions at once", first.series.len());
    let (points, series) = all_slices(&state, &RowMap::default());
    assert_eq!((points.len(), series), (400, 400));
    assert_eq!(points, all_points(&state, &RowMap::default()));
}

#[test]
fn what_is_too_old_goes_and_the_rest_stays() {
    let (mut state, mut rows) = (State::default(), RowMap::default());
    for round in 0..4u64 {
        let at = round * 1_000_000;
        let metrics: Vec<String> =
            (0..BLOCK).map(|_| format!(r#"{{"name":"a","value":1,"timestamp":{at}}}"#)).collect();
        ingest(&mut state, &format!(r#"{{"metrics":[{}]}}"#, metrics.join(",")), 1);
    }
    ingest(&mut state, r#"{"metrics":[{"name":"a","value":1,"timestamp":0}]}"#, 1);
    rows.write(state.take_changes());
    let before = rows.0.len();
    state.apply(&encode(&Command::Retain { before_ms: 2_000_000 }), 2);
    rows.write(state.take_changes());
    assert_eq!(rows.0.len(), before - 4, "two blocks, each with its panes");
    assert_eq!(all_points(&state, &rows).len(), 2 * BLOCK + 1, "open points stay");
    let slice: Slice = ask(&state, &rows, &Query::Slice { from: 0, series: 0 });
    assert_eq!((slice.start, slice.kept, slice.retained_ms), (2 * BLOCK as u64, 2 * BLOCK as u64, 2_000_000));
    assert_eq!(all_slices(&state, &rows).0, all_points(&state, &rows));
    let hash = state.hash();
    let mut again = State::default();
    again.restore(&mut rows.0.clone().into_iter()).unwrap();
    assert_eq!(again.hash(), hash);
}

#[test]
fn lost_open_points_are_noticed() {
    let (mut state, mut rows) = (State::default(), RowMap::default());
    (0..3).for_each(|number| drop(ingest(&mut state, &batch(10, number), 1)));
    rows.write(state.take_changes());
    let open: Vec<Vec<u8>> = rows.0.keys().filter(|key| key[0] == b'p').cloned().collect();
    assert_eq!(open.len(), 3);
    for key in open {
        let mut rows = rows.0.clone();
        rows.remove(&key);
        assert!(State::default().restore(&mut rows.into_iter()).is_err());
    }
}

#[test]
fn mistakes_are_named_and_the_rest_is_taken() {
    let cases = [
        (r#"{"name":"","value":1}"#, "`name` has 0 bytes"),
        (r#"{"name":"a\u0007","value":1}"#, "control character"),
        (r#"{"value":1}"#, "missing field `name`"),
        (r#"{"name":"a"}"#, "missing field `value`"),
        (r#"{"name":"a","value":"x"}"#, "must be a number"),
        (r#"{"name":"a","value":null}"#, "a number, or a string for a set"),
        (r#"{"name":"a","value":1e999}"#, "out of range"),
        (r#"{"name":"a","value":-1,"type":"counter"}"#, "never below zero"),
        (r#"{"name":"a","value":"","type":"set"}"#, "`value` has 0 bytes"),
        (r#"{"name":"a","value":1,"type":"other"}"#, "unknown variant `other`"),
        (r#"{"name":"a","value":1,"tags":{"k":1}}"#, "a string"),
        (r#"{"name":"a","value":1,"tags":{"k":"1","k":"2"}}"#, "comes twice"),
        (r#"{"name":"a","value":1,"tags":[]}"#, "an object of strings"),
        (r#"{"name":"a","value":1,"value":2}"#, "duplicate field `value`"),
        (r#"{"name":"a","value":1,"tag":{}}"#, "unknown field `tag`"),
        (r#"{"name":"a","value":1,"timestamp":-5}"#, "invalid value"),
        (r#"{"name":"a","value":1,"timestamp":253402300800000}"#, "`timestamp` is milliseconds"),
        (r#"5"#, "invalid type"),
    ];
    for (metric, expected) in cases {
        let body =
            format!(r#"{{"metrics":[{{"name":"good","value":1}},{metric},{{"name":"b","value":2}}]}}"#);
        let sorted = sort(body.as_bytes(), 1).unwrap();
        assert_eq!((sorted.count, sorted.rejected, sorted.count_of(1)), (3, 1, 2), "{metric}");
        assert_eq!(sorted.errors[0].index, 1);
        assert!(sorted.errors[0].error.contains(expected), "{metric}: {}", sorted.errors[0].error);
    }
}

#[test]
fn equal_batches_have_equal_digests_and_others_do_not() {
    let digest = |body: &str| sort(body.as_bytes(), 4).unwrap().digest();
    let body = r#"{"metrics":[{"name":"a","value":1,"tags":{"x":"1","y":"2"}},{"name":"b","value":2}]}"#;
    let same = r#"{ "metrics" : [{"tags":{"y":"2","x":"1"},"value":1.0,"name":"a"},{"name":"b","value":2}]}"#;
    assert_eq!(digest(body), digest(same));
    for (from, to) in [("\"value\":1", "\"value\":3"), ("\"b\"", "\"c\""), ("\"1\"", "\"9\"")] {
        assert_ne!(digest(body), digest(&body.replace(from, to)));
    }
}

#[test]
fn too_many_steps_are_refused_and_fewer_are_not() {
    let (mut state, rows) = (State::default(), RowMap::default());
    let metrics: Vec<String> =
        (0..9000).map(|n| format!(r#"{{"name":"a","value":1,"timestamp":{n}}}"#)).collect();
    let body = format!(r#"{{"metrics":[{}]}}"#, metrics.join(","));
    ingest(&mut state, &body, 1);
    ingest(&mut state, &body.replace(r#""timestamp":"#, r#""timestamp":1000"#), 1);
    let need = Need { sum: true, quantiles: false, members: false };
    let sum = |step_ms| Sum { select: everything(), step_ms, need, by: None, rolled_up: false, from: 0 };
    // What was sealed is in the changes still: rows need not be written to be read.
    let answer: Option<Sums> = ask(&state, &rows, &Query::Sums(sum(1)));
    assert_eq!(answer, None);
    let answer: Option<Sums> = ask(&state, &rows, &Query::Sums(sum(2)));
    assert!(answer.is_some_and(|sums| sums.cells.len() > 4500));
}

#[test]
fn messages_of_a_source_count_once_and_in_order() {
    let (mut state, mut rows) = (State::default(), RowMap::default());
    let done = Reply::Done { refused: Vec::new() };
    assert_eq!(fed(&mut state, &batch(3, 0), 0, 5, 1), done);
    for (after, upto) in [(0, 5), (4, 9), (6, 7)] {
        assert_eq!(fed(&mut state, &batch(3, 0), after, upto, 2), Reply::Elsewhere { at: 5 });
    }
    assert_eq!(fed(&mut state, &batch(3, 0), 5, 5, 2), Reply::Invalid, "it leads nowhere");
    rows.write(state.take_changes());
    let hash = state.hash();
    let mut state = State::default();
    state.restore(&mut rows.0.clone().into_iter()).unwrap();
    assert_eq!(state.hash(), hash);
    let taken = |state: &State, source: &str| -> u64 {
        ask(state, &RowMap::default(), &Query::Taken { source: source.into() })
    };
    assert_eq!((taken(&state, "in:s"), taken(&state, "in:other")), (5, 0));
    assert_eq!(fed(&mut state, &batch(3, 1), 5, 6, 3), done);
    assert_ne!(state.hash(), hash);
    rows.write(state.take_changes());
    assert_eq!(all_points(&state, &rows).len(), 6);
    // Only so many sources, and each with a name.
    let take = |state: &mut State, source: &str| -> Reply {
        let command = Command::Fed { source, after: 0, upto: 1, part: Default::default() };
        postcard::from_bytes(&state.apply(&encode(&command), 5)).unwrap()
    };
    assert_eq!(take(&mut state, ""), Reply::Invalid);
    assert_eq!(take(&mut state, &"x".repeat(MAX_SOURCE_BYTES + 1)), Reply::Invalid);
    for n in 1..MAX_SOURCES {
        assert_eq!(take(&mut state, &format!("s{n}")), done);
    }
    assert_eq!(take(&mut state, "one too many"), Reply::Invalid);
}
