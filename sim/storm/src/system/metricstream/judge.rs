//! What must hold of MetricStream.
//!
//! *Durability*: every metric of an acknowledged batch is stored, and nothing that nobody sent. *Exactly
//! once*: no value twice. *Conservation*: windows sum up to the points, and the statistics lie between what
//! was acknowledged and that plus what nobody knows. *Real-time reads*: a count is not below what was
//! acknowledged before it began, nor above what was sent before it ended.
//!
//! The copies in `metrics.jsonl` hold every point once, see [`exports`]. Limits of posts are judged in `limits`.

use super::export::Export;
use super::queues::Sent;
use super::{Answer, Call, windows_of};
use check::history::{Operation, Outcome};
use check::{Judge, MAX_VIOLATIONS_PER_JUDGE, Violation};
use client::metricstream::Stats;
use std::collections::{BTreeMap, BTreeSet};

/// What is stored at the end.
#[derive(Clone, Debug, Default)]
pub struct Final {
    /// Statistics.
    pub stats: Stats,
    /// Times and values by series.
    pub points: BTreeMap<String, Vec<(u64, u64)>>,
    /// Begin, count and sum of windows by series.
    pub windows: BTreeMap<String, Vec<(u64, u64, f64)>>,
    /// The copies in metrics.jsonl.
    pub exports: Vec<Export>,
    /// What went out to the broker; `None` if nothing goes there.
    pub published: Option<Vec<Sent>>,
}

type History = [Operation<Call, Answer>];

/// Everything that is wrong.
pub fn judge(history: &History, found: &Final) -> Vec<Violation> {
    let mut violations = stored(history, found);
    violations.extend(windows(found));
    violations.extend(statistics(history, &found.stats));
    violations.extend(counts(history));
    let mut seen: BTreeMap<Judge, usize> = BTreeMap::new();
    violations.retain(|violation| {
        let number = seen.entry(violation.judge).or_default();
        *number += 1;
        *number <= MAX_VIOLATIONS_PER_JUDGE
    });
    violations
}

pub(super) fn violation(judge: Judge, evidence: String) -> Violation {
    Violation { judge, at_ns: None, evidence }
}

fn stored(history: &History, found: &Final) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut values: BTreeSet<(&str, u64)> = BTreeSet::new();
    for (series, points) in &found.points {
        for (_, value) in points {
            if !values.insert((series, *value)) {
                violations.push(violation(Judge::ExactlyOnce, format!("{series} holds {value} twice")));
            }
        }
    }
    let mut sent = BTreeSet::new();
    for operation in history {
        let (metrics, key) = match &operation.call {
            Call::Batch { metrics, key, .. } => (metrics, key.as_deref().unwrap_or("none")),
            Call::Put { metrics, .. } => (metrics, "none, it is a message"),
            Call::Count { .. } => continue,
        };
        let (mut present, mut absent) = (0, None);
        for (series, value) in metrics {
            sent.insert((series.as_str(), *value));
            match values.contains(&(series.as_str(), *value)) {
                true => present += 1,
                false => absent = Some((series, value)),
            }
        }
        match (&operation.outcome, absent) {
            (Outcome::Ok(_), Some((series, value))) => {
                let text = format!("{value} of {series} was acknowledged (key: {key}) and is not stored");
                violations.push(violation(Judge::Durability, text));
            }
            (Outcome::Rejected(why), _) if present > 0 => {
                let text = format!(
                    "a batch (key: {key}) was refused ({why}), and {present} of its metrics are stored"
                );
                violations.push(violation(Judge::Durability, text));
            }
            _ => {}
        }
    }
    for (series, value) in values.difference(&sent) {
        violations.push(violation(Judge::Durability, format!("{series} holds {value}, which nobody sent")));
    }
    violations
}

/// Everything that is stored, as lines have it.
pub(super) fn stored_values(found: &Final) -> BTreeSet<(&str, u64)> {
    found
        .points
        .iter()
        .flat_map(|(name, points)| points.iter().map(move |(_, value)| (name.as_str(), *value)))
        .collect()
}

/// The values of an export that is not damaged.
fn exported_values(export: &Export) -> Option<BTreeSet<(&str, u64)>> {
    // Values of a run are whole numbers far below 2^53.
    let lines = export.lines.as_ref()?.iter();
    Some(lines.map(|line| (line.name.as_str(), line.value as u64)).collect())
}

/// True if a node's copy holds everything that is stored.
pub fn has_whole_export(found: &Final) -> bool {
    let stored = stored_values(found);
    found.exports.iter().filter_map(exported_values).any(|exported| exported.is_superset(&stored))
}

/// What is wrong with the copies: no line twice, none of what is not stored, and one copy has everything,
/// unless a disk damaged one.
pub fn exports(found: &Final) -> Vec<Violation> {
    let stored = stored_values(found);
    let mut violations = Vec::new();
    for export in &found.exports {
        let mut points = BTreeSet::new();
        for line in export.lines.iter().flatten() {
            if !points.insert((line.partition, line.number)) {
                let text = format!("{}: metrics.jsonl holds {line:?} twice", export.machine);
                violations.push(violation(Judge::ExactlyOnce, text));
            }
            if !stored.contains(&(line.name.as_str(), line.value as u64)) {
                let text = format!("{}: metrics.jsonl holds {line:?}, which is not stored", export.machine);
                violations.push(violation(Judge::Durability, text));
            }
        }
    }
    let damaged = found.exports.iter().any(|export| export.lines.is_none());
    if !damaged && !has_whole_export(found) {
        let counts: Vec<_> = found
            .exports
            .iter()
            .map(|export| (&export.machine, export.lines.as_ref().map(Vec::len)))
            .collect();
        let text = format!("of {} values no metrics.jsonl holds all: {counts:?}", stored.len());
        violations.push(violation(Judge::Durability, text));
    }
    violations.truncate(MAX_VIOLATIONS_PER_JUDGE);
    violations
}

fn windows(found: &Final) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (series, points) in &found.points {
        // Sums of whole numbers far below 2^53 are exact.
        let expected: Vec<(u64, u64, f64)> =
            windows_of(points).into_iter().map(|(start, (count, sum))| (start, count, sum as f64)).collect();
        let windows = found.windows.get(series).cloned().unwrap_or_default();
        if windows != expected {
            let text = format!("{series}: its windows are {windows:?}, its points sum up to {expected:?}");
            violations.push(violation(Judge::Conservation, text));
        }
    }
    violations
}

fn statistics(history: &History, stats: &Stats) -> Vec<Violation> {
    let (mut sure, mut most) = ([0; 3], [0; 3]);
    for operation in history {
        let (Call::Batch { metrics, wrong, .. } | Call::Put { metrics, wrong }) = &operation.call else {
            continue;
        };
        // A message may be nothing but a mistake.
        let counted = [metrics.len() as u64, u64::from(!metrics.is_empty()), *wrong];
        let places = counted.into_iter().zip(sure.iter_mut().zip(most.iter_mut()));
        for (count, (sure, most)) in places {
            match operation.outcome {
                Outcome::Ok(_) => (*sure, *most) = (*sure + count, *most + count),
                Outcome::Unknown(_) => *most += count,
                Outcome::Rejected(_) => {}
            }
        }
    }
    let found = [stats.metrics_received, stats.batches_processed, stats.validation_errors];
    let names = ["metrics_received", "batches_processed", "validation_errors"];
    let mut violations = Vec::new();
    for (place, name) in names.into_iter().enumerate() {
        if !(sure[place]..=most[place]).contains(&found[place]) {
            let text = format!("{name} is {}, not within {}..={}", found[place], sure[place], most[place]);
            violations.push(violation(Judge::Conservation, text));
        }
    }
    violations
}

fn counts(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    for read in history {
        let (Call::Count { series }, Outcome::Ok(Answer::Count(found)), Some(end)) =
            (&read.call, &read.outcome, read.end_ns)
        else {
            continue;
        };
        let (mut least, mut most) = (0, 0);
        for write in history {
            let (Call::Batch { metrics, .. } | Call::Put { metrics, .. }) = &write.call else { continue };
            let own = metrics.iter().filter(|metric| metric.0 == *series).count() as u64;
            // A message is in the stream when it is acknowledged, and in the cluster soon after.
            let done = matches!((&write.call, &write.outcome), (Call::Batch { .. }, Outcome::Ok(_)));
            if done && write.end_ns.is_some_and(|end| end < read.begin_ns) {
                least += own;
            }
            if write.begin_ns < end && !matches!(write.outcome, Outcome::Rejected(_)) {
                most += own;
            }
        }
        if !(least..=most).contains(found) {
            let text = format!("{series} was counted as {found}, not within {least}..={most}");
            violations.push(Violation { at_ns: Some(end), ..violation(Judge::RealTimeReads, text) });
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::export::Line;
    use super::*;

    fn batch(id: u64, values: &[u64], wrong: u64, outcome: Outcome<Answer>) -> Operation<Call, Answer> {
        let metrics = values.iter().map(|value| ("s".to_owned(), *value)).collect();
        let call = Call::Batch { metrics, wrong, key: None };
        Operation { client: 0, id, begin_ns: id * 10, end_ns: Some(id * 10 + 5), call, outcome }
    }

    fn done(accepted: u64) -> Outcome<Answer> {
        Outcome::Ok(Answer::Batch { accepted, rejected: 0 })
    }

    fn found(values: &[u64], batches: u64, wrong: u64) -> Final {
        let points: Vec<(u64, u64)> = values.iter().map(|value| (5, *value)).collect();
        let windows = windows_of(&points).into_iter().map(|(start, (count, sum))| (start, count, sum as f64));
        let stats = Stats {
            metrics_received: values.len() as u64,
            batches_processed: batches,
            validation_errors: wrong,
            rate_limited_requests: 0,
        };
        let windows = [("s".to_owned(), windows.collect())].into();
        Final {
            stats,
            points: [("s".to_owned(), points)].into(),
            windows,
            exports: Vec::new(),
            published: None,
        }
    }

    fn judges(history: &History, found: &Final) -> Vec<Judge> {
        judge(history, found).into_iter().map(|violation| violation.judge).collect()
    }

    #[test]
    fn what_is_allowed_passes() {
        let unknown = || Outcome::Unknown(String::new());
        let history = [batch(0, &[1, 2], 1, done(2)), batch(1, &[3, 4], 0, unknown())];
        assert_eq!(judges(&history, &found(&[1, 2], 1, 1)), []);
        assert_eq!(judges(&history, &found(&[1, 2, 3, 4], 2, 1)), []);
        // Of a batch of unknown outcome a part may be stored.
        assert_eq!(judges(&history, &found(&[1, 2, 4], 2, 1)), []);
    }

    #[test]
    fn each_law_has_its_breach() {
        let history = [batch(0, &[1, 2], 1, done(2))];
        assert_eq!(judges(&history, &found(&[1], 1, 1))[0], Judge::Durability);
        assert_eq!(judges(&history, &found(&[1, 2, 2], 1, 1))[0], Judge::ExactlyOnce);
        assert_eq!(judges(&history, &found(&[1, 2, 9], 1, 1))[0], Judge::Durability);
        assert_eq!(judges(&history, &found(&[1, 2], 2, 1)), [Judge::Conservation]);
        assert_eq!(judges(&history, &found(&[1, 2], 1, 2)), [Judge::Conservation]);
        let mut doubled = found(&[1, 2], 1, 1);
        doubled.windows.values_mut().flatten().for_each(|window| window.1 += 1);
        assert_eq!(judges(&history, &doubled), [Judge::Conservation]);
        let refused = [batch(0, &[1], 0, Outcome::Rejected(String::new()))];
        assert_eq!(judges(&refused, &found(&[1], 0, 0))[0], Judge::Durability);
        let count = |n| Operation {
            client: 0,
            id: 9,
            begin_ns: 90,
            end_ns: Some(95),
            call: Call::Count { series: "s".into() },
            outcome: Outcome::Ok(Answer::Count(n)),
        };
        for (n, expected) in [(1, vec![Judge::RealTimeReads]), (2, vec![]), (3, vec![Judge::RealTimeReads])] {
            let history = [batch(0, &[1, 2], 1, done(2)), count(n)];
            assert_eq!(judges(&history, &found(&[1, 2], 1, 1)), expected);
        }
    }

    #[test]
    fn copies_hold_what_is_stored() {
        let copy = |lines: Option<&[(u64, u64)]>| Export {
            machine: "control".into(),
            lines: lines.map(|lines| {
                let line = |(number, value): &(u64, u64)| Line {
                    name: "s".into(),
                    value: *value as f64,
                    partition: 1,
                    number: *number,
                };
                lines.iter().map(line).collect()
            }),
        };
        let judges = |copies: &[Option<&[(u64, u64)]>]| {
            let found =
                Final { exports: copies.iter().map(|lines| copy(*lines)).collect(), ..found(&[7, 8], 1, 0) };
            exports(&found).into_iter().map(|violation| violation.judge).collect::<Vec<_>>()
        };
        let whole: Option<&[(u64, u64)]> = Some(&[(0, 7), (1, 8)]);
        assert_eq!(judges(&[whole]), []);
        assert_eq!(judges(&[Some(&[(0, 7)]), whole]), [], "an earlier writer stopped somewhere");
        assert_eq!(judges(&[Some(&[(0, 7)])]), [Judge::Durability]);
        assert_eq!(judges(&[]), [Judge::Durability]);
        assert_eq!(judges(&[None]), [], "it is damaged, and will be written again");
        assert_eq!(judges(&[Some(&[(0, 7), (1, 8), (1, 8)])]), [Judge::ExactlyOnce]);
        assert_eq!(judges(&[Some(&[(0, 7), (1, 8), (2, 9)])]), [Judge::Durability]);
    }
}
