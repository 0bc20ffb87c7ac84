//! Real-time reads: a linearizable read sees the past and not the future.
//!
//! Law, for an answered linearizable read of a series: it sees every append that was acknowledged before
//! the read was called; it sees no append that was called after the read ended; it sees at least as many
//! values as any linearizable read that ended before it was called. An absent series counts as empty.
//! Source: Herlihy and Wing 1990 (linearizability respects the order of operations that do not overlap);
//! the stale reads of consul#54 and etcd#7331 are what it looks for.
//!
//! For an aggregate, whose values cannot be seen, the final list tells which ones it covers. Stale reads
//! owe no freshness, but cannot see the future either.
//!
//! Does not check that what is seen has the right order (see [`super::append_order`]), nor an aggregate
//! against an acknowledged append that is lost in the end (see [`super::durability`]).

use std::collections::BTreeSet;

use super::index::{Index, Read, Seen, Series, Write, words};
use crate::history::Operation;
use crate::violation::{Findings, Judge, Violation};

pub(crate) fn judge(index: &Index<'_>) -> Vec<Violation> {
    let mut findings = Findings::new(Judge::RealTimeReads);
    for series in &index.series {
        past(series, &mut findings);
        future(series, &mut findings);
        monotone(series, &mut findings);
    }
    findings.into_vec()
}

/// Linearizable reads in the order in which they were called.
fn by_call<'r, 'a>(series: &'r Series<'a>) -> Vec<&'r Read<'a>> {
    let mut reads: Vec<_> = series.reads.iter().filter(|read| read.linearizable).collect();
    reads.sort_by_key(|read| read.operation.begin_ns);
    reads
}

/// Every read sees what was acknowledged before it.
fn past(series: &Series<'_>, findings: &mut Findings) {
    let acknowledged = series.acknowledged();
    let mut done = 0;
    // Of those acknowledged so far: the furthest down the final list, and one that is not in it.
    let mut furthest: Option<(usize, &Write)> = None;
    let mut lost: Option<&Write> = None;
    for read in by_call(series) {
        while let Some((end_ns, write)) = acknowledged.get(done)
            && *end_ns < read.operation.begin_ns
        {
            match series.position(write.value) {
                Some(position) if furthest.is_none_or(|(at, _)| at < position) => {
                    furthest = Some((position, write));
                }
                Some(_) => {}
                None => lost = lost.or(Some(write)),
            }
            done += 1;
        }
        let short = furthest.filter(|(position, _)| read.count() <= *position as u64);
        let missed = match read.seen {
            Seen::Aggregate { .. } => short.map(|(_, write)| write),
            Seen::Values(_) if read.prefix => short.map(|(_, write)| write).or(lost),
            // In no known order: each write must be looked for.
            Seen::Values(values) if !findings.full() => {
                let seen: BTreeSet<u64> = values.iter().map(|value| value.to_bits()).collect();
                let before = acknowledged.iter().take(done).map(|(_, write)| *write);
                before.into_iter().find(|write| !seen.contains(&write.value.to_bits()))
            }
            Seen::Values(_) => None,
        };
        if let Some(write) = missed {
            findings.add(read.operation.end_ns, || {
                let (reader, writer) = (words(read.operation), words(write.acked.unwrap_or(write.first)));
                format!("{reader} saw {} values and missed {writer}, acknowledged before it", read.count())
            });
        }
    }
}

/// No read, stale or not, sees what was called after it ended.
fn future(series: &Series<'_>, findings: &mut Findings) {
    for read in &series.reads {
        let latest = match read.seen {
            // What a stale aggregate covers is not judged: it need not be a prefix.
            Seen::Aggregate { .. } if !read.linearizable => None,
            Seen::Values(values) if !read.prefix => latest_of(series, values),
            _ => series.latest_in_prefix(usize::try_from(read.count()).unwrap_or(usize::MAX)),
        };
        if let Some(write) = latest
            && write.begin_ns > read.end_ns()
        {
            findings.add(read.operation.end_ns, || {
                let (reader, writer) = (words(read.operation), words(write));
                format!("{reader} saw {writer}, which was called only after the read had ended")
            });
        }
    }
}

/// Of the writes of `values`, the one that was called last.
fn latest_of<'a>(series: &Series<'a>, values: &[f64]) -> Option<&'a Operation> {
    let writes = values.iter().filter_map(|value| series.writes.get(&value.to_bits()));
    writes.filter_map(|write| write.effective).max_by_key(|operation| operation.begin_ns)
}

/// A read sees no less than one that ended before it was called.
fn monotone(series: &Series<'_>, findings: &mut Findings) {
    let later = by_call(series);
    let mut earlier = later.clone();
    earlier.sort_by_key(|read| read.end_ns());
    let mut earlier = earlier.into_iter().peekable();
    let mut most: Option<&Read> = None;
    for read in later {
        while let Some(ended) = earlier.next_if(|ended| ended.end_ns() < read.operation.begin_ns) {
            if most.is_none_or(|most| most.count() < ended.count()) {
                most = Some(ended);
            }
        }
        if let Some(most) = most
            && read.count() < most.count()
        {
            findings.add(read.operation.end_ns, || {
                let (now, before) = (words(read.operation), words(most.operation));
                format!("{now} saw {} values, fewer than the {} of {before}", read.count(), most.count())
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::client::fixture::{Story, legal, only};
    use crate::violation::Judge;

    #[test]
    fn a_read_misses_an_acknowledged_append() {
        let story = Story::new().acked(0, 10, 1.0).acked(20, 30, 2.0).ends_with(&[1.0, 2.0]);
        let found = only(Judge::RealTimeReads, &story.clone().reads(40, 50, &[1.0]));
        assert!(found[0].evidence.contains("saw 1 values and missed operation 1 of client 1 (append 2.0"));
        only(Judge::RealTimeReads, &story.clone().aggregates(40, 50, 1, 1.0));
        only(Judge::RealTimeReads, &story.absent(40, 50));
    }

    #[test]
    fn reads_go_back() {
        let story = Story::new().unknown(0, 10, 1.0).reads(20, 30, &[1.0]).ends_with(&[1.0]);
        let found = only(Judge::RealTimeReads, &story.clone().reads(40, 50, &[]));
        assert!(found[0].evidence.contains("saw 0 values, fewer than the 1 of operation 1"));
        only(Judge::RealTimeReads, &story.aggregates(40, 50, 0, 0.0));
    }

    #[test]
    fn a_read_sees_the_future() {
        let story = Story::new().reads(0, 10, &[1.0]).acked(20, 30, 1.0).ends_with(&[1.0]);
        only(Judge::RealTimeReads, &story);
        let story = Story::new().stale_reads(0, 10, &[1.0]).acked(20, 30, 1.0).ends_with(&[1.0]);
        only(Judge::RealTimeReads, &story);
    }

    #[test]
    fn a_missing_value_in_a_read_that_is_no_prefix() {
        let story = Story::new().acked(0, 10, 1.0).unknown(0, 10, 2.0).unknown(0, 10, 3.0);
        let story = story.reads(20, 30, &[3.0, 2.0]).ends_with(&[1.0, 2.0, 3.0]);
        let found = story.judge();
        assert!(found.iter().any(|found| found.evidence.contains("missed operation 0")), "{found:#?}");
    }

    #[test]
    fn overlapping_reads_and_stale_ones_owe_nothing() {
        let story = Story::new().acked(0, 30, 1.0).reads(20, 40, &[]).reads(25, 50, &[1.0]);
        let story = story.reads(45, 60, &[1.0]).stale_reads(100, 110, &[]);
        legal(&story.ends_with(&[1.0]));
        // An unknown append may take effect after a read that began long after it.
        let story = Story::new().unknown(0, 10, 1.0).reads(20, 30, &[]).reads(40, 50, &[1.0]);
        legal(&story.ends_with(&[1.0]));
    }
}
