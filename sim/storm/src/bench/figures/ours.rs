//! Our cluster: a control node and two workers.

use super::cluster::{Cluster, Kind, Member, free_address};
use super::failover::KEY;
use super::http::Http;
use super::place::Place;
use anyhow::Context;
use bytes::Bytes;
use serde_json::Value;

/// Partitions of the cluster.
const PARTITIONS: u32 = 4;

/// Starts one in a folder of its own.
pub(super) fn start(place: &Place) -> anyhow::Result<Cluster> {
    let folder = place.fresh_folder("ours")?;
    let peers = (1..=3).map(|id| Ok(format!("{id}={}", free_address()?)));
    let peers = peers.collect::<anyhow::Result<Vec<_>>>()?.join(",");
    let mut members = Vec::new();
    for id in 1..=3 {
        let role = if id == 1 { "control" } else { "worker" };
        let api = free_address()?;
        let data = folder.join(id.to_string()).display().to_string();
        let (id, partitions) = (id.to_string(), PARTITIONS.to_string());
        let arguments = [
            "run",
            "--role",
            role,
            "--id",
            &id,
            "--listen",
            &api,
            "--data",
            &data,
            "--peers",
            &peers,
            "--partitions",
            &partitions,
        ];
        members.push(Member {
            program: place.node.clone(),
            arguments: arguments.map(str::to_owned).to_vec(),
            log: folder.join(format!("{id}.log")),
            api,
            child: None,
        });
    }
    let kind = Kind {
        name: "our cluster",
        ready: "/readyz",
        write: ("/metrics", Bytes::from(format!("{{\"metric_name\":\"{KEY}\",\"value\":1.5}}"))),
        leads,
        // The workers; the control node leads no partition while they live.
        serving: |_| vec![1, 2],
    };
    Cluster::start(kind, members, &place.http)
}

fn leads(http: &Http, api: &str) -> anyhow::Result<bool> {
    let answer: Value = serde_json::from_slice(&http.get(api, "/replicas")?)?;
    let wanted = apps::partition::group_of(KEY, PARTITIONS);
    let wanted = serde_json::to_value(wanted)?;
    let groups = answer["groups"].as_array().context("no groups in /replicas")?;
    Ok(groups.iter().any(|group| group["group"] == wanted && group["leads"] == true))
}
