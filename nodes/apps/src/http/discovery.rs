//! Who can be asked: the members' API addresses with their health, in the form that Prometheus reads.
//!
//! The node that is asked knows the members from its own replica of their table, so that it can tell while
//! nobody leads; it may be a moment behind. Health is seen, not believed: every member's `/readyz` is asked,
//! all at once and for a short time, and what they said is kept for a second, however many ask.

use super::error::ApiError;
use super::health;
use crate::cluster::Cluster;
use crate::meta::{Member, MemberRole, MemberState, Table};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use client::discovery::{LABEL, TargetGroup};
use replica::NodeId;
use rt::task;
use rt::time::Instant;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// Longest wait for a member.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(1);
/// Members that are asked at the same time.
const AT_ONCE: usize = 32;

/// What a member's check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// It can work.
    Ready,
    /// It answers, and says that it cannot.
    NotReady,
    /// No answer in time.
    Unreachable,
}

impl Health {
    fn name(self) -> &'static str {
        match self {
            Health::Ready => "ready",
            Health::NotReady => "not-ready",
            Health::Unreachable => "unreachable",
        }
    }
}

/// A round of checks.
struct Round {
    at: Instant,
    /// The table that it was made for.
    version: u64,
    found: Arc<BTreeMap<NodeId, Health>>,
}

/// A node's checks: whoever comes while one round is under way waits for its end.
struct Checks {
    http: rt::http::Client,
    last: Mutex<Option<Round>>,
}

impl Default for Checks {
    fn default() -> Self {
        let http = rt::http::Client::new(rt::http::ClientOptions::default());
        Checks { http, last: Mutex::default() }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    #[default]
    Ready,
    All,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    #[serde(default)]
    health: Wanted,
    region: Option<String>,
}

/// `GET /discovery`: a list of targets, ready ones only unless `health=all`; with `region`, those in it.
pub(super) async fn discovery(
    State(cluster): State<Cluster>,
    options: Result<Query<Options>, QueryRejection>,
) -> Result<Json<Vec<TargetGroup>>, ApiError> {
    let Query(options) = options.map_err(|error| {
        let allowed = "allowed are health=ready|all, region=NAME";
        ApiError::invalid("invalid-query", format!("{}; {allowed}", error.body_text()))
    })?;
    let view = cluster.view().ok_or(ApiError::NotReady)?;
    let table = view.table.as_ref().ok_or(ApiError::NotReady)?;
    let found = look(&cluster, table).await;
    let health = |node: &NodeId| found.get(node).copied().unwrap_or(Health::Unreachable);
    let here =
        |node: &NodeId| options.region.as_deref().is_none_or(|name| table.regions.of(*node) == Some(name));
    let members = reachable(table).filter(|(node, _)| here(node));
    let members = members.filter(|(node, _)| options.health == Wanted::All || health(node) == Health::Ready);
    Ok(Json(members.map(|(node, member)| target(*node, member, table, health(node))).collect()))
}

/// Members that have said where their API is.
fn reachable(table: &Table) -> impl Iterator<Item = (&NodeId, &Member)> {
    table.members.iter().filter(|(_, member)| !member.api.is_empty())
}

fn target(node: NodeId, member: &Member, table: &Table, health: Health) -> TargetGroup {
    let role = match member.role {
        MemberRole::Control => "control",
        MemberRole::Worker => "worker",
    };
    let state = match member.state {
        MemberState::Expected => "expected",
        MemberState::Joining => "joining",
        MemberState::Active => "active",
        MemberState::Leaving => "leaving",
    };
    let (id, region) = (node.to_string(), table.regions.of(node));
    let known = [("node", id.as_str()), ("name", &member.name), ("role", role), ("state", state)];
    let known = known.into_iter().chain([("health", health.name())]);
    // A label that is missing is an empty one to Prometheus.
    let known = known.chain(region.map(|region| ("region", region)));
    let labels = known.map(|(name, value)| (format!("{LABEL}{name}"), value.to_owned())).collect();
    TargetGroup { targets: vec![member.api.clone()], labels }
}

/// How all members are: what was found in the last second, or else is found now.
async fn look(cluster: &Cluster, table: &Table) -> Arc<BTreeMap<NodeId, Health>> {
    let checks = cluster.own::<Checks>();
    let mut last = checks.last.lock().await;
    let fresh = |round: &&Round| round.version == table.version && round.at.elapsed() < KEPT;
    if let Some(round) = last.as_ref().filter(fresh) {
        return round.found.clone();
    }
    let own = cluster.node();
    let (slots, mut asked) = (Arc::new(Semaphore::new(AT_ONCE)), Vec::new());
    for (node, member) in reachable(table).filter(|(node, _)| **node != own) {
        let (http, api, slots) = (checks.http.clone(), member.api.clone(), slots.clone());
        let checked = task::spawn(async move {
            let _slot = slots.acquire().await;
            check(&http, &api).await
        });
        asked.push((*node, checked));
    }
    // It need not ask itself: it may serve one request at a time.
    let here = if health::is_ready(cluster).await { Health::Ready } else { Health::NotReady };
    let mut found = BTreeMap::from([(own, here)]);
    for (node, checked) in asked {
        found.insert(node, checked.await.unwrap_or(Health::Unreachable));
    }
    let found = Arc::new(found);
    *last = Some(Round { at: Instant::now(), version: table.version, found: found.clone() });
    found
}

/// Anybody may ask a node whether it is ready: the token stays here.
async fn check(http: &rt::http::Client, api: &str) -> Health {
    let Ok(request) = http::Request::get("/readyz").body(bytes::Bytes::new()) else {
        return Health::Unreachable;
    };
    match http.send(api, request, PATIENCE).await {
        Ok(answer) if answer.status().is_success() => Health::Ready,
        Ok(_) => Health::NotReady,
        Err(_) => Health::Unreachable,
    }
}
