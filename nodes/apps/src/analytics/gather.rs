//! All partitions asked at once, and all workers whether they are there, with one deadline for both.

use super::APP;
use super::query::{Piece, Query};
use crate::cluster::Cluster;
use crate::column_store::settings::Settings;
use crate::http::error::ApiError;
use crate::meta::members::{MemberRole, MemberState};
use bytes::Bytes;
use client::analytics::Analytics;
use engine::{Filter, Partial};
use futures::future::{join, join_all};
use http::Request;
use replica::frame::Consistency;
use replica::{GroupId, NodeId};
use rt::time::{self, Instant};
use std::time::Duration;

/// Pause between two looks for an address.
const LOOK: Duration = Duration::from_millis(20);

/// What the cluster knows of the wanted rows, as far as it can be heard of in time.
///
/// # Errors
/// [`ApiError`] if nothing is known of the cluster yet.
pub async fn gather(cluster: &Cluster, filter: &Filter) -> Result<Analytics, ApiError> {
    let deadline = Settings::of(cluster).deadline();
    let groups = cluster.partitions();
    if groups.is_empty() {
        return Err(ApiError::NotReady);
    }
    let asked = groups.into_iter().map(|group| time::timeout(deadline, partition(cluster, group, filter)));
    let (partials, (total_nodes, responding_nodes)) = join(join_all(asked), workers(cluster, deadline)).await;
    let (mut all, mut is_partial) = (Partial::default(), false);
    for partial in partials {
        match partial {
            Ok(Ok(partial)) => all.merge(&partial),
            Ok(Err(_)) | Err(_) => is_partial = true,
        }
    }
    rt::sometimes!(is_partial, "analytics: an average lacks a partition");
    Ok(Analytics { average: all.average(), is_partial, total_nodes, responding_nodes })
}

/// What a partition's rows come to: fresh, and one picture although it comes in pieces.
async fn partition(cluster: &Cluster, group: GroupId, filter: &Filter) -> Result<Partial, ApiError> {
    #[cfg(feature = "duckdb")]
    if let Some(store) = crate::column_store::store::of(cluster) {
        // Half of the time is left to the columns, which always answer.
        let patience = Settings::of(cluster).deadline() / 2;
        if let Some(partial) = super::feed::partial(&store, cluster, group, filter, patience).await {
            return Ok(partial);
        }
    }
    let (mut all, mut first, mut end) = (Partial::default(), 0, None);
    loop {
        let query = Query::Partial { filter: filter.clone(), first, end };
        let (piece, _): (Piece, u64) = cluster.query(&APP, group, &query, Consistency::Linearizable).await?;
        all.merge(&piece.partial().ok_or(ApiError::Internal)?);
        let Some(next) = piece.next else { return Ok(all) };
        (first, end) = (next, Some(piece.end));
    }
}

/// How many workers there are, and how many of them answer in time.
async fn workers(cluster: &Cluster, deadline: Duration) -> (u32, u32) {
    let until = Instant::now() + deadline;
    let mut workers = known(cluster);
    // Of a cluster that has just begun nobody knows all addresses yet.
    while workers.iter().any(|(_, api)| api.is_empty()) && Instant::now() + LOOK < until {
        time::sleep(LOOK).await;
        workers = known(cluster);
    }
    let (own, http, left) = (cluster.node(), cluster.own::<Pings>(), until - Instant::now());
    let asked = workers.iter().map(|(node, api)| {
        let http = http.clone();
        async move { *node == own || http.is_alive(api, left).await }
    });
    let alive = join_all(asked).await.into_iter().filter(|alive| *alive).count();
    (count(workers.len()), count(alive))
}

/// The workers and their API addresses, as far as they are known here; empty where they are not.
fn known(cluster: &Cluster) -> Vec<(NodeId, String)> {
    let Some(view) = cluster.view() else { return Vec::new() };
    let Some(table) = &view.table else {
        let placement = view.placement().map_or(&[][..], |placement| &placement.workers);
        return placement.iter().map(|node| (*node, String::new())).collect();
    };
    let workers = table.members.iter().filter(|(_, member)| {
        // Who was configured belongs to it, there or not; who is still joining does not.
        member.role != MemberRole::Control && member.state != MemberState::Joining
    });
    workers.map(|(node, member)| (*node, member.api.clone())).collect()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Asks nodes whether they live, over kept connections.
struct Pings(rt::http::Client);

impl Default for Pings {
    fn default() -> Self {
        Pings(rt::http::Client::new(rt::http::ClientOptions::default()))
    }
}

impl Pings {
    async fn is_alive(&self, address: &str, deadline: Duration) -> bool {
        if address.is_empty() {
            return false;
        }
        let Ok(request) = Request::builder().uri("/livez").body(Bytes::new()) else { return false };
        let answer = self.0.send(address, request, deadline).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}
