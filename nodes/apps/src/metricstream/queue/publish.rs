//! From the partitions into a stream.
//!
//! Each partition has a subject, and the subject's newest message says which points are out: its numbers of
//! the first point and how many there are. The next message says on which one it follows, and the broker
//! refuses it if another has come in between. So no point is out twice, and none is left out.
//!
//! How far it is is also noted in the partition itself, now and then: for streams that forget, where a quiet
//! partition may have no message left.

use super::super::command::Part;
use super::super::follow;
use super::super::query::Points;
use super::gauges::Gauges;
use super::{
    Broker, Message, PAUSE, PAUSE_AFTER_ERROR, Published, QueueOut, Told, Trouble, bring, is_on_duty, taken,
};
use crate::cluster::{Cluster, QUEUES};
use bytes::Bytes;
use futures::future::join_all;
use replica::GroupId;
use rt::time::{self, Instant};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Points in a message at most.
const MAX_POINTS: usize = 2000;
/// Bytes after which a message takes no further point.
const MAX_BYTES: usize = 256 << 10;
/// Pause between two notes in a partition.
const NOTE_EVERY: Duration = Duration::from_secs(10);
const WHAT: &str = "MetricStream's queue_out";

/// Publishes for as long as the node runs.
pub(super) async fn run(cluster: Cluster, broker: Arc<dyn Broker>, queue: QueueOut) {
    let source = format!("out:{}:{}", queue.stream, queue.subject);
    let publisher = Publisher { gauges: cluster.own(), cluster, broker, queue, source };
    let mut told = Told::default();
    loop {
        if is_on_duty(&publisher.cluster).await
            && let Err(trouble) = publisher.follow(&mut told).await
        {
            told.tell(WHAT, &trouble);
        }
        publisher.gauges.lag_out.store(0, Ordering::Relaxed);
        time::sleep(PAUSE_AFTER_ERROR).await;
    }
}

/// Where a partition's subject ends.
#[derive(Clone, Copy, Debug)]
struct End {
    /// Number of the newest message; 0 if there is none.
    seq: u64,
    /// Number of the next point.
    next: u64,
    /// What the partition itself says, and since when.
    noted: (u64, Instant),
}

struct Publisher {
    cluster: Cluster,
    broker: Arc<dyn Broker>,
    queue: QueueOut,
    source: String,
    gauges: Arc<Gauges>,
}

impl Publisher {
    /// Publishes until something goes wrong.
    async fn follow(&self, told: &mut Told) -> Result<(), Trouble> {
        // Nodes of an older version would not understand the notes.
        self.cluster.check_format(QUEUES).await?;
        self.broker.prepare(&self.queue.stream, &format!("{}.*", self.queue.subject)).await?;
        let mut ends: BTreeMap<GroupId, End> = BTreeMap::new();
        loop {
            let groups = self.cluster.partitions();
            let steps = groups.into_iter().map(|group| self.step(group, ends.get(&group).copied()));
            let (mut lag, mut idle) = (0, true);
            for step in join_all(steps).await {
                let (group, end, points) = step?;
                let before = ends.insert(group, end);
                idle &= before.is_some_and(|before| before.next == end.next && before.seq == end.seq);
                lag += points.saturating_sub(end.next);
            }
            told.gone(WHAT);
            self.gauges.lag_out.store(lag, Ordering::Relaxed);
            if idle {
                time::sleep(PAUSE).await;
            }
            if !is_on_duty(&self.cluster).await {
                return Ok(());
            }
        }
    }

    fn subject(&self, group: GroupId) -> String {
        format!("{}.{group}", self.queue.subject)
    }

    /// Publishes a partition's next page; gives where its subject ends then, and how many points there are.
    async fn step(&self, group: GroupId, end: Option<End>) -> Result<(GroupId, End, u64), Trouble> {
        let mut end = match end {
            Some(end) => end,
            None => self.end(group).await?,
        };
        let page = follow::page(&self.cluster, group, end.next).await?;
        for batch in batches(&page) {
            let message = Message {
                stream: self.queue.stream.clone(),
                subject: self.subject(group),
                id: format!("{}-{group}-{}", self.queue.subject, batch.first),
                partition: group,
                first: batch.first,
                count: batch.count,
                after: end.seq,
                body: batch.body,
            };
            match self.broker.publish(&message).await? {
                Published::At(seq) => (end.seq, end.next) = (seq, batch.first + batch.count),
                Published::WrongLast => {
                    rt::reachable!("metricstream: somebody else has published");
                    end = self.end(group).await?;
                    return Ok((group, end, page.end));
                }
            }
            self.gauges.points_out.fetch_add(batch.count, Ordering::Relaxed);
        }
        self.note(group, &mut end).await?;
        Ok((group, end, page.end))
    }

    async fn end(&self, group: GroupId) -> Result<End, Trouble> {
        let subject = self.subject(group);
        let noted = taken(&self.cluster, group, &self.source).await?;
        let last = self.broker.last(&self.queue.stream, &subject).await?;
        let (seq, next) = match last {
            Some(last) => (last.seq, last.next.ok_or(Trouble::Foreign(subject))?),
            // Never was one, or the stream has forgotten it.
            None => (0, noted),
        };
        Ok(End { seq, next, noted: (noted, Instant::now()) })
    }

    async fn note(&self, group: GroupId, end: &mut End) -> Result<(), Trouble> {
        let (noted, since) = end.noted;
        if end.next > noted && since.elapsed() >= NOTE_EVERY {
            let at = bring(&self.cluster, group, &self.source, (noted, end.next), Part::default()).await?;
            end.noted = (at, Instant::now());
        }
        Ok(())
    }
}

/// A message's points.
struct Batch {
    first: u64,
    count: u64,
    body: Bytes,
}

/// A page's points, cut where a message is full and where points were forgotten.
fn batches(page: &Points) -> Vec<Batch> {
    let series: BTreeMap<u32, _> =
        page.series.iter().map(|(number, definition)| (*number, definition)).collect();
    let (mut batches, mut body) = (Vec::new(), String::new());
    let (mut first, mut count) = (0, 0);
    let mut close = |body: &mut String, first, count| {
        if count > 0 {
            body.push_str("]}");
            batches.push(Batch { first, count, body: Bytes::from(std::mem::take(body)) });
        }
    };
    for (number, of, at_ms, value) in &page.points {
        // A page names the series of its points.
        let Some(definition) = series.get(of) else { continue };
        if *number != first + count || count as usize >= MAX_POINTS || body.len() >= MAX_BYTES {
            close(&mut body, first, count);
            (first, count) = (*number, 0);
        }
        body.push_str(if count == 0 { "{\"metrics\":[" } else { "," });
        follow::write_open(&mut body, definition, value, *at_ms);
        body.push('}');
        count += 1;
    }
    close(&mut body, first, count);
    batches
}

#[cfg(test)]
mod tests {
    use super::super::super::command::{Definition, Kind};
    use super::super::super::ingest::sort;
    use super::super::super::query::Value;
    use super::*;

    #[test]
    fn messages_are_cut_at_gaps_and_sizes_and_can_be_taken_in_again() {
        let series = |kind, name: &str| Definition {
            kind,
            name: name.into(),
            tags: vec![("k\"".into(), "v\n".into())],
        };
        let numbers = (5..3005).chain(4000..4010);
        let point = |number: u64| match number % 2 {
            0 => (number, 0, number, Value::Number(number as f64 + 0.1)),
            _ => (number, 1, number, Value::Member("m\\".into())),
        };
        let series = vec![(0, series(Kind::Counter, "c")), (1, series(Kind::Set, "ü"))];
        let page = Points { series, points: numbers.map(point).collect(), ..Points::default() };
        let found = batches(&page);
        let shape: Vec<_> = found.iter().map(|batch| (batch.first, batch.count)).collect();
        assert_eq!(shape, [(5, 2000), (2005, 1000), (4000, 10)]);
        for batch in &found {
            // Tags may hold no control characters: what a route let in has none.
            let text = String::from_utf8(batch.body.to_vec()).unwrap().replace("\\n", "");
            let sorted = sort(text.as_bytes(), 1).unwrap();
            assert_eq!((sorted.count_of(1), sorted.rejected), (batch.count, 0), "{:?}", sorted.errors);
        }
        assert!(batches(&Points::default()).is_empty());
    }
}
