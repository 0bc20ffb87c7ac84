//! Placement coming to a node: proposed once by the meta leader, then picked up by everybody.

use crate::options::NodeOptions;
use apps::META_GROUP;
use apps::cluster::Cluster;
use apps::meta::{Command, Placement, Query, placement};
use replica::frame::Consistency;
use replica::start::GroupCreator;
use replica::{Envelope, Gateway};
use rt::time::{self, Instant};

/// Runs until the placement is known here and this node's replicas are created.
pub(crate) async fn run(options: NodeOptions, gateway: Gateway, groups: GroupCreator, cluster: Cluster) {
    let pause = options.tuning.tick * 2;
    loop {
        if let Some(placement) = known(&gateway, &options).await {
            for spec in placement.partitions.iter().filter(|spec| spec.contains(options.id)) {
                groups.create(spec.clone()).await;
            }
            cluster.place(placement);
            return;
        }
        propose_if_leading(&options, &gateway, &cluster).await;
        time::sleep(pause).await;
    }
}

/// What this node's own replica of the meta group knows. It never changes, so stale is as good as new.
async fn known(gateway: &Gateway, options: &NodeOptions) -> Option<Placement> {
    let deadline = Instant::now() + options.request_deadline;
    let read = gateway.read(META_GROUP, Query::Placement.encode(), Consistency::Stale, deadline);
    placement(&read.await.ok()?.answer)
}

async fn propose_if_leading(options: &NodeOptions, gateway: &Gateway, cluster: &Cluster) {
    let status = cluster.status().get().await;
    if !status.groups.iter().any(|group| group.group == META_GROUP && group.leads) {
        return;
    }
    let payload = Command::Place(options.topology().placement(options.partitions)).encode();
    let deadline = Instant::now() + options.request_deadline;
    // Whatever becomes of it: the first placement in the log stands, and the next look will tell.
    let _ = gateway.write(META_GROUP, Envelope { key: None, payload }, deadline).await;
}
