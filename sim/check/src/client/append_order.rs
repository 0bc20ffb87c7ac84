//! Append order: each series has one order, the same for all, and it respects real time.
//!
//! Law: every answered read of values, stale or not, is a prefix of the final values; an append that was
//! acknowledged before another one to the same series was called comes before it. Source: Jepsen Elle,
//! list-append (reads of one list are prefixes of the longest); Herlihy and Wing 1990 for real time.
//!
//! With [`super::real_time_reads`] this is linearizability, per series: the final list is the order of the
//! writes, a read takes its place after the last value that it saw, and no two operations are out of
//! step with real time.
//!
//! Does not check how far a read lags. Says nothing about the order across series.

use super::index::{Index, Seen, Series, words};
use crate::violation::{Findings, Judge, Violation};

pub(crate) fn judge(index: &Index<'_>) -> Vec<Violation> {
    let mut findings = Findings::new(Judge::AppendOrder);
    for series in &index.series {
        prefixes(series, &mut findings);
        real_time(series, &mut findings);
    }
    findings.into_vec()
}

fn prefixes(series: &Series<'_>, findings: &mut Findings) {
    for read in series.reads.iter().filter(|read| !read.prefix) {
        let Seen::Values(values) = read.seen else { continue };
        let Some(position) = series.difference(values) else { continue };
        findings.add(read.operation.end_ns, || {
            let reader = words(read.operation);
            let value = |values: &[f64]| values.get(position).map_or("none".to_owned(), |v| format!("{v:?}"));
            let (seen, last) = (value(values), value(&series.last.values));
            format!("{reader} returned {seen} at position {position}, where the final value is {last}")
        });
    }
}

fn real_time(series: &Series<'_>, findings: &mut Findings) {
    for (end_ns, write) in series.acknowledged() {
        let Some(position) = series.position(write.value) else { continue };
        if let Some(before) = series.latest_in_prefix(position)
            && end_ns < before.begin_ns
        {
            findings.add(Some(before.begin_ns), || {
                let (first, second) = (words(write.acked.unwrap_or(write.first)), words(before));
                format!("{first} was acknowledged before {second} was called, but comes after it")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::client::fixture::{Story, legal, only};
    use crate::violation::Judge;

    #[test]
    fn a_read_in_another_order() {
        let story = Story::new().unknown(0, 10, 1.0).unknown(0, 10, 2.0).ends_with(&[1.0, 2.0]);
        only(Judge::AppendOrder, &story.clone().stale_reads(20, 30, &[2.0]));
        let found = only(Judge::AppendOrder, &story.clone().reads(20, 30, &[2.0, 1.0]));
        assert!(found[0].evidence.ends_with("returned 2.0 at position 0, where the final value is 1.0"));
        only(Judge::AppendOrder, &story.reads(20, 30, &[1.0, 2.0, 3.0]));
    }

    #[test]
    fn an_unacknowledged_value_is_seen_and_then_gone() {
        only(Judge::AppendOrder, &Story::new().unknown(0, 10, 1.0).reads(20, 30, &[1.0]).ends_with(&[]));
    }

    #[test]
    fn an_append_overtakes_one_acknowledged_before_it() {
        let story = Story::new().acked(0, 10, 1.0).acked(20, 30, 2.0).ends_with(&[2.0, 1.0]);
        only(Judge::AppendOrder, &story);
        // The overtaking one need not be acknowledged itself.
        let story = Story::new().acked(0, 10, 1.0).unknown(20, 30, 2.0).ends_with(&[2.0, 1.0]);
        only(Judge::AppendOrder, &story);
    }

    #[test]
    fn concurrent_appends_in_any_order_late_unknown_ones_and_lagging_stale_reads() {
        let story = Story::new().acked(0, 30, 1.0).acked(20, 40, 2.0).stale_reads(100, 110, &[]);
        let story = story.unknown(0, 10, 3.0).acked(120, 130, 4.0).stale_reads(140, 150, &[2.0]);
        legal(&story.ends_with(&[2.0, 1.0, 4.0, 3.0]));
    }
}
