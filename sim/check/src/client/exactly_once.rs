//! Exactly once: a write takes effect at most once, however often it is tried, and is answered alike.
//!
//! Law: no value is twice among the final values of a series, or in any answer to a read, stale or not;
//! all acknowledgements of appends with the same series and key have the same text. Source: Raft paper,
//! section 8 (client serial numbers); Jepsen's `set-full` ("duplicated"); the Idempotency-Key draft of the
//! IETF for answering a retry as the first time.
//!
//! Does not check that a key is remembered for ever: a retry may be rejected. Nor what happens to a key
//! that is used for two different values, which is a misuse that the history does not contain.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::index::{Index, Seen, Series, words};
use crate::history::{Answer, Call, Operation, Outcome};
use crate::violation::{Findings, Judge, Violation};

pub(crate) fn judge(index: &Index<'_>) -> Vec<Violation> {
    let mut findings = Findings::new(Judge::ExactlyOnce);
    for series in &index.series {
        duplicates(series, &mut findings);
    }
    answers(index.history, &mut findings);
    findings.into_vec()
}

fn duplicates(series: &Series<'_>, findings: &mut Findings) {
    let name = series.name;
    for (value, first, second) in repeated(&series.last.values) {
        findings.add(None, || {
            let written = series.writes.get(&value.to_bits());
            let by = written.map_or("nobody".to_owned(), |write| words(write.first));
            format!(
                "value {value:?} is twice in {name:?}: final values {first} and {second}, written by {by}"
            )
        });
    }
    for read in &series.reads {
        // A prefix of the final values repeats nothing that was not reported just now.
        if let Seen::Values(values) = read.seen
            && !read.prefix
            && !findings.full()
        {
            for (value, first, second) in repeated(values) {
                findings.add(read.operation.end_ns, || {
                    let reader = words(read.operation);
                    format!("{reader} returned value {value:?} twice, at positions {first} and {second}")
                });
            }
        }
    }
}

/// Values that are there again, with the first position and the repeated one.
fn repeated(values: &[f64]) -> Vec<(f64, usize, usize)> {
    let mut found = Vec::new();
    let mut first: BTreeMap<u64, usize> = BTreeMap::new();
    for (at, value) in values.iter().enumerate() {
        match first.entry(value.to_bits()) {
            Entry::Vacant(entry) => {
                entry.insert(at);
            }
            Entry::Occupied(entry) => found.push((*value, *entry.get(), at)),
        }
    }
    found
}

fn answers(history: &[Operation], findings: &mut Findings) {
    let mut first: BTreeMap<(&str, &str), (&Operation, &str)> = BTreeMap::new();
    for operation in history {
        let Call::Append { series, key: Some(key), .. } = &operation.call else { continue };
        let Outcome::Ok(Answer::Appended { message }) = &operation.outcome else { continue };
        let (earlier, expected) = *first.entry((series, key)).or_insert((operation, message));
        if expected != message {
            findings.add(operation.end_ns, || {
                let (retry, earlier) = (words(operation), words(earlier));
                format!("{retry} with key {key:?} was answered {message:?}, but {earlier} {expected:?}")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::client::fixture::{Story, legal, only};
    use crate::violation::Judge;

    #[test]
    fn a_value_is_stored_twice() {
        // The unknown append 2 keeps the count plausible.
        let story = Story::new().acked(0, 10, 1.0).unknown(0, 10, 2.0).ends_with(&[1.0, 1.0]);
        only(Judge::ExactlyOnce, &story);
    }

    #[test]
    fn a_read_returns_a_value_twice() {
        let story = Story::new().acked(0, 10, 1.0).reads(20, 30, &[1.0, 1.0]).ends_with(&[1.0]);
        // Such a read is no prefix of the final values either.
        let found = story.judge();
        assert!(found.iter().any(|found| found.judge == Judge::ExactlyOnce), "{found:#?}");
        assert!(found.iter().all(|found| found.judge != Judge::Durability), "{found:#?}");
    }

    #[test]
    fn a_retry_is_answered_differently() {
        let story = Story::new().keyed(0, 10, 1.0, "k", "at 0").keyed(20, 30, 1.0, "k", "at 1");
        let found = only(Judge::ExactlyOnce, &story.ends_with(&[1.0]));
        assert!(found[0].evidence.contains("was answered \"at 1\", but operation 0"));
    }

    #[test]
    fn retries_with_the_same_key_and_keys_of_two_series() {
        let story = Story::new().unknown(0, 10, 1.0).keyed(20, 30, 1.0, "k", "at 0");
        let story = story.keyed(40, 50, 1.0, "k", "at 0").keyed(60, 70, 2.0, "l", "at 1");
        legal(
            &story
                .series("t")
                .keyed(80, 90, 3.0, "k", "else")
                .ends_with(&[3.0])
                .series("s")
                .ends_with(&[1.0, 2.0]),
        );
    }
}
