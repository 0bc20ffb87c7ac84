//! Metrics a second in batches of 1,000, all of them on the disks of a quorum when they are acknowledged.

use super::FiguresOptions;
use super::cluster::Cluster;
use super::place::Place;
use super::replicated::{self, Work};
use super::table::{Bar, Row};
use super::wrk::Round;
use anyhow::Context;
use serde_json::Value;

const BAR: f64 = 200_000.0;
const BATCH: u64 = 1000;

pub(super) fn measure(place: &Place, options: &FiguresOptions) -> anyhow::Result<Row> {
    let work = Work {
        name: "ingest",
        connections: 16,
        each: BATCH as f64,
        ours: include_str!("scripts/ingest.lua"),
        etcd: None,
        fill: None,
        check,
    };
    let found = replicated::measure(place, options, &work)?;
    Ok(Row {
        name: "batch ingest, by 1,000",
        unit: "metrics/s",
        ours: found.ours,
        bar: Bar::AtLeast(BAR),
        etcd: found.etcd,
        peer: "VictoriaMetrics 1.79, one node, no replica, no sync a write, on 2 cores: 3.0 M/s; \
               its cluster: about 33,000/s a core",
        spoiled: found.spoiled,
    })
}

/// The cluster's own count must hold what was acknowledged.
fn check(place: &Place, cluster: &Cluster, found: Round) -> anyhow::Result<()> {
    let answer = place.http.get(&cluster.members[0].api, "/stats")?;
    let counts: Value = serde_json::from_slice(&answer)?;
    let received = counts["metrics_received"].as_u64().context("no metrics_received in /stats")?;
    anyhow::ensure!(
        received >= found.good * BATCH,
        "{} metrics were acknowledged, and the cluster counts {received}",
        found.good * BATCH
    );
    Ok(())
}
