//! Raft3D's measurements, by the names that its dashboards know.

use super::Counts;
use crate::META_GROUP;
use crate::cluster::Cluster;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Adds them.
pub async fn measure(cluster: &Cluster, registry: &mut Registry) {
    let status = cluster.status().await;
    let leads = status.groups.iter().any(|group| group.group == META_GROUP && group.leads);
    let is_leader = Gauge::<i64>::default();
    is_leader.set(i64::from(leads));
    let counts = cluster.own::<Counts>();
    registry.register("raft3d_is_leader", "1 if this node leads", is_leader);
    // The format adds `_total`.
    registry.register("raft3d_requests", "Requests to the routes of Raft3D", counts.requests.clone());
    registry.register("raft3d_snapshots", "Readable snapshots written", counts.snapshots.clone());
}
