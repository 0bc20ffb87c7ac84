//! What a node measures of its queues.

use super::super::settings::Settings;
use crate::cluster::Cluster;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the node's start, and how far behind it is where it is on duty.
#[derive(Default)]
pub(super) struct Gauges {
    pub(super) messages_in: AtomicU64,
    pub(super) lag_in: AtomicU64,
    pub(super) points_out: AtomicU64,
    pub(super) lag_out: AtomicU64,
}

/// Adds them to a scrape, as far as there are queues.
pub(in super::super) fn measure(cluster: &Cluster, registry: &mut Registry) {
    let Ok(settings) = Settings::of(cluster) else { return };
    let gauges = cluster.own::<Gauges>();
    let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
    if settings.queue_in.is_some() {
        let help = "Messages that this node has brought into all partitions";
        registry.register(
            "metricstream_queue_in_messages",
            help,
            ConstCounter::new(read(&gauges.messages_in)),
        );
        let help =
            "Messages of the stream that some partition does not have; 0 on nodes that are not on duty";
        registry.register("metricstream_queue_in_lag_messages", help, gauge(read(&gauges.lag_in)));
    }
    if settings.queue_out.is_some() {
        let help = "Points that this node has published";
        registry.register("metricstream_queue_out_points", help, ConstCounter::new(read(&gauges.points_out)));
        let help = "Points that are not published yet; 0 on nodes that are not on duty";
        registry.register("metricstream_queue_out_lag_points", help, gauge(read(&gauges.lag_out)));
    }
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}
