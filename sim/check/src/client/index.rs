//! A history and its final state, arranged by series: what all client judges start from.
//!
//! Not a judge. A *write* is what a client meant to append once: all attempts with the same value, as
//! values are unique within a run but for retries. A write is acknowledged if any attempt was, and
//! certainly without effect only if all attempts were rejected. Values are compared by their bits.

use std::collections::{BTreeMap, BTreeSet};

use crate::final_state::{FinalState, SeriesFinal};
use crate::history::{Answer, Call, Operation, Outcome};
use crate::violation::time;

/// A series that does not exist in the end.
static ABSENT: SeriesFinal = SeriesFinal { values: Vec::new(), count: 0, sum: 0.0 };

/// The material of the client judges.
pub(crate) struct Index<'a> {
    /// The history as it came.
    pub(crate) history: &'a [Operation],
    /// Every series that was ever called for or exists in the end.
    pub(crate) series: Vec<Series<'a>>,
}

/// All that concerns one series.
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    pub(crate) last: &'a SeriesFinal,
    /// By the bits of the value.
    pub(crate) writes: BTreeMap<u64, Write<'a>>,
    /// Answered reads, in the order of the history.
    pub(crate) reads: Vec<Read<'a>>,
    /// Where in the final values a value (by its bits) is first found.
    position: BTreeMap<u64, usize>,
    /// For each length of a prefix of the final values: the write in it that was called last.
    latest: Vec<Option<&'a Operation>>,
}

/// What a client meant to append once.
pub(crate) struct Write<'a> {
    pub(crate) value: f64,
    /// First attempt, whatever came of it.
    pub(crate) first: &'a Operation,
    /// Attempt with the earliest call that may have taken effect; `None` if all were rejected.
    pub(crate) effective: Option<&'a Operation>,
    /// Attempt with the earliest acknowledgement.
    pub(crate) acked: Option<&'a Operation>,
}

/// An answered read.
pub(crate) struct Read<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) linearizable: bool,
    pub(crate) seen: Seen<'a>,
    /// True if what it saw is a prefix of the final values. Always true for an aggregate, whose values
    /// cannot be seen.
    pub(crate) prefix: bool,
}

/// What a read saw; an absent series is an empty one.
#[derive(Clone, Copy)]
pub(crate) enum Seen<'a> {
    Values(&'a [f64]),
    Aggregate { count: u64, sum: f64 },
}

impl<'a> Index<'a> {
    pub(crate) fn new(history: &'a [Operation], state: &'a FinalState) -> Self {
        let called = history.iter().map(|operation| name(&operation.call));
        let names: BTreeSet<&str> = called.chain(state.series.keys().map(String::as_str)).collect();
        let series = names.iter().map(|name| Series::new(name, state.series.get(*name).unwrap_or(&ABSENT)));
        let mut by_name: BTreeMap<&str, Series> = series.map(|series| (series.name, series)).collect();
        for operation in history {
            if let Some(series) = by_name.get_mut(name(&operation.call)) {
                series.add(operation);
            }
        }
        let mut series: Vec<Series> = by_name.into_values().collect();
        series.iter_mut().for_each(Series::finish);
        Self { history, series }
    }
}

impl<'a> Series<'a> {
    fn new(name: &'a str, last: &'a SeriesFinal) -> Self {
        let mut position = BTreeMap::new();
        for (at, value) in last.values.iter().enumerate() {
            position.entry(value.to_bits()).or_insert(at);
        }
        Self { name, last, writes: BTreeMap::new(), reads: Vec::new(), position, latest: Vec::new() }
    }

    fn add(&mut self, operation: &'a Operation) {
        let (linearizable, seen) = match (&operation.call, &operation.outcome) {
            (Call::Append { value, .. }, _) => {
                let write = self.writes.entry(value.to_bits());
                write.or_insert_with(|| Write::new(*value, operation)).add(operation);
                return;
            }
            (Call::ReadValues { linearizable, .. }, Outcome::Ok(Answer::Values(values))) => {
                (*linearizable, Seen::Values(values))
            }
            (Call::ReadValues { linearizable, .. }, Outcome::Ok(Answer::Absent)) => {
                (*linearizable, Seen::Values(&[]))
            }
            (Call::ReadAggregate { linearizable, .. }, Outcome::Ok(Answer::Aggregate { count, sum })) => {
                (*linearizable, Seen::Aggregate { count: *count, sum: *sum })
            }
            (Call::ReadAggregate { linearizable, .. }, Outcome::Ok(Answer::Absent)) => {
                (*linearizable, Seen::Aggregate { count: 0, sum: 0.0 })
            }
            _ => return,
        };
        let prefix = match seen {
            Seen::Values(values) => self.difference(values).is_none(),
            Seen::Aggregate { .. } => true,
        };
        self.reads.push(Read { operation, linearizable, seen, prefix });
    }

    /// Computes what needs all writes of the series.
    fn finish(&mut self) {
        let mut latest: Option<&Operation> = None;
        self.latest.push(None);
        for value in &self.last.values {
            let write = self.writes.get(&value.to_bits()).and_then(|write| write.effective);
            if let Some(write) = write
                && latest.is_none_or(|latest| latest.begin_ns < write.begin_ns)
            {
                latest = Some(write);
            }
            self.latest.push(latest);
        }
    }

    /// Where in the final values `value` is first found.
    pub(crate) fn position(&self, value: f64) -> Option<usize> {
        self.position.get(&value.to_bits()).copied()
    }

    /// Of the first `length` final values, the write that was called last.
    pub(crate) fn latest_in_prefix(&self, length: usize) -> Option<&'a Operation> {
        self.latest.get(length).or(self.latest.last()).copied().flatten()
    }

    /// First position at which `values` is not a prefix of the final values; `None` if it is one.
    pub(crate) fn difference(&self, values: &[f64]) -> Option<usize> {
        let finals =
            self.last.values.iter().map(|value| Some(value.to_bits())).chain(std::iter::repeat(None));
        values.iter().zip(finals).position(|(value, last)| Some(value.to_bits()) != last)
    }

    /// Acknowledged writes in the order of their acknowledgements, with the time of each.
    pub(crate) fn acknowledged(&self) -> Vec<(u64, &Write<'a>)> {
        let end = |write: &Write| write.acked.and_then(|operation| operation.end_ns);
        let mut acknowledged: Vec<_> =
            self.writes.values().filter_map(|write| Some((end(write)?, write))).collect();
        acknowledged.sort_by_key(|(end_ns, write)| (*end_ns, write.first.id));
        acknowledged
    }
}

impl<'a> Write<'a> {
    fn new(value: f64, first: &'a Operation) -> Self {
        Self { value, first, effective: None, acked: None }
    }

    fn add(&mut self, attempt: &'a Operation) {
        if matches!(attempt.outcome, Outcome::Rejected(_)) {
            return;
        }
        if self.effective.is_none_or(|effective| attempt.begin_ns < effective.begin_ns) {
            self.effective = Some(attempt);
        }
        let end = |operation: &Operation| operation.end_ns.unwrap_or(u64::MAX);
        if matches!(attempt.outcome, Outcome::Ok(_))
            && self.acked.is_none_or(|acked| end(attempt) < end(acked))
        {
            self.acked = Some(attempt);
        }
    }
}

impl Read<'_> {
    /// Number of values that it saw.
    pub(crate) fn count(&self) -> u64 {
        match self.seen {
            Seen::Values(values) => values.len() as u64,
            Seen::Aggregate { count, .. } => count,
        }
    }

    /// When it was answered.
    pub(crate) fn end_ns(&self) -> u64 {
        self.operation.end_ns.unwrap_or(u64::MAX)
    }
}

fn name(call: &Call) -> &str {
    match call {
        Call::Append { series, .. }
        | Call::ReadValues { series, .. }
        | Call::ReadAggregate { series, .. } => series,
    }
}

/// An operation in words, for evidence: `operation 7 of client 2 (append 5 to "a", t=1.000 s to t=1.200 s)`.
pub(crate) fn words(operation: &Operation) -> String {
    let what = match &operation.call {
        Call::Append { series, value, .. } => format!("append {value:?} to {series:?}"),
        Call::ReadValues { series, linearizable: true } => format!("read of {series:?}"),
        Call::ReadValues { series, linearizable: false } => format!("stale read of {series:?}"),
        Call::ReadAggregate { series, linearizable: true } => format!("aggregate of {series:?}"),
        Call::ReadAggregate { series, linearizable: false } => format!("stale aggregate of {series:?}"),
    };
    let end = operation.end_ns.map_or("no answer".to_owned(), |end_ns| format!("to {}", time(end_ns)));
    let Operation { client, id, begin_ns, .. } = operation;
    format!("operation {id} of client {client} ({what}, {} {end})", time(*begin_ns))
}
