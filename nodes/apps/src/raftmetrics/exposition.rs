//! Recorded metrics as Prometheus histograms, gathered from all partitions.

use super::query::{Exported, Query, decode};
use crate::cluster::Cluster;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use replica::GroupId;
use replica::frame::Consistency;
use std::fmt;

/// Series asked for at a time.
const PAGE: u64 = 500;

/// Whether a partition answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionUp {
    /// Its group.
    pub group: GroupId,
    /// It did.
    pub up: bool,
}

/// What all partitions answered.
#[derive(Debug, Default)]
pub struct Gathered {
    /// All series of the partitions that answered.
    pub series: Vec<Exported>,
    /// Which did: a missing one is said, not hidden.
    pub partitions: Vec<PartitionUp>,
}

/// Asks all partitions for their series; a stale answer is good enough for a scrape.
pub async fn gather(cluster: &Cluster) -> Gathered {
    let mut gathered = Gathered::default();
    let Some(placement) = cluster.placement() else { return gathered };
    for spec in &placement.partitions {
        let series = gather_partition(cluster, spec.group).await;
        gathered.partitions.push(PartitionUp { group: spec.group, up: series.is_some() });
        gathered.series.extend(series.unwrap_or_default());
    }
    gathered
}

async fn gather_partition(cluster: &Cluster, group: GroupId) -> Option<Vec<Exported>> {
    let mut all: Vec<Exported> = Vec::new();
    loop {
        let after = all.last().map(|series| series.name.clone());
        let query = Query::Export { after, limit: PAGE }.encode();
        let answer = cluster.read(group, query, Consistency::Stale).await.ok()?;
        let page: Vec<Exported> = decode(&answer.answer)?;
        let last = (page.len() as u64) < PAGE;
        all.extend(page);
        if last {
            return Some(all);
        }
    }
}

/// Encodes series as one histogram family.
#[derive(Debug)]
pub struct SeriesCollector(pub Vec<Exported>);

impl Collector for SeriesCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Values recorded under each metric name";
        let mut family = encoder.encode_descriptor("raftmetrics_value", help, None, MetricType::Histogram)?;
        for series in &self.0 {
            let labels = [("metric_name", series.name.as_str())];
            SeriesHistogram(series).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

struct SeriesHistogram<'a>(&'a Exported);

impl EncodeMetric for SeriesHistogram<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let Exported { count, sum, buckets, .. } = self.0;
        let mut buckets = buckets.clone();
        // The format wants a last bucket without bound. The largest numbers of all are in one already.
        if buckets.last().is_none_or(|(bound, _)| bound.is_finite()) {
            buckets.push((f64::INFINITY, 0));
        }
        encoder.encode_histogram::<prometheus_client::encoding::NoLabelSet>(*sum, *count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
