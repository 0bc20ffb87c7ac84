//! The cluster's members over HTTP: who they are, who joins, who leaves.

use super::{Command, Join, MemberRole, MemberState, Query, Refused, Reply, Table, view};
use crate::META_GROUP;
use crate::cluster::Cluster;
use crate::http::body;
use crate::http::error::ApiError;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::StatusCode;
use replica::frame::Consistency;
use replica::{Envelope, GroupSpec, NodeId};
use serde::{Deserialize, Serialize};

/// The routes.
pub fn routes() -> Router<Cluster> {
    Router::new()
        .route("/cluster/members", get(list).post(join))
        .route("/cluster/members/{id}", delete(leave))
}

#[derive(Serialize)]
struct Listed {
    version: u64,
    members: Vec<ListedMember>,
    removed: Vec<NodeId>,
    groups: Vec<GroupSpec>,
}

#[derive(Serialize)]
struct ListedMember {
    id: NodeId,
    name: String,
    peer: String,
    api: String,
    role: MemberRole,
    state: MemberState,
    replaces: Option<NodeId>,
    region: Option<String>,
}

impl From<Table> for Listed {
    fn from(table: Table) -> Self {
        let groups = std::iter::once(table.meta).chain(table.placement.partitions).collect();
        let members = table.members.into_iter().map(|(id, member)| ListedMember {
            id,
            name: member.name,
            peer: member.peer,
            api: member.api,
            role: member.role,
            state: member.state,
            replaces: member.replaces,
            region: table.regions.of(id).map(str::to_owned),
        });
        let removed = table.removed.into_iter().collect();
        Listed { version: table.version, members: members.collect(), removed, groups }
    }
}

/// `GET /cluster/members`: everybody, and where each group should live. Linearizable.
async fn list(State(cluster): State<Cluster>) -> Result<Json<Listed>, ApiError> {
    let query = Query::View.encode();
    let answer = cluster.read(META_GROUP, query, Consistency::Linearizable).await?;
    let table = view(&answer.answer).ok_or(ApiError::Internal)?.table.ok_or(Refused::TooEarly)?;
    Ok(Json(table.into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Newcomer {
    name: String,
    peer: String,
    api: String,
    role: Option<MemberRole>,
    replaces: Option<NodeId>,
    token: u64,
}

#[derive(Serialize)]
struct Joined {
    id: NodeId,
}

fn check_address(field: &str, address: &str) -> Result<(), ApiError> {
    let sound = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    let text = || format!("`{field}` must be HOST:PORT with a port of 1 to 65535");
    if sound && address.len() <= 255 { Ok(()) } else { Err(ApiError::invalid("invalid-address", text())) }
}

/// `POST /cluster/members`: gives a new id. The same `token` always gets the same one.
async fn join(
    State(cluster): State<Cluster>,
    request: Request,
) -> Result<(StatusCode, Json<Joined>), ApiError> {
    let headers = request.headers().clone();
    let options = cluster.options();
    let body = body::read(request, options.max_body_bytes, options.deadline).await?;
    let newcomer: Newcomer = body::parse(&headers, &body)?;
    check_address("peer", &newcomer.peer)?;
    check_address("api", &newcomer.api)?;
    if newcomer.name.is_empty() || newcomer.name.len() > 64 || newcomer.token == 0 {
        let text = "`name` must be 1 to 64 bytes, and `token` any number but 0 that you keep for tries again";
        return Err(ApiError::invalid("invalid-value", text));
    }
    let Newcomer { name, peer, api, role, replaces, token } = newcomer;
    let role = role.unwrap_or(MemberRole::Worker);
    match change(&cluster, Command::Join(Join { token, name, peer, api, role, replaces })).await? {
        Reply::Joined { node, .. } => Ok((StatusCode::CREATED, Json(Joined { id: node }))),
        _ => Err(ApiError::Internal),
    }
}

/// `DELETE /cluster/members/{id}`: the member's places go to others, then it is removed.
async fn leave(
    State(cluster): State<Cluster>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = path.map_err(|error| ApiError::invalid("invalid-id", error.body_text()))?;
    let node = id.parse().map_err(|_| ApiError::invalid("invalid-id", "an id is a number, 1 or more"))?;
    change(&cluster, Command::Leave { node }).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn change(cluster: &Cluster, command: Command) -> Result<Reply, ApiError> {
    let envelope = Envelope { key: None, payload: command.encode() };
    let written = cluster.write(META_GROUP, envelope).await?;
    match Reply::decode(&written.answer).ok_or(ApiError::Internal)? {
        Reply::Refused(refused) => Err(refused.into()),
        reply => Ok(reply),
    }
}
