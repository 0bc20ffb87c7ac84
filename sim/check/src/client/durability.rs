//! Durability: what was acknowledged stays, and nothing is there that nobody wrote.
//!
//! Law: every acknowledged append is among the final values of its series; every final value was
//! attempted by some append to that series, of which at least one was not rejected. Source: Jepsen's
//! `set-full` checker ("lost" and "never read"; "unexpected" in the older `set`).
//!
//! Does not check when a write became visible (see [`super::real_time_reads`]), or how often it is there
//! (see [`super::exactly_once`]). A write without an answer may be there or not.

use super::index::{Index, Series, words};
use crate::violation::{Findings, Judge, Violation};

pub(crate) fn judge(index: &Index<'_>) -> Vec<Violation> {
    let mut findings = Findings::new(Judge::Durability);
    for series in &index.series {
        lost(series, &mut findings);
        unexpected(series, &mut findings);
    }
    findings.into_vec()
}

fn lost(series: &Series<'_>, findings: &mut Findings) {
    for write in series.writes.values() {
        if let Some(acked) = write.acked
            && series.position(write.value).is_none()
        {
            findings.add(acked.end_ns, || {
                let count = series.last.values.len();
                format!("{} was acknowledged, but is not among the {count} final values", words(acked))
            });
        }
    }
}

fn unexpected(series: &Series<'_>, findings: &mut Findings) {
    let name = series.name;
    for (position, value) in series.last.values.iter().enumerate() {
        match series.writes.get(&value.to_bits()) {
            None => findings.add(None, || {
                format!(
                    "final value {value:?} of {name:?} at position {position}: no client ever appended it"
                )
            }),
            Some(write) if write.effective.is_none() => findings.add(write.first.end_ns, || {
                let rejected = words(write.first);
                format!("{rejected} was rejected each time, but is final value {position} of {name:?}")
            }),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::client::fixture::{Story, legal, only};
    use crate::violation::Judge;

    #[test]
    fn an_acknowledged_append_is_lost() {
        // The unknown append 2 keeps the count plausible, so that this is no matter of conservation.
        let story = Story::new().acked(0, 10, 1.0).unknown(20, 30, 2.0).ends_with(&[2.0]);
        let found = only(Judge::Durability, &story);
        assert_eq!(
            found[0].evidence,
            "operation 0 of client 0 (append 1.0 to \"s\", t=0.000 s to t=0.010 s) was acknowledged, but is \
             not among the 1 final values"
        );
        assert_eq!(found[0].at_ns, Some(10_000_000));
    }

    #[test]
    fn a_value_from_nowhere() {
        let story = Story::new().unknown(0, 10, 1.0).ends_with(&[3.0]);
        only(Judge::Durability, &story);
    }

    #[test]
    fn a_rejected_append_takes_effect() {
        let story = Story::new().rejected(0, 10, 1.0).unknown(20, 30, 2.0).ends_with(&[1.0]);
        only(Judge::Durability, &story);
    }

    #[test]
    fn unknown_appends_that_appear_or_not_and_rejected_ones_that_were_retried() {
        let story = Story::new().unknown(0, 10, 1.0).unknown(0, 10, 2.0);
        let story = story.rejected(20, 30, 3.0).unknown(40, 50, 3.0);
        legal(&story.ends_with(&[3.0, 1.0]));
    }
}
