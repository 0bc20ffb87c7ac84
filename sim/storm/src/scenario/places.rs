//! Names and addresses of a run's machines.

use crate::broker;
use replica::NodeId;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// `control`, `worker-1`, …
pub fn machine_names(workers: u64) -> Vec<String> {
    std::iter::once("control".to_owned()).chain((1..=workers).map(|n| format!("worker-{n}"))).collect()
}

/// The broker's machine, if there is one: it is hit as a client is.
pub(super) fn broker_name(knobs: &BTreeMap<String, u64>) -> Option<String> {
    let wanted = ["queue_in", "queue_out"].iter().any(|queue| knobs.get(*queue) == Some(&1));
    wanted.then(|| broker::MACHINE.to_owned())
}

/// `client-1`, …
pub fn client_names(clients: u64) -> Vec<String> {
    (1..=clients).map(|n| format!("client-{n}")).collect()
}

/// Token of simulated clusters.
pub const TOKEN: &str = "simulated-cluster-token";

/// Address of a node's machine.
pub fn ip_of(id: NodeId) -> IpAddr {
    // A scenario has ten nodes at most.
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, id as u8))
}

/// API address of a node.
pub fn api_of(id: NodeId) -> String {
    format!("{}:8080", ip_of(id))
}

/// Address of a client's machine.
pub fn client_ip(client: u32) -> IpAddr {
    // A scenario has sixteen clients at most.
    IpAddr::V4(Ipv4Addr::new(10, 0, 1, client as u8 + 1))
}
