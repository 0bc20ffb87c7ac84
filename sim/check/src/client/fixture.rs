//! Hand-made histories for the tests of the client judges. Times are in milliseconds; each operation is
//! by a client of its own, numbered like the operation.

use super::judge_history;
use crate::exact_sum::exact_sum;
use crate::final_state::{FinalState, SeriesFinal};
use crate::history::{Answer, Call, Operation, Outcome};
use crate::violation::{Judge, Violation};

/// A history in the making, with its final state.
#[derive(Clone)]
pub(super) struct Story {
    series: String,
    pub(super) history: Vec<Operation>,
    pub(super) state: FinalState,
}

impl Story {
    pub(super) fn new() -> Self {
        Self { series: "s".to_owned(), history: Vec::new(), state: FinalState::default() }
    }

    /// What follows concerns this series.
    pub(super) fn series(mut self, name: &str) -> Self {
        self.series = name.to_owned();
        self
    }

    pub(super) fn operation(mut self, begin: u64, end: u64, call: Call, outcome: Outcome) -> Self {
        let id = self.history.len() as u64;
        let (begin_ns, end_ns) = (begin * 1_000_000, Some(end * 1_000_000));
        self.history.push(Operation { client: id as u32, id, begin_ns, end_ns, call, outcome });
        self
    }

    fn append(self, begin: u64, end: u64, value: f64, key: Option<&str>, outcome: Outcome) -> Self {
        let call = Call::Append { series: self.series.clone(), value, key: key.map(str::to_owned) };
        self.operation(begin, end, call, outcome)
    }

    pub(super) fn acked(self, begin: u64, end: u64, value: f64) -> Self {
        let answer = Answer::Appended { message: "done".to_owned() };
        self.append(begin, end, value, None, Outcome::Ok(answer))
    }

    pub(super) fn keyed(self, begin: u64, end: u64, value: f64, key: &str, message: &str) -> Self {
        let answer = Answer::Appended { message: message.to_owned() };
        self.append(begin, end, value, Some(key), Outcome::Ok(answer))
    }

    pub(super) fn unknown(self, begin: u64, end: u64, value: f64) -> Self {
        self.append(begin, end, value, None, Outcome::Unknown("timeout".to_owned()))
    }

    pub(super) fn rejected(self, begin: u64, end: u64, value: f64) -> Self {
        self.append(begin, end, value, None, Outcome::Rejected("no".to_owned()))
    }

    pub(super) fn reads(self, begin: u64, end: u64, values: &[f64]) -> Self {
        let call = Call::ReadValues { series: self.series.clone(), linearizable: true };
        self.operation(begin, end, call, Outcome::Ok(Answer::Values(values.to_vec())))
    }

    pub(super) fn stale_reads(self, begin: u64, end: u64, values: &[f64]) -> Self {
        let call = Call::ReadValues { series: self.series.clone(), linearizable: false };
        self.operation(begin, end, call, Outcome::Ok(Answer::Values(values.to_vec())))
    }

    pub(super) fn aggregates(self, begin: u64, end: u64, count: u64, sum: f64) -> Self {
        let call = Call::ReadAggregate { series: self.series.clone(), linearizable: true };
        self.operation(begin, end, call, Outcome::Ok(Answer::Aggregate { count, sum }))
    }

    /// A linearizable aggregate of a series that does not exist yet.
    pub(super) fn absent(self, begin: u64, end: u64) -> Self {
        let call = Call::ReadAggregate { series: self.series.clone(), linearizable: true };
        self.operation(begin, end, call, Outcome::Ok(Answer::Absent))
    }

    /// The series holds these values in the end, with the right count and sum.
    pub(super) fn ends_with(mut self, values: &[f64]) -> Self {
        let (count, sum) = (values.len() as u64, exact_sum(values));
        self.state.series.insert(self.series.clone(), SeriesFinal { values: values.to_vec(), count, sum });
        self
    }

    /// Puts another count and sum in place of the right ones.
    pub(super) fn ends_with_aggregate(mut self, count: u64, sum: f64) -> Self {
        let last = self.state.series.entry(self.series.clone()).or_default();
        (last.count, last.sum) = (count, sum);
        self
    }

    pub(super) fn judge(&self) -> Vec<Violation> {
        judge_history(&self.history, &self.state)
    }
}

/// Asserts that this judge fires and no other, and returns what it found.
pub(super) fn only(judge: Judge, story: &Story) -> Vec<Violation> {
    let found = story.judge();
    assert!(!found.is_empty(), "{judge} found nothing");
    assert!(found.iter().all(|violation| violation.judge == judge), "{found:#?}");
    found
}

/// Asserts that no judge fires.
pub(super) fn legal(story: &Story) {
    assert_eq!(story.judge(), []);
}
