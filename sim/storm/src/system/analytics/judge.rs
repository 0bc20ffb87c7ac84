//! What must hold of Distributed Analytics.
//!
//! A key's average must be that of all its acknowledged values and some of those that nobody knows of: if
//! it is that with a value twice, *exactly once* is broken, otherwise *durability*. The average over all
//! must be that of all keys together: *conservation*. An average read under way, if it says that it lacks
//! nothing, holds what was acknowledged before it began and nothing from after it ended: *real-time reads*.
//!
//! Leaves out what an average that says it is partial holds.

use super::{Answer, Call};
use check::history::{Operation, Outcome};
use check::{Judge, MAX_VIOLATIONS_PER_JUDGE, Violation, exact_sum};
use std::collections::BTreeMap;

/// What is stored at the end.
#[derive(Clone, Debug, Default)]
pub struct Final {
    /// Average over everything.
    pub all: f64,
    /// Averages by key.
    pub keys: BTreeMap<String, f64>,
}

type History = [Operation<Call, Answer>];

/// Everything that is wrong.
pub fn judge(history: &History, found: &Final) -> Vec<Violation> {
    let mut by_key: BTreeMap<&str, Vec<Write>> = BTreeMap::new();
    for operation in history {
        if let Call::Insert { key, value } = &operation.call {
            by_key.entry(key).or_default().push(Write { value: *value, operation });
        }
    }
    let mut violations = stored(&by_key, found);
    violations.extend(reads(history, &by_key));
    let mut seen: BTreeMap<Judge, usize> = BTreeMap::new();
    violations.retain(|violation| {
        let number = seen.entry(violation.judge).or_default();
        *number += 1;
        *number <= MAX_VIOLATIONS_PER_JUDGE
    });
    violations
}

/// An insert.
struct Write<'a> {
    value: f64,
    operation: &'a Operation<Call, Answer>,
}

fn violation(judge: Judge, evidence: String) -> Violation {
    Violation { judge, at_ns: None, evidence }
}

/// True if no float is nearer to the exact average of `values` than `found`: worked out backwards, from
/// what is left when `found` is taken off for each of them, so that it shares nothing with what is judged.
fn is_average(values: &[f64], found: f64) -> bool {
    if values.is_empty() || !found.is_finite() {
        return values.is_empty() && found == 0.0;
    }
    let left: Vec<f64> = values.iter().copied().chain(values.iter().map(|_| -found)).collect();
    let left = exact_sum(&left);
    let next = if left > 0.0 { found.next_up() } else { found.next_down() };
    left.abs() <= (next - found).abs() / 2.0 * values.len() as f64
}

/// For people.
fn average(values: &[f64]) -> f64 {
    exact_sum(values) / values.len().max(1) as f64
}

/// The values of `sure` and some of `maybe` that have that average.
fn explained(sure: &[f64], maybe: &[f64], found: f64) -> Option<Vec<f64>> {
    (0u32..1 << maybe.len().min(16)).find_map(|choice| {
        let chosen = maybe.iter().enumerate().filter(|(place, _)| choice >> place & 1 == 1);
        let values: Vec<f64> = sure.iter().chain(chosen.map(|(_, value)| value)).copied().collect();
        is_average(&values, found).then_some(values)
    })
}

fn stored(by_key: &BTreeMap<&str, Vec<Write<'_>>>, found: &Final) -> Vec<Violation> {
    let (mut violations, mut all) = (Vec::new(), Vec::new());
    for (key, writes) in by_key {
        let of = |wanted: fn(&Outcome<Answer>) -> bool| -> Vec<f64> {
            let writes = writes.iter().filter(|write| wanted(&write.operation.outcome));
            writes.map(|write| write.value).collect()
        };
        let sure = of(|outcome| matches!(outcome, Outcome::Ok(_)));
        let maybe = of(|outcome| matches!(outcome, Outcome::Unknown(_)));
        let average = found.keys.get(*key).copied().unwrap_or_default();
        if let Some(values) = explained(&sure, &maybe, average) {
            all.extend(values);
            continue;
        }
        let text = format!("{key} has the average {average}; acknowledged {sure:?}, unknown {maybe:?}");
        let sent = [&sure[..], &maybe[..]].concat();
        let doubled =
            sent.iter().any(|value| explained(&[&sure[..], &[*value]].concat(), &maybe, average).is_some());
        violations.push(violation(if doubled { Judge::ExactlyOnce } else { Judge::Durability }, text));
    }
    if violations.is_empty() && !is_average(&all, found.all) {
        let text = format!("all have the average {}, their keys make {}", found.all, average(&all));
        violations.push(violation(Judge::Conservation, text));
    }
    violations
}

fn reads(history: &History, by_key: &BTreeMap<&str, Vec<Write<'_>>>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for read in history {
        let (Call::Average { key }, Some(end)) = (&read.call, read.end_ns) else { continue };
        let Outcome::Ok(Answer::Average { average, is_partial, nodes }) = &read.outcome else { continue };
        let wrong = |text| Violation { at_ns: Some(end), ..violation(Judge::RealTimeReads, text) };
        if nodes.0 > nodes.1 {
            violations.push(wrong(format!("{} nodes of {} answered", nodes.0, nodes.1)));
        }
        if *is_partial {
            continue;
        }
        let (mut sure, mut maybe) = (Vec::new(), Vec::new());
        for Write { value, operation: write } in by_key.get(key.as_str()).into_iter().flatten() {
            let done = matches!(write.outcome, Outcome::Ok(_));
            if done && write.end_ns.is_some_and(|end| end < read.begin_ns) {
                sure.push(*value);
            } else if write.begin_ns < end && !matches!(write.outcome, Outcome::Rejected(_)) {
                maybe.push(*value);
            }
        }
        if explained(&sure, &maybe, *average).is_none() {
            let text = format!("{key} was averaged as {average}; surely {sure:?}, perhaps {maybe:?}");
            violations.push(wrong(text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(id: u64, value: f64, outcome: Outcome<Answer>) -> Operation<Call, Answer> {
        let call = Call::Insert { key: "k".into(), value };
        Operation { client: 0, id, begin_ns: id * 10, end_ns: Some(id * 10 + 5), call, outcome }
    }

    fn read(average: f64, is_partial: bool, nodes: (u32, u32)) -> Operation<Call, Answer> {
        let outcome = Outcome::Ok(Answer::Average { average, is_partial, nodes });
        let call = Call::Average { key: "k".into() };
        Operation { client: 0, id: 9, begin_ns: 90, end_ns: Some(95), call, outcome }
    }

    fn judges(history: &History, key: f64, all: f64) -> Vec<Judge> {
        let found = Final { all, keys: [("k".to_owned(), key)].into() };
        judge(history, &found).into_iter().map(|violation| violation.judge).collect()
    }

    fn done() -> Outcome<Answer> {
        Outcome::Ok(Answer::Inserted)
    }

    #[test]
    fn each_law_has_its_breach() {
        let history = [
            insert(0, 1.0, done()),
            insert(1, 4.0, done()),
            insert(2, 11.0, Outcome::Unknown(String::new())),
            insert(3, 100.0, Outcome::Rejected(String::new())),
        ];
        assert_eq!(judges(&history, 2.5, 2.5), []);
        assert_eq!(judges(&history, 16.0 / 3.0, 16.0 / 3.0), []);
        assert_eq!(judges(&history, 2.5, 3.0), [Judge::Conservation]);
        assert_eq!(judges(&history, 1.0, 1.0), [Judge::Durability], "4 is lost");
        assert_eq!(judges(&history, 3.0, 3.0), [Judge::ExactlyOnce], "4 is there twice");
        assert_eq!(judges(&history, 35.0, 35.0), [Judge::Durability], "100 was refused");
    }

    #[test]
    fn averages_are_the_nearest_floats() {
        let values = [1.0, 0.1, 0.3];
        assert!(is_average(&values, 0.4666666666666667));
        for wrong in [0.4666666666666667f64.next_up(), 0.4666666666666666, 0.0, f64::NAN] {
            assert!(!is_average(&values, wrong), "{wrong}");
        }
        assert!(is_average(&[], 0.0) && is_average(&[-2.0, -3.0], -2.5) && !is_average(&[], 1.0));
    }

    #[test]
    fn reads_hold_what_was_there() {
        let with = |read| judges(&[insert(0, 1.0, done()), insert(1, 4.0, done()), read], 2.5, 2.5);
        assert_eq!(with(read(2.5, false, (2, 3))), []);
        assert_eq!(with(read(1.0, false, (3, 3))), [Judge::RealTimeReads]);
        assert_eq!(with(read(1.0, true, (3, 3))), []);
        assert_eq!(with(read(2.5, false, (4, 3))), [Judge::RealTimeReads]);
    }
}
