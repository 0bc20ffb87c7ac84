//! From a stream into the partitions.
//!
//! The next messages are read, cut into one command a partition, and each partition takes its own only if it
//! is exactly where the command says. A partition that is ahead of the others skips what it has. A message's
//! own counts (a batch, its mistakes) belong to one partition, which its number names.

use super::super::command::Counts;
use super::super::ingest::Sorted;
use super::gauges::Gauges;
use super::{Broker, PAUSE, PAUSE_AFTER_ERROR, Page, QueueIn, Told, Trouble, bring, is_on_duty, taken};
use crate::cluster::{Cluster, QUEUES};
use crate::http::error::ApiError;
use futures::future::{join_all, try_join_all};
use replica::GroupId;
use rt::time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Messages that are read at once.
const MAX_MESSAGES: usize = 256;
/// Bytes after which no further message is read at once.
const MAX_BYTES: usize = 1 << 20;
const WHAT: &str = "MetricStream's queue_in";

/// Numbers of the last messages by partition.
type Cursors = BTreeMap<GroupId, u64>;

/// Feeds for as long as the node runs.
pub(super) async fn run(cluster: Cluster, broker: Arc<dyn Broker>, queue: QueueIn) {
    let source = queue.source();
    let mut feeder = Feeder { gauges: cluster.own(), cluster, broker, queue, source, told: Told::default() };
    loop {
        if is_on_duty(&feeder.cluster).await
            && let Err(trouble) = feeder.follow().await
        {
            feeder.told.tell(WHAT, &trouble);
        }
        feeder.gauges.lag_in.store(0, Ordering::Relaxed);
        time::sleep(PAUSE_AFTER_ERROR).await;
    }
}

struct Feeder {
    cluster: Cluster,
    broker: Arc<dyn Broker>,
    queue: QueueIn,
    source: String,
    gauges: Arc<Gauges>,
    told: Told,
}

impl Feeder {
    /// Feeds until something goes wrong.
    async fn follow(&mut self) -> Result<(), Trouble> {
        // Nodes of an older version would not understand.
        self.cluster.check_format(QUEUES).await?;
        let mut cursors = self.cursors().await?;
        if cursors.is_empty() {
            return Err(ApiError::NotReady.into());
        }
        loop {
            let idle = !self.step(&mut cursors).await?;
            if idle {
                time::sleep(PAUSE).await;
            }
            if !is_on_duty(&self.cluster).await {
                return Ok(());
            }
        }
    }

    /// Brings in the next page; false if there is none.
    async fn step(&mut self, cursors: &mut Cursors) -> Result<bool, Trouble> {
        let stream = &self.queue.stream;
        let (from, most) = least_and_most(cursors);
        let page = self.broker.read(stream, from, MAX_MESSAGES, MAX_BYTES).await?;
        if page.last < most {
            return Err(Trouble::Shorter { stream: stream.clone(), last: page.last, at: most });
        }
        self.told.gone(WHAT);
        self.gauges.lag_in.store(page.last - from, Ordering::Relaxed);
        if page.covered <= from {
            return Ok(false);
        }
        if page.first > from + 1 {
            let count = page.first - from - 1;
            tracing::warn!(stream, count, "the stream has dropped messages before they were taken in");
        }
        self.bring_all(&page, cursors).await?;
        let (now, _) = least_and_most(cursors);
        let new = page.messages.iter().filter(|(seq, _)| (from + 1..=now).contains(seq));
        self.gauges.messages_in.fetch_add(new.count() as u64, Ordering::Relaxed);
        Ok(true)
    }

    async fn cursors(&self) -> Result<Cursors, Trouble> {
        let ask = |group| async move { Ok((group, taken(&self.cluster, group, &self.source).await?)) };
        let cursors = try_join_all(self.cluster.partitions().into_iter().map(ask)).await;
        Ok(cursors.map_err(Trouble::Cluster)?.into_iter().collect())
    }

    /// Brings every partition what it does not have of a page.
    async fn bring_all(&self, page: &Page, cursors: &mut Cursors) -> Result<(), Trouble> {
        let partitions = self.cluster.spread()?;
        let (sorted, counts) = sort(page, cursors, partitions);
        let behind = cursors.iter().filter(|(_, at)| **at < page.covered);
        rt::sometimes!(
            cursors.values().any(|at| *at != least_and_most(cursors).0),
            "metricstream: partitions have taken in a queue unequally far"
        );
        let brought = behind.map(|(group, at)| {
            let part = sorted.part(*group, 0, counts.get(group).copied().unwrap_or_default());
            let bringing = bring(&self.cluster, *group, &self.source, (*at, page.covered), part);
            async move { (*group, bringing.await) }
        });
        let mut trouble = None;
        for (group, end) in join_all(brought).await {
            match end {
                Ok(at) => {
                    rt::sometimes!(at != page.covered, "metricstream: somebody else has fed a queue");
                    cursors.insert(group, at);
                }
                Err(error) => trouble = Some(error),
            }
        }
        trouble.map_or(Ok(()), Err)
    }
}

fn least_and_most(cursors: &Cursors) -> (u64, u64) {
    let least = cursors.values().min().copied().unwrap_or(0);
    (least, cursors.values().max().copied().unwrap_or(0))
}

/// A page's metrics and counts by partition, without what a partition has already.
fn sort<'a>(page: &'a Page, cursors: &Cursors, partitions: u32) -> (Sorted<'a>, BTreeMap<GroupId, Counts>) {
    let mut sorted = Sorted::default();
    let mut counts: BTreeMap<GroupId, Counts> = BTreeMap::new();
    for (seq, body) in &page.messages {
        let wanted = |group: GroupId| cursors.get(&group).is_none_or(|at| at < seq);
        let (count, rejected) = (sorted.count, sorted.rejected);
        sorted.read_message(body, partitions, &wanted);
        let standing = 1 + seq % u64::from(partitions.max(1));
        if wanted(standing) {
            let (count, rejected) = (sorted.count - count, sorted.rejected - rejected);
            let batches = u64::from(count > rejected);
            let own = Counts { batches, invalid: rejected, ..Counts::default() };
            counts.entry(standing).or_default().add(&own);
        }
    }
    (sorted, counts)
}

#[cfg(test)]
mod tests {
    use super::super::super::command::Command;
    use super::*;
    use crate::partition::group_of;
    use bytes::Bytes;

    fn page(bodies: &[&str]) -> Page {
        let numbered = (1..).zip(bodies);
        let messages = numbered.map(|(seq, body)| (seq, Bytes::copy_from_slice(body.as_bytes()))).collect();
        Page { messages, covered: bodies.len() as u64, first: 1, last: bodies.len() as u64 }
    }

    #[test]
    fn messages_are_batches_or_metrics_and_count_once_whoever_has_them() {
        let page = page(&[
            r#"{"metrics":[{"name":"a","value":1},{"name":"b","value":2},{"name":"","value":3}]}"#,
            r#"{"name":"a","value":4,"tags":{"x":"y"}}"#,
            "no json",
            r#"{"metrics":[]}"#,
            r#"{"name":"b","value":"text"}"#,
            r#"{"name":"b","value":5,"more":1}"#,
        ]);
        let totals = |cursors: &Cursors| {
            let (sorted, counts) = sort(&page, cursors, 2);
            let mut all = Counts::default();
            counts.values().for_each(|counts| all.add(counts));
            ([1, 2].map(|group| sorted.count_of(group)), (all.batches, all.invalid))
        };
        let (a, b) = (group_of("a", 2), group_of("b", 2));
        let mut expected = [0; 2];
        expected[a as usize - 1] += 2;
        expected[b as usize - 1] += 1;
        let nothing: Cursors = [(1, 0), (2, 0)].into();
        assert_eq!(totals(&nothing), (expected, (2, 5)));
        let everything: Cursors = [(1, 6), (2, 6)].into();
        assert_eq!(totals(&everything), ([0, 0], (0, 0)));
        // Cut anywhere: a message's own counts go with the partition that it stands for.
        let own = [(1, 1, 1), (2, 1, 0), (3, 0, 1), (4, 0, 1), (5, 0, 1), (6, 0, 1)];
        for (first, second) in (0..49).map(|n| (n / 7, n % 7)) {
            let mut expected = (0, 0);
            for (seq, batches, invalid) in own {
                let at = if seq % 2 == 0 { first } else { second };
                if at < seq {
                    expected = (expected.0 + batches, expected.1 + invalid);
                }
            }
            assert_eq!(totals(&[(1, first), (2, second)].into()).1, expected, "{first} {second}");
        }
    }

    #[test]
    fn times_of_several_messages_stay_apart() {
        let page = page(&[
            r#"{"name":"a","value":1}"#,
            r#"{"name":"a","value":2,"timestamp":7}"#,
            r#"{"metrics":[{"name":"a","value":3}]}"#,
        ]);
        let (sorted, _) = sort(&page, &[(1, 0)].into(), 1);
        let part = sorted.part(1, 0, Counts::default());
        assert_eq!((&part.times[..], part.series.len()), (&[0, 8, 0][..], 1));
        let bytes =
            super::super::super::command::encode(&Command::Fed { source: "s", after: 0, upto: 3, part });
        assert!(postcard::from_bytes::<Command<'_>>(&bytes).is_ok());
    }
}
