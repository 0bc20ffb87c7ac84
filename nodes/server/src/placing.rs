//! What the cluster decided, carried out on this node: which replicas it holds, who the others are.
//!
//! Everything comes from this node's replica of the meta group, which may lag behind. That is safe: a
//! replica that is created too early waits until its leader takes it in, and one is deleted only after its
//! leader said that it is no part of the group any more.

use crate::options::{NodeOptions, Role};
use crate::reconcile::Reconciler;
use apps::META_GROUP;
use apps::cluster::Cluster;
use apps::meta::{Command, Member, MemberRole, MemberState, Query, Table, View, view};
use replica::bootstrap;
use replica::driver::Status;
use replica::frame::{Consistency, Response};
use replica::start::{Groups, StatusHandle};
use replica::{Envelope, Gateway, GroupSpec, NodeId, Replica};
use rt::time::{self, Instant};
use std::collections::BTreeMap;
use std::time::Duration;

/// Looks without a leader of the meta group whose address is known, or without anything known of the group,
/// after which others are asked for news.
const LOST_AFTER: u32 = 10;

/// A node's place in the cluster, and its tools.
pub(crate) struct Post {
    pub(crate) options: NodeOptions,
    pub(crate) node: NodeId,
    pub(crate) cluster: Cluster,
    pub(crate) gateway: Gateway,
    groups: Groups,
    status: StatusHandle,
}

impl Post {
    pub(crate) fn new(options: &NodeOptions, node: NodeId, cluster: &Cluster, replica: &Replica) -> Self {
        Post {
            options: options.clone(),
            node,
            cluster: cluster.clone(),
            gateway: replica.gateway().clone(),
            groups: replica.groups(),
            status: replica.status_handle(),
        }
    }

    /// Starts the replica of the meta group, unless there is one.
    pub(crate) async fn begin(&self, meta: GroupSpec) {
        let mut here = meta.clone();
        if !here.contains(self.node) {
            // It came later. Its own replica is asked first all the same: it knows where the others are.
            here.learners.push(self.node);
        }
        self.gateway.place_group(&here);
        self.groups.create(meta).await;
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.options.request_deadline
    }

    /// What the nearest replica of the meta group knows.
    async fn view(&self) -> Option<View> {
        let query = Query::View.encode();
        let read = self.gateway.read(META_GROUP, query, Consistency::Stale, self.deadline());
        view(&read.await.ok()?.answer)
    }

    /// Puts a command into the meta group's log. Whatever becomes of it: the next look will tell.
    pub(crate) async fn propose(&self, command: &Command) {
        let envelope = Envelope { key: None, payload: command.encode() };
        let _ = self.gateway.write(META_GROUP, envelope, self.deadline()).await;
    }
}

/// Runs until this node is removed from the cluster.
pub(crate) async fn run(post: Post) {
    let tick = post.options.tuning.tick;
    let mut reconciler = Reconciler::default();
    let mut placed: Option<View> = None;
    let mut lost = 0;
    loop {
        let status = post.status.get().await;
        let meta = status.groups.iter().find(|group| group.group == META_GROUP);
        let leads = meta.is_some_and(|group| group.leads);
        let view = post.view().await.unwrap_or_default();
        // A leader that came or moved while this node was cut off is heard, and cannot be answered: its log
        // stays away.
        let leader = meta.and_then(|group| group.leader);
        let answered = leads || leader.is_some_and(|leader| post.gateway.reaches(leader));
        let in_touch = answered && view.genesis.is_some();
        lost = if in_touch { 0 } else { lost + 1 };
        if lost >= LOST_AFTER {
            lost = 0;
            if ask_around(&post).await {
                return;
            }
        }
        let mut settled = view.table.is_some();
        if placed.as_ref() != Some(&view) && place(&post, &view).await {
            placed = Some(view.clone());
        }
        match &view.table {
            Some(table) if table.removed.contains(&post.node) => return,
            Some(table) => {
                settled &= say_where_we_are(&post, &view, table).await;
                settled &= say_that_we_run(&post, table).await;
                settled &= drop_lost_places(&post, table, &status).await;
                if leads {
                    settled &= reconciler.step(&post, table).await;
                    settled &= upgrade(&post, &view, table).await;
                }
            }
            None if leads => found(&post, &view).await,
            None => {}
        }
        time::sleep(if settled { tick * 5 } else { tick * 2 }).await;
    }
}

/// Makes a newer view known here, and creates the replicas that it wants on this node. False if there is
/// nothing in it yet.
async fn place(post: &Post, view: &View) -> bool {
    let (Some(genesis), Some(placement)) = (&view.genesis, view.placement()) else { return false };
    post.cluster.place(view.clone());
    for (spec, began) in placement.partitions.iter().zip(&genesis.partitions) {
        if spec.contains(post.node) {
            // A replica begins where its group began: the log and its snapshots tell the rest.
            post.groups.create(began.clone()).await;
        }
        post.groups.home(spec.group, spec.home).await;
    }
    if let Some(table) = &view.table {
        post.groups.home(META_GROUP, table.meta.home).await;
    }
    true
}

/// The meta leader of a young cluster: sets the placement, then the table of members, as soon as every
/// configured node has said that it speaks a format which knows one.
async fn found(post: &Post, view: &View) {
    let topology = post.options.topology();
    if view.genesis.is_none() {
        return post.propose(&Command::Place(topology.placement(post.options.partitions))).await;
    }
    if post.options.tuning.format < bootstrap::MEMBERS {
        return;
    }
    let mut others = post.options.peers.clone();
    others.remove(&post.node);
    let Some(format) = common_format(post, &others).await.filter(|format| *format >= bootstrap::MEMBERS)
    else {
        return;
    };
    let member = |(id, peer): (&NodeId, &String)| {
        let control = post.options.role != Role::All && topology.control.contains(id);
        let member = Member {
            name: topology.name(*id),
            peer: peer.clone(),
            api: String::new(),
            role: if control { MemberRole::Control } else { MemberRole::Worker },
            state: MemberState::Expected,
            token: 0,
            replaces: None,
        };
        (*id, member)
    };
    let members: BTreeMap<NodeId, Member> = post.options.peers.iter().map(member).collect();
    post.propose(&Command::Enroll { members, meta: topology.meta_spec() }).await;
    post.propose(&Command::Speaks { format }).await;
}

/// The newest format that this node and all `others` speak; `None` if one of them does not answer.
async fn common_format(post: &Post, others: &BTreeMap<NodeId, String>) -> Option<u32> {
    let answers = bootstrap::introduce(others, post.options.cluster, 0, 0).await;
    let formats = answers.iter().map(|answer| answer.as_ref().map(|answer| answer.format));
    formats.chain([Some(post.options.tuning.format)]).collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// The meta leader asks what all members speak, until it is the newest format. True if there is nothing to
/// ask.
async fn upgrade(post: &Post, view: &View, table: &Table) -> bool {
    if view.format >= bootstrap::FORMAT || view.format >= post.options.tuning.format {
        return true;
    }
    let others = table.members.iter().filter(|(id, _)| **id != post.node);
    let others = others.map(|(id, member)| (*id, member.peer.clone())).collect();
    if let Some(format) = common_format(post, &others).await.filter(|format| *format > view.format) {
        post.propose(&Command::Speaks { format }).await;
    }
    false
}

/// A node says in which region it lives, before it is given anything. True if there is nothing to say, or if
/// some would not understand it yet.
async fn say_where_we_are(post: &Post, view: &View, table: &Table) -> bool {
    let region = post.options.region.as_deref();
    let known = !table.members.contains_key(&post.node) || table.regions.of(post.node) == region;
    if known || view.format < bootstrap::REGIONS {
        return true;
    }
    let region = region.unwrap_or_default().to_owned();
    post.propose(&Command::Region { node: post.node, region }).await;
    false
}

/// A node that is expected says that it is there, and one that has moved says where it is. True if there
/// is nothing to say.
async fn say_that_we_run(post: &Post, table: &Table) -> bool {
    let Some(member) = table.members.get(&post.node) else { return true };
    let (peer, api) = (post.options.peer_address(), post.options.listen.clone());
    let expected = matches!(member.state, MemberState::Expected | MemberState::Joining);
    if !expected && (&member.peer, &member.api) == (&peer, &api) {
        return true;
    }
    post.propose(&Command::Started { node: post.node, peer, api }).await;
    false
}

/// Deletes replicas that have no place here any more, once their leaders confirm it. True if there are
/// none.
async fn drop_lost_places(post: &Post, table: &Table, status: &Status) -> bool {
    let specs = &table.placement.partitions;
    let lost = |group: u64| specs.iter().any(|spec| spec.group == group && !spec.contains(post.node));
    let lost: Vec<u64> = status.groups.iter().map(|group| group.group).filter(|id| lost(*id)).collect();
    for group in &lost {
        let deadline = Instant::now() + Duration::from_millis(500);
        if let Some(Response::Members { members, term, last_index, .. }) =
            post.gateway.members(*group, deadline).await
            && !members.contains(post.node)
            && members.version > 0
        {
            post.groups.remove(*group, term, last_index).await;
        }
    }
    lost.is_empty()
}

/// Nobody leads the meta group as far as is known here, or somebody who is not met where he is thought to
/// be: perhaps everybody has moved, or this node was removed while it was away. True if it was.
async fn ask_around(post: &Post) -> bool {
    let known = post.gateway.directory();
    let configured = post.options.join.iter().chain(post.options.peers.values());
    let own = post.options.peer_address();
    let all = configured.chain(known.addresses.values()).filter(|address| **address != own).cloned();
    let addresses = (0..).zip(all).collect();
    let answers = bootstrap::introduce(&addresses, post.options.cluster, 0, 0).await;
    let Some(newest) = answers.into_iter().flatten().max_by_key(|answer| answer.version) else {
        return false;
    };
    if newest.version <= known.version {
        return false;
    }
    let addresses: BTreeMap<NodeId, String> = newest.nodes.into_iter().collect();
    if !addresses.contains_key(&post.node) {
        return true;
    }
    post.gateway.hear(newest.version, addresses);
    false
}
