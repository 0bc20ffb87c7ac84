//! Recorded metrics as Prometheus histograms, gathered from all partitions.

use super::query::{Exported, Query, decode};
use crate::cluster::Cluster;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use replica::GroupId;
use replica::frame::Consistency;
use std::fmt;

/// Series asked for at a time.
const PAGE: u64 = 500;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabel {
    group: u64,
}

/// Adds one histogram for each metric, and which partitions they come from.
pub async fn measure(cluster: &Cluster, registry: &mut Registry) {
    let gathered = gather(cluster).await;
    let up = Family::<GroupLabel, Gauge>::default();
    for PartitionUp { group, up: is_up } in &gathered.partitions {
        up.get_or_create(&GroupLabel { group: *group }).set(i64::from(*is_up));
    }
    registry.register("raftmetrics_partition_up", "1 if the partition's metrics are in this answer", up);
    registry.register_collector(Box::new(SeriesCollector(gathered.series)));
}

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
