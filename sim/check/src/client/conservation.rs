//! Conservation: counts and sums agree with what was written.
//!
//! Law, per series: the final count is the number of final values, and the final sum is their exact sum,
//! rounded once, bit for bit; the count lies between the acknowledged writes and those plus the unknown
//! ones. Each linearizable aggregate is the count and the exact sum of the first so many final values, and
//! counts no more than the writes called before it ended. Source: Jepsen's `counter` (bounds from acked and
//! attempted) and `bank` (the total is right in every read).
//!
//! Does not check which values they are (see [`super::durability`]) nor how recent an aggregate is (see
//! [`super::real_time_reads`]), nor stale aggregates.

use std::collections::BTreeMap;

use super::index::{Index, Read, Seen, Series, words};
use crate::exact_sum::{ExactSum, exact_sum, same_sum};
use crate::violation::{Findings, Judge, Violation, time};

pub(crate) fn judge(index: &Index<'_>) -> Vec<Violation> {
    let mut findings = Findings::new(Judge::Conservation);
    for series in &index.series {
        final_aggregate(series, &mut findings);
        bounds(series, &mut findings);
        reads(series, &mut findings);
    }
    findings.into_vec()
}

fn final_aggregate(series: &Series<'_>, findings: &mut Findings) {
    let (name, last) = (series.name, series.last);
    let stored = last.values.len();
    if last.count != stored as u64 {
        findings
            .add(None, || format!("final count of {name:?} is {}, with {stored} final values", last.count));
    }
    let sum = exact_sum(&last.values);
    if !same_sum(sum, last.sum) {
        findings.add(None, || {
            format!("final sum of {name:?} is {:?}, but its {stored} final values make {sum:?}", last.sum)
        });
    }
}

fn bounds(series: &Series<'_>, findings: &mut Findings) {
    let (name, count) = (series.name, series.last.count);
    let acked = series.writes.values().filter(|write| write.acked.is_some()).count() as u64;
    let possible = series.writes.values().filter(|write| write.effective.is_some()).count() as u64;
    if count < acked || count > possible {
        findings.add(None, || {
            let unknown = possible - acked;
            format!(
                "final count of {name:?} is {count}, with {acked} writes acknowledged and {unknown} unknown"
            )
        });
    }
}

fn reads(series: &Series<'_>, findings: &mut Findings) {
    let writes = series.writes.values().filter_map(|write| write.effective);
    let mut called: Vec<u64> = writes.map(|operation| operation.begin_ns).collect();
    called.sort_unstable();
    let aggregates: Vec<_> =
        series.reads.iter().filter(|read| read.linearizable).filter_map(aggregate).collect();
    let sums = prefix_sums(&series.last.values, aggregates.iter().map(|(_, count, _)| *count));
    for (read, count, sum) in aggregates {
        let reader = || words(read.operation);
        let end_ns = read.end_ns();
        let before = called.partition_point(|begin_ns| *begin_ns <= end_ns) as u64;
        if count > before {
            findings.add(read.operation.end_ns, || {
                format!(
                    "{} counted {count}, but only {before} appends were called by {}",
                    reader(),
                    time(end_ns)
                )
            });
        }
        match sums.get(&count) {
            None => findings.add(read.operation.end_ns, || {
                format!(
                    "{} counted {count}, more than the {} final values",
                    reader(),
                    series.last.values.len()
                )
            }),
            Some(expected) if !same_sum(*expected, sum) => findings.add(read.operation.end_ns, || {
                format!("{} summed {count} values to {sum:?}, the first {count} make {expected:?}", reader())
            }),
            Some(_) => {}
        }
    }
}

fn aggregate<'r, 'a>(read: &'r Read<'a>) -> Option<(&'r Read<'a>, u64, f64)> {
    match read.seen {
        Seen::Aggregate { count, sum } => Some((read, count, sum)),
        Seen::Values(_) => None,
    }
}

/// Exact sums of the first `count` values, for each wanted count that there is.
fn prefix_sums(values: &[f64], counts: impl Iterator<Item = u64>) -> BTreeMap<u64, f64> {
    let mut sums: BTreeMap<u64, f64> =
        counts.filter(|count| *count <= values.len() as u64).map(|count| (count, 0.0)).collect();
    let mut sum = ExactSum::new();
    for (count, value) in (1..).zip(values) {
        sum.add(*value);
        if let Some(wanted) = sums.get_mut(&count) {
            *wanted = sum.value();
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use crate::client::fixture::{Story, legal, only};
    use crate::violation::Judge;

    #[test]
    fn final_count_or_sum_is_off() {
        let story = Story::new().acked(0, 10, 0.1).acked(20, 30, 0.2).ends_with(&[0.1, 0.2]);
        only(Judge::Conservation, &story.clone().ends_with_aggregate(1, 0.3));
        // One unit in the last place: 0.1 + 0.2 in doubles is right, 0.3 is not.
        only(Judge::Conservation, &story.clone().ends_with_aggregate(2, 0.3));
        legal(&story.ends_with_aggregate(2, 0.1 + 0.2));
    }

    #[test]
    fn more_than_was_ever_possible() {
        let story = Story::new().acked(0, 10, 1.0).rejected(0, 10, 2.0).ends_with(&[1.0, 2.0]);
        // A rejected write that took effect is a matter of durability as well.
        assert!(story.judge().iter().any(|found| found.judge == Judge::Conservation));
    }

    #[test]
    fn an_aggregate_that_never_was() {
        let story = Story::new().acked(0, 10, 1.0).acked(20, 30, 2.0).ends_with(&[1.0, 2.0]);
        let found = only(Judge::Conservation, &story.clone().aggregates(40, 50, 2, 4.0));
        assert!(found[0].evidence.contains("summed 2 values to 4.0, the first 2 make 3.0"));
        only(Judge::Conservation, &story.clone().aggregates(40, 50, 3, 3.0));
        only(Judge::Conservation, &story.aggregates(12, 13, 1, 2.0));
    }

    #[test]
    fn absent_prefixes_and_zeros_are_legal() {
        let story = Story::new().absent(0, 5).acked(6, 10, -0.0).aggregates(11, 12, 1, -0.0);
        let story = story.unknown(20, 30, 2.0).aggregates(40, 50, 1, 0.0).aggregates(60, 70, 2, 2.0);
        legal(&story.ends_with(&[-0.0, 2.0]));
        legal(&Story::new().unknown(0, 10, 1.0).absent(20, 30));
    }
}
