//! Random histories of a real append-only store: legal ones are never accused, broken ones always.

use proptest::prelude::*;

use super::fixture::Story;
use crate::exact_sum::exact_sum;
use crate::history::{Call, Outcome};
use crate::violation::Judge;

/// One thing that happens to the store. Each takes effect somewhere between its call and its answer.
#[derive(Clone, Copy, Debug)]
enum Event {
    Acked,
    /// Takes effect before its (missing) answer.
    UnknownDone,
    /// Takes effect after this many more events, or never if the run is over by then.
    UnknownLate(usize),
    UnknownNever,
    Rejected,
    /// No answer, but done; then retried with the same key, answered from the dedup table.
    Retried,
    Read,
    /// Sees the state of this many effects ago.
    StaleRead(usize),
    Aggregate,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Acked),
        1 => Just(Event::UnknownDone),
        1 => (1_usize..8).prop_map(Event::UnknownLate),
        1 => Just(Event::UnknownNever),
        1 => Just(Event::Rejected),
        1 => Just(Event::Retried),
        2 => Just(Event::Read),
        1 => (0_usize..5).prop_map(Event::StaleRead),
        2 => Just(Event::Aggregate),
    ]
}

/// The store, and the history that it makes.
struct Store {
    story: Story,
    values: Vec<f64>,
    acked: Vec<f64>,
    late: Vec<(usize, f64)>,
}

/// Runs the events one after the other. Events come every 10 ms and are answered after 5 ms or, if `overlap`
/// is set, after 25 ms, so that neighbours are concurrent (taking effect in the order of their calls).
fn run(events: &[Event], overlap: bool) -> Store {
    let mut store = Store { story: Story::new(), values: Vec::new(), acked: Vec::new(), late: Vec::new() };
    for (at, event) in events.iter().enumerate() {
        let begin = at as u64 * 10;
        store.step(at, *event, begin, begin + if overlap { 25 } else { 5 });
    }
    store.story = store.story.ends_with(&store.values);
    store
}

impl Store {
    fn step(&mut self, at: usize, event: Event, begin: u64, end: u64) {
        let due = self.late.iter().filter(|(when, _)| *when == at).map(|(_, value)| *value);
        self.values.extend(due);
        // Not whole numbers, so that sums do round.
        let value = at as f64 * 0.1 + 0.05;
        let key = format!("k{at}");
        let story = std::mem::replace(&mut self.story, Story::new());
        self.story = match event {
            Event::Acked => {
                self.values.push(value);
                self.acked.push(value);
                story.keyed(begin, end, value, &key, "done")
            }
            Event::UnknownDone => {
                self.values.push(value);
                story.unknown(begin, end, value)
            }
            Event::UnknownLate(delay) => {
                self.late.push((at + delay, value));
                story.unknown(begin, end, value)
            }
            Event::UnknownNever => story.unknown(begin, end, value),
            Event::Rejected => story.rejected(begin, end, value),
            Event::Retried => {
                self.values.push(value);
                self.acked.push(value);
                let series = "s".to_owned();
                let call = Call::Append { series, value, key: Some(key.clone()) };
                let story = story.operation(begin, begin + 1, call, Outcome::Unknown("reset".to_owned()));
                story.keyed(begin + 2, end, value, &key, "done").keyed(begin + 3, end, value, &key, "done")
            }
            Event::Read => story.reads(begin, end, &self.values),
            Event::StaleRead(lag) => {
                story.stale_reads(begin, end, &self.values[..self.values.len().saturating_sub(lag)])
            }
            Event::Aggregate if self.values.is_empty() => story.absent(begin, end),
            Event::Aggregate => {
                let (count, sum) = (self.values.len() as u64, exact_sum(&self.values));
                story.aggregates(begin, end, count, sum)
            }
        };
    }
}

fn fires(judge: Judge, story: &Story) -> Result<(), TestCaseError> {
    let found = story.judge();
    prop_assert!(found.iter().any(|violation| violation.judge == judge), "{judge} is silent: {found:#?}");
    Ok(())
}

proptest! {
    #[test]
    fn legal_histories_are_not_accused(
        events in prop::collection::vec(event(), 0..120),
        overlap: bool,
    ) {
        let store = run(&events, overlap);
        prop_assert_eq!(store.story.judge(), vec![]);
    }

    #[test]
    fn a_dropped_acknowledged_value_is_found(
        mut events in prop::collection::vec(event(), 0..60),
        overlap: bool,
        pick: prop::sample::Index,
    ) {
        events.push(Event::Acked);
        let mut store = run(&events, overlap);
        let gone = *pick.get(&store.acked);
        store.values.retain(|value| *value != gone);
        fires(Judge::Durability, &store.story.ends_with(&store.values))?;
    }

    #[test]
    fn a_duplicated_value_is_found(
        mut events in prop::collection::vec(event(), 0..60),
        overlap: bool,
        pick: prop::sample::Index,
        place: prop::sample::Index,
    ) {
        events.push(Event::Acked);
        let mut store = run(&events, overlap);
        let again = *pick.get(&store.values);
        store.values.insert(place.index(store.values.len() + 1), again);
        fires(Judge::ExactlyOnce, &store.story.ends_with(&store.values))?;
    }

    #[test]
    fn swapped_acknowledged_values_are_found(
        mut events in prop::collection::vec(event(), 0..60),
        first: prop::sample::Index,
        second: prop::sample::Index,
    ) {
        events.extend([Event::Acked, Event::Acked]);
        let mut store = run(&events, false);
        let (first, second) = (*first.get(&store.acked), *second.get(&store.acked));
        prop_assume!(first != second);
        let position = |value: f64| store.values.iter().position(|other| *other == value);
        let (Some(first), Some(second)) = (position(first), position(second)) else { unreachable!() };
        store.values.swap(first, second);
        fires(Judge::AppendOrder, &store.story.ends_with(&store.values))?;
    }

    #[test]
    fn a_stale_answer_to_a_linearizable_read_is_found(
        mut events in prop::collection::vec(event(), 0..60),
    ) {
        events.push(Event::Acked);
        let store = run(&events, false);
        let begin = events.len() as u64 * 10;
        let stale = &store.values[..store.values.len() - 1];
        fires(Judge::RealTimeReads, &store.story.reads(begin, begin + 1, stale))?;
    }
}
