//! Messages in and out: what producers put into the broker's stream, and what the cluster published.
//!
//! Judged of what went out: the messages of a partition follow each other without a gap, every stored point is
//! in one of them, and a series has the order that the cluster gives it. What came in is judged with the
//! batches.

use super::judge::{Final, stored_values, violation};
use super::{Answer, Call, MetricStream, body_of};
use crate::broker::{self, Kept};
use crate::scenario::Knobs;
use apps::partition::group_of;
use check::history::Outcome;
use check::{Judge, MAX_VIOLATIONS_PER_JUDGE, Violation};
use rt::sim::rng::Rng;
use rt::time::{self, Instant};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Which queues there are.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    pub(super) into: bool,
    pub(super) out: bool,
    /// A series of each partition, for the last message: when it is there, all before it are.
    pub(super) last_series: Vec<String>,
}

/// Points of a message that was published.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Whose points.
    pub partition: u64,
    /// Number of the first one.
    pub first: u64,
    /// As many as it says.
    pub count: u64,
    /// Names, times and values.
    pub points: Vec<(String, (u64, u64))>,
}

#[derive(Deserialize)]
struct Metric {
    name: String,
    value: f64,
    timestamp: u64,
}

#[derive(Deserialize)]
struct Body {
    metrics: Vec<Metric>,
}

impl Queues {
    pub(super) fn of(knobs: &Knobs) -> Self {
        let partitions = u32::try_from(knobs.get("partitions", 4)).unwrap_or(4);
        let mut names: BTreeMap<u64, String> = BTreeMap::new();
        for name in (0..1000).map(|n| format!("last-{n}")) {
            names.entry(group_of(&name, partitions)).or_insert(name);
        }
        let into = knobs.get("queue_in", 0) == 1;
        let last_series = if into { names.into_values().collect() } else { Vec::new() };
        Queues { into, out: knobs.get("queue_out", 0) == 1, last_series }
    }
}

impl MetricStream {
    /// Puts a message into the stream: a batch, a metric, or nonsense.
    pub(super) async fn put(&self, client: u32, rng: &mut Rng) {
        let next = || self.next_value.fetch_add(1, Ordering::Relaxed);
        let id = next().to_string();
        if rng.chance(0.1) {
            return self.put_message(client, &id, "nonsense", Vec::new(), 1).await;
        }
        let single = rng.chance(0.2);
        let mut metrics = Vec::new();
        for _ in 0..if single { 1 } else { rng.between(1, 40) } {
            let Some(series) = rng.pick(&self.series).cloned() else { return };
            metrics.push((series, next()));
        }
        let wrong = if !single && rng.chance(0.2) { rng.between(1, 3) } else { 0 };
        let batch = body_of(&metrics, wrong, None);
        let text = String::from_utf8_lossy(&batch);
        let one = text.strip_prefix(r#"{"metrics":["#).and_then(|rest| rest.strip_suffix("]}"));
        let body = one.filter(|_| single).unwrap_or(&text);
        self.put_message(client, &id, body, metrics, wrong).await;
    }

    async fn put_message(&self, client: u32, id: &str, body: &str, metrics: Vec<(String, u64)>, wrong: u64) {
        let accepted = metrics.len() as u64;
        let call = self.recorder.call(client, Call::Put { metrics, wrong });
        let outcome = match broker::Client::new(broker::HOST).put(id, body).await {
            Ok(()) => Outcome::Ok(Answer::Batch { accepted, rejected: wrong }),
            Err(error) => Outcome::Unknown(error.to_string()),
        };
        self.recorder.answer(call, outcome);
    }

    /// Puts one metric into each partition, for certain.
    pub(super) async fn put_last(&self, client: u32, deadline: Instant) {
        let value = || self.next_value.fetch_add(1, Ordering::Relaxed);
        let metrics: Vec<_> = self.queues.last_series.iter().map(|name| (name.clone(), value())).collect();
        let body = body_of(&metrics, 0, None);
        let body = String::from_utf8_lossy(&body).into_owned();
        let call = self.recorder.call(client, Call::Put { metrics, wrong: 0 });
        let client = broker::Client::new(broker::HOST);
        let mut outcome = Outcome::Unknown("never".into());
        while Instant::now() < deadline {
            if client.put("last", &body).await.is_ok() {
                outcome = Outcome::Ok(Answer::Batch { accepted: 0, rejected: 0 });
                break;
            }
            time::sleep(Duration::from_millis(100)).await;
        }
        self.recorder.answer(call, outcome);
    }
}

/// What was published so far; `None` if the broker does not answer.
pub(super) async fn published() -> Option<Vec<Sent>> {
    let kept = broker::Client::new(broker::HOST).all().await.ok()?;
    Some(kept.iter().map(sent).collect())
}

/// A body that cannot be read has no points, which is judged.
fn sent(kept: &Kept) -> Sent {
    let metrics = serde_json::from_str::<Body>(&kept.body).map_or_else(|_| Vec::new(), |body| body.metrics);
    // Values of a run are whole numbers far below 2^53.
    let points =
        metrics.into_iter().map(|metric| (metric.name, (metric.timestamp, metric.value as u64))).collect();
    Sent { partition: kept.partition, first: kept.first, count: kept.count, points }
}

/// True when the last message has come in, and everything stored has gone out.
pub(super) fn is_complete(queues: &Queues, found: &Final) -> bool {
    let came =
        queues.last_series.iter().all(|name| found.points.get(name).is_some_and(|all| !all.is_empty()));
    let stored: usize = found.points.values().map(Vec::len).sum();
    let out: usize = found.published.iter().flatten().map(|sent| sent.points.len()).sum();
    came && (!queues.out || out >= stored)
}

/// What is wrong with what was published.
pub(super) fn judge(found: &Final) -> Vec<Violation> {
    let Some(published) = &found.published else { return Vec::new() };
    let mut violations = Vec::new();
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    let mut order: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for Sent { partition, first, count, points } in published {
        let expected = next.insert(*partition, first + count).unwrap_or(0);
        if *first != expected {
            let judge = if *first < expected { Judge::ExactlyOnce } else { Judge::Durability };
            let text =
                format!("partition {partition}: a message begins at point {first}, and {expected} was next");
            violations.push(violation(judge, text));
        }
        if points.len() as u64 != *count {
            let text = format!("partition {partition}: a message of {count} points has {}", points.len());
            violations.push(violation(Judge::Conservation, text));
        }
        for (name, point) in points {
            order.entry(name).or_default().push(*point);
        }
    }
    let stored = stored_values(found);
    let out = order.iter().flat_map(|(name, values)| values.iter().map(|(_, value)| (*name, *value)));
    let out: std::collections::BTreeSet<(&str, u64)> = out.collect();
    for (name, value) in stored.difference(&out) {
        violations
            .push(violation(Judge::Durability, format!("{value} of {name} is stored and did not go out")));
    }
    for (name, value) in out.difference(&stored) {
        violations
            .push(violation(Judge::Durability, format!("{value} of {name} went out and is not stored")));
    }
    for (name, values) in order {
        let stored = in_order(found.points.get(name).map_or(&[], Vec::as_slice));
        let out = in_order(&values);
        let same = stored.iter().zip(&out).take_while(|(stored, out)| stored == out).count();
        if stored != out {
            let (stored, out) = (stored.get(same), out.get(same));
            let text = format!("{name} went out in another order: {out:?} where {stored:?} is stored");
            violations.push(violation(Judge::AppendOrder, text));
        }
    }
    violations.truncate(MAX_VIOLATIONS_PER_JUDGE);
    violations
}

/// Hosts (as [`body_of`] gives them), times and values, in the order in which a query shows them: each host for
/// itself, by time, and where that is the same, as they came.
fn in_order(points: &[(u64, u64)]) -> Vec<(u64, u64, u64)> {
    let mut points: Vec<_> = points.iter().map(|(at, value)| (value % 3, *at, *value)).collect();
    points.sort_by_key(|(host, at, _)| (*host, *at));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_law_has_its_breach() {
        let point = |value: u64| ("s".to_owned(), (0, value));
        let sent = |first, values: &[u64]| Sent {
            partition: 1,
            first,
            count: values.len() as u64,
            points: values.iter().map(|value| point(*value)).collect(),
        };
        let judges = |published: Vec<Sent>| {
            let points = [("s".to_owned(), vec![(0, 3), (0, 9), (0, 6)])].into();
            let found = Final { points, published: Some(published), ..Final::default() };
            judge(&found).into_iter().map(|violation| violation.judge).collect::<Vec<_>>()
        };
        let (once, order) = (Judge::ExactlyOnce, Judge::AppendOrder);
        assert_eq!(judges(vec![sent(0, &[3, 9]), sent(2, &[6])]), []);
        assert_eq!(judges(vec![sent(0, &[3, 9])]), [Judge::Durability, order], "one is missing");
        assert_eq!(judges(vec![sent(0, &[3, 9, 6]), sent(2, &[6])]), [once, order]);
        assert_eq!(judges(vec![sent(0, &[3, 6, 9])]), [order]);
        assert_eq!(judges(vec![sent(1, &[3, 9, 6])]), [Judge::Durability], "a gap");
        let mut short = sent(0, &[3, 9, 6]);
        short.count = 4;
        assert_eq!(judges(vec![short]), [Judge::Conservation]);
        assert_eq!(judges(vec![sent(0, &[3, 9, 6, 1])]), [Judge::Durability, order], "not stored");
    }
}
