//! Points summed up: the parts of every aggregate, so that parts can be put together in any order.

use super::command::Kind;
use crate::raftmetrics::exact_sum::{self, ExactSum};
use crate::raftmetrics::sketch::Sketch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is worked out beside count, smallest, largest and newest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The exact sum.
    pub sum: bool,
    /// Quantiles.
    pub quantiles: bool,
    /// How many different members.
    pub members: bool,
}

/// Points summed up.
#[derive(Clone, Default)]
pub struct Accumulator {
    /// Number of points.
    pub count: u64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Number, time and value of the earliest point; equal times: of the one that came first.
    pub first: (u64, u64, f64),
    /// The same of the latest; equal times: of the one that came last.
    pub last: (u64, u64, f64),
    sum: Option<ExactSum>,
    sketch: Option<Sketch>,
    members: Option<BTreeSet<u64>>,
}

/// As it is sent and stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    count: u64,
    min: f64,
    max: f64,
    first: (u64, u64, f64),
    last: (u64, u64, f64),
    sum: Option<exact_sum::Stored>,
    sketch: Option<Sketch>,
    members: Option<BTreeSet<u64>>,
}

impl Accumulator {
    /// Nothing yet.
    pub fn new(need: Need) -> Self {
        Accumulator {
            sum: need.sum.then(ExactSum::default),
            sketch: need.quantiles.then(Sketch::default),
            members: need.members.then(BTreeSet::new),
            ..Accumulator::default()
        }
    }

    /// Adds a number: the `number`-th of its partition.
    pub fn add(&mut self, number: u64, at_ms: u64, value: f64) {
        self.span(number, at_ms, value);
        self.count += 1;
        if let Some(sum) = &mut self.sum {
            sum.add(value);
        }
        if let Some(sketch) = &mut self.sketch {
            sketch.add(value);
        }
    }

    /// Adds a member of a set, told by its hash.
    pub fn add_member(&mut self, number: u64, at_ms: u64, hash: u64) {
        self.span(number, at_ms, 0.0);
        self.count += 1;
        if let Some(members) = &mut self.members {
            members.insert(hash);
        }
    }

    fn span(&mut self, number: u64, at_ms: u64, value: f64) {
        if self.count == 0 {
            (self.min, self.max) = (value, value);
            (self.first, self.last) = ((number, at_ms, value), (number, at_ms, value));
            return;
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if (at_ms, number) < (self.first.1, self.first.0) {
            self.first = (number, at_ms, value);
        }
        if (at_ms, number) >= (self.last.1, self.last.0) {
            self.last = (number, at_ms, value);
        }
    }

    /// Adds what others have summed up.
    pub fn merge(&mut self, other: &Accumulator) {
        if other.count == 0 {
            return;
        }
        let before = self.count;
        self.span(other.first.0, other.first.1, other.first.2);
        if before == 0 {
            (self.min, self.max) = (other.min, other.max);
        }
        self.count = before + other.count;
        self.span(other.last.0, other.last.1, other.last.2);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if let (Some(sum), Some(other)) = (&mut self.sum, &other.sum) {
            sum.merge(other);
        }
        if let (Some(sketch), Some(other)) = (&mut self.sketch, &other.sketch) {
            sketch.merge(other);
        }
        if let (Some(members), Some(other)) = (&mut self.members, &other.members) {
            members.extend(other);
        }
    }

    /// The exact sum, rounded once; 0 if it was not asked for.
    pub fn sum(&self) -> f64 {
        self.sum.as_ref().map_or(0.0, ExactSum::value)
    }

    /// The value below which a share `quantile` lies, about.
    pub fn quantile(&self, quantile: f64) -> f64 {
        let found = self.sketch.as_ref().map_or(0.0, |sketch| sketch.quantile(quantile));
        if self.count == 0 { found } else { found.clamp(self.min, self.max) }
    }

    /// How many different members.
    pub fn members(&self) -> u64 {
        self.members.as_ref().map_or(0, |members| members.len() as u64)
    }

    /// As it is sent and stored.
    pub fn to_stored(&self) -> Stored {
        Stored {
            count: self.count,
            min: self.min,
            max: self.max,
            first: self.first,
            last: self.last,
            sum: self.sum.as_ref().map(ExactSum::to_stored),
            sketch: self.sketch.clone(),
            members: self.members.clone(),
        }
    }

    /// Back from there; `None` if it makes no sense.
    pub fn from_stored(stored: Stored) -> Option<Self> {
        let sum = match &stored.sum {
            Some(sum) => Some(ExactSum::from_stored(sum)?),
            None => None,
        };
        let Stored { count, min, max, first, last, sketch, members, .. } = stored;
        Some(Accumulator { count, min, max, first, last, sum, sketch, members })
    }
}

/// What aggregates can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aggregate {
    /// Arithmetic mean.
    Avg,
    /// Exact sum.
    Sum,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// Number of points.
    Count,
    /// Earliest value.
    First,
    /// Latest value.
    Last,
    /// Sum a second of the step.
    Rate,
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
    /// Number of different members of a set.
    Unique,
}

impl Aggregate {
    /// All of them with their names.
    pub const ALL: [(&'static str, Aggregate); 13] = [
        ("avg", Aggregate::Avg),
        ("sum", Aggregate::Sum),
        ("min", Aggregate::Min),
        ("max", Aggregate::Max),
        ("count", Aggregate::Count),
        ("first", Aggregate::First),
        ("last", Aggregate::Last),
        ("rate", Aggregate::Rate),
        ("p50", Aggregate::P50),
        ("p90", Aggregate::P90),
        ("p95", Aggregate::P95),
        ("p99", Aggregate::P99),
        ("unique", Aggregate::Unique),
    ];

    /// What it needs.
    pub fn need(self) -> Need {
        use Aggregate as A;
        Need {
            sum: matches!(self, A::Avg | A::Sum | A::Rate),
            quantiles: matches!(self, A::P50 | A::P90 | A::P95 | A::P99),
            members: self == A::Unique,
        }
    }

    /// True if it makes sense of that kind.
    pub fn suits(self, kind: Kind) -> bool {
        match self {
            Aggregate::Count => true,
            Aggregate::Unique => kind == Kind::Set,
            _ => kind != Kind::Set,
        }
    }

    /// The aggregate of what was summed up within `step_ms`.
    pub fn of(self, sum: &Accumulator, step_ms: u64) -> f64 {
        match self {
            Aggregate::Avg => sum.sum() / sum.count as f64,
            Aggregate::Sum => sum.sum(),
            Aggregate::Min => sum.min,
            Aggregate::Max => sum.max,
            Aggregate::Count => sum.count as f64,
            Aggregate::First => sum.first.2,
            Aggregate::Last => sum.last.2,
            Aggregate::Rate => sum.sum() * 1000.0 / step_ms.max(1) as f64,
            Aggregate::P50 => sum.quantile(0.5),
            Aggregate::P90 => sum.quantile(0.9),
            Aggregate::P95 => sum.quantile(0.95),
            Aggregate::P99 => sum.quantile(0.99),
            Aggregate::Unique => sum.members() as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Need = Need { sum: true, quantiles: true, members: true };

    proptest! {
        /// Cut anywhere and put together in either order, the whole is the same.
        #[test]
        fn parts_make_the_whole(
            points in proptest::collection::vec((0u64..50, -1e9f64..1e9), 1..60), cut in 0usize..60,
        ) {
            let cut = cut.min(points.len());
            let sum = |range: std::ops::Range<usize>| {
                let mut sum = Accumulator::new(ALL);
                range.for_each(|place| {
                    sum.add(place as u64, points[place].0, points[place].1);
                });
                sum
            };
            let whole = sum(0..points.len()).to_stored();
            let (mut left, mut right) = (sum(0..cut), sum(cut..points.len()));
            let (old_left, old_right) = (left.clone(), right.clone());
            left.merge(&old_right);
            right.merge(&old_left);
            prop_assert_eq!(&left.to_stored(), &whole);
            prop_assert_eq!(&right.to_stored(), &whole);
            prop_assert_eq!(&Accumulator::from_stored(whole.clone()).unwrap().to_stored(), &whole);
        }
    }
}
