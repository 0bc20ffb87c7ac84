//! Who leads, and moving that to another node.
//!
//! Raft3D's leader is that of group 0. A leadership that was only handed over would soon go back to where
//! the group is at home; so what moves is the home, which is replicated, and the leadership follows it
//! (`nodes/replica/src/driver/step.rs`). When the home is down another node leads until it is back.

use crate::META_GROUP;
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use crate::meta::{self, Refused, Table};
use client::raft3d::Leadership;
use http::StatusCode;
use replica::driver::GroupStatus;
use replica::{Envelope, NodeId};
use rt::time::{self, Instant};
use std::time::Duration;

/// Pause between two looks at who leads.
const PAUSE: Duration = Duration::from_millis(20);

/// Group 0 as this node sees it.
pub(super) async fn group(cluster: &Cluster) -> Option<GroupStatus> {
    cluster.status().await.groups.into_iter().find(|group| group.group == META_GROUP)
}

/// Who leads, if that is known here.
pub(super) fn leadership(cluster: &Cluster, group: &GroupStatus) -> Option<Leadership> {
    let (leader, term) = (group.leader?, group.term);
    let member = cluster.view()?.table.as_ref()?.members.get(&leader).cloned();
    let (name, api) = member.map(|member| (member.name, member.api)).unwrap_or_default();
    Some(Leadership { leader, name, api, term })
}

fn table(cluster: &Cluster) -> Result<Table, ApiError> {
    cluster.view().and_then(|view| view.table.clone()).ok_or(Refused::TooEarly.into())
}

fn refusal(code: &str, detail: impl Into<String>) -> ApiError {
    ApiError::app(StatusCode::CONFLICT, code, "Leadership stays where it is", detail)
}

/// Leadership comes to this node.
pub(super) async fn become_leader(cluster: &Cluster) -> Result<Leadership, ApiError> {
    let node = cluster.node();
    if !table(cluster)?.meta.voters.contains(&node) {
        return Err(refusal("not-a-voter", "this node has no vote, so it cannot lead; ask one that has"));
    }
    let deadline = Instant::now() + cluster.options().deadline;
    move_home(cluster, node).await?;
    wait(cluster, deadline, |group| group.leads).await.ok_or_else(|| {
        let detail = "this node is to lead, and will as soon as it has caught up and a majority answers";
        ApiError::app(StatusCode::SERVICE_UNAVAILABLE, "not-yet-leader", "Not yet leader", detail)
    })
}

/// Leadership goes from this node to another one.
pub(super) async fn resign_leader(cluster: &Cluster) -> Result<Leadership, ApiError> {
    let node = cluster.node();
    let now = group(cluster).await.ok_or(ApiError::NotReady)?;
    if !now.leads {
        let leader = leadership(cluster, &now);
        let said = leader.as_ref().map_or("nobody that it knows of".into(), |l| format!("node {}", l.leader));
        let error = refusal("not-leader", format!("this node does not lead; {said} does"));
        return Err(error.with("leader", leader.map(|leader| leader.leader)));
    }
    let voters = table(cluster)?.meta.voters;
    let place = voters.iter().position(|voter| *voter == node).unwrap_or(0);
    let heirs = voters.iter().cycle().skip(place + 1).take(voters.len().saturating_sub(1));
    let deadline = Instant::now() + cluster.options().deadline;
    // The next voter may be down: then the one after it.
    let share = cluster.options().deadline / u32::try_from(voters.len().max(1)).unwrap_or(1);
    for heir in heirs.filter(|heir| **heir != node) {
        move_home(cluster, *heir).await?;
        let until = (Instant::now() + share).min(deadline);
        let other = |group: &GroupStatus| !group.leads && group.leader.is_some_and(|leader| leader != node);
        if let Some(leader) = wait(cluster, until, other).await {
            rt::reachable!("raft3d: leadership was given away on request");
            return Ok(leader);
        }
    }
    // Nobody took it: it stays at home here.
    move_home(cluster, node).await?;
    Err(refusal("no-heir", "no other node that could lead took the leadership over in time"))
}

async fn move_home(cluster: &Cluster, node: NodeId) -> Result<(), ApiError> {
    cluster.check_format(crate::cluster::GUESTS).await?;
    let payload = meta::Command::MoveHome { node }.encode();
    let written = cluster.write(META_GROUP, Envelope { key: None, payload }).await?;
    match meta::Reply::decode(&written.answer).ok_or(ApiError::Internal)? {
        meta::Reply::Refused(refused) => Err(refused.into()),
        _ => Ok(()),
    }
}

/// Waits until group 0 is as wanted here; gives who leads then.
async fn wait(
    cluster: &Cluster,
    deadline: Instant,
    wanted: impl Fn(&GroupStatus) -> bool,
) -> Option<Leadership> {
    loop {
        if let Some(group) = group(cluster).await.filter(&wanted)
            && let Some(leadership) = leadership(cluster, &group)
        {
            return Some(leadership);
        }
        if Instant::now() >= deadline {
            return None;
        }
        time::sleep(PAUSE).await;
    }
}
