//! Is the node alive, is it ready, how is it?

use super::error::ApiError;
use crate::cluster::Cluster;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use client::raftmetrics::Health;
use serde::Serialize;

/// `GET /livez`: the process answers.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the placement is known, and every replica here has a leader, keeps up, and belongs to its
/// group.
pub async fn readyz(State(cluster): State<Cluster>) -> Response {
    if let Some(reason) = cluster.reason() {
        return ApiError::Trouble(reason).into_response();
    }
    if is_ready(&cluster).await { "ready\n".into_response() } else { ApiError::NotReady.into_response() }
}

/// True if the node can work.
pub(super) async fn is_ready(cluster: &Cluster) -> bool {
    cluster.reason().is_none() && cluster.view().is_some() && {
        let status = cluster.status().await;
        !status.groups.is_empty()
            && status.groups.iter().all(|group| {
                // What was committed but not applied yet is a moment's lag, not a state.
                group.leader.is_some()
                    && group.members.contains(cluster.node())
                    && group.commit.saturating_sub(group.applied) < 1024
            })
    }
}

/// `GET /health`: RaftMetrics' form.
pub async fn health(State(cluster): State<Cluster>) -> Json<Health> {
    let message = format!("{} is operational", cluster.options().name);
    Json(Health { status: "healthy".into(), message })
}

#[derive(Serialize)]
struct Stats {
    node: u64,
    name: String,
    commits: u64,
    groups: Vec<GroupStats>,
}

#[derive(Serialize)]
struct GroupStats {
    group: u64,
    leader: Option<u64>,
    leads: bool,
    term: u64,
    commit_index: u64,
    applied_index: u64,
    first_index: u64,
    last_index: u64,
    idempotency_keys: usize,
    snapshots: u64,
    voters: Vec<u64>,
    learners: Vec<u64>,
    /// While two sets of voters decide together: the old one.
    voters_outgoing: Vec<u64>,
}

/// `GET /replicas`: the node's replicas as JSON.
pub async fn replicas(State(cluster): State<Cluster>) -> Response {
    let status = cluster.status().await;
    let groups = status.groups.into_iter().map(|group| GroupStats {
        group: group.group,
        leader: group.leader,
        leads: group.leads,
        term: group.term,
        commit_index: group.commit,
        applied_index: group.applied,
        first_index: group.first_index,
        last_index: group.last_index,
        idempotency_keys: group.dedup_keys,
        snapshots: group.snapshots,
        voters: group.members.voters,
        learners: group.members.learners,
        voters_outgoing: group.members.voters_outgoing,
    });
    let options = cluster.options();
    Json(Stats {
        node: cluster.node(),
        name: options.name.clone(),
        commits: status.commits,
        groups: groups.collect(),
    })
    .into_response()
}
