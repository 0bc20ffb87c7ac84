//! Who a node is, and how it becomes another one when its data are lost.
//!
//! A life is a row of turns. In each the node is one member of the cluster, or is about to become one:
//!
//! - The data folder knows its member: that is who it is, whatever the configuration says. (The folder of
//!   another configured node is refused.)
//! - The folder is empty and the configuration gives an id: the node claims it
//!   ([`replica::bootstrap`] says why that is safe). If the id is taken, the disk was wiped: the node joins
//!   as a new member in place of the old one.
//! - The folder is empty and the configuration names members to join: the node joins.
//! - The store is damaged, at the start or later: its file is set aside, and the folder is empty. The old
//!   member's votes and entries are lost with it, so it is replaced like one whose disk was wiped.
//!
//! Joining asks for an id under the folder's token until it is given: dying at any point and asking again
//! gives the same id. Only then does anything start that votes.

use crate::options::{NodeOptions, Role};
use crate::placing::{self, Post};
use apps::META_GROUP;
use apps::cluster::{Cluster, Link};
use apps::meta::{Command, Join, MemberRole, Reply};
use replica::bootstrap::{self, Claim};
use replica::driver::DriverError;
use replica::envelope::Answer;
use replica::frame::{Request, Response};
use replica::{Envelope, GroupSpec, NodeId, Replica, ReplicaOptions, Store, StoreError};
use rt::net::TcpListener;
use rt::{task, time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Pause between two tries to claim an id or to join.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a node ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// Its store failed, and it is not to be rebuilt from its peers.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// It could not start again as another member.
    #[error(transparent)]
    Start(#[from] replica::StartError),
}

impl LifeError {
    /// True if its store failed: what a node does when its disk does.
    pub fn is_store(&self) -> bool {
        let LifeError::Start(error) = self else {
            return matches!(self, LifeError::Driver(DriverError::Store(_)));
        };
        matches!(
            error,
            replica::StartError::Store { .. } | replica::StartError::Driver(DriverError::Store(_))
        )
    }
}

/// What a node does next.
pub(crate) enum Turn {
    /// It is a member, or claims to be.
    Run {
        replica: Replica,
        store: Store,
        node: NodeId,
        /// Where the meta group began.
        meta: GroupSpec,
        /// The id is only configured: nobody has agreed yet.
        claims: bool,
    },
    /// It needs an id.
    Join {
        store: Store,
        replaces: Option<NodeId>,
        /// Peer addresses of members, beside those that are configured.
        nodes: BTreeMap<NodeId, String>,
    },
}

/// How a turn ended.
enum End {
    /// The replicas ended by themselves.
    Driver(Result<(), DriverError>),
    /// The id is another data folder's.
    Taken(BTreeMap<NodeId, String>),
    /// The member was removed from the cluster.
    Removed,
}

/// What joining gives.
struct Welcome {
    node: NodeId,
    meta: GroupSpec,
    nodes: BTreeMap<NodeId, String>,
}

pub(crate) struct Life {
    options: NodeOptions,
    listener: Arc<TcpListener>,
    cluster: Cluster,
    /// The member that this node was last.
    last: Option<NodeId>,
}

impl Life {
    pub(crate) fn new(options: NodeOptions, listener: Arc<TcpListener>, cluster: Cluster) -> Self {
        Life { options, listener, cluster, last: None }
    }

    fn failed(&self, source: StoreError) -> replica::StartError {
        replica::StartError::Store { folder: self.options.data.display().to_string(), source }
    }

    /// Opens the data folder and finds out what to do.
    pub(crate) async fn begin(&mut self) -> Result<Turn, replica::StartError> {
        loop {
            let turn = match self.open().await {
                Ok((store, found)) => self.turn(store, found).await,
                Err(error) => Err(self.failed(error)),
            };
            match turn {
                Err(error) if self.options.rebuild && is_damage(&error) => {
                    tracing::error!(%error, "data damaged: set aside, to be rebuilt from the other nodes");
                    self.set_aside().await.map_err(|error| self.failed(error))?;
                }
                turn => return turn,
            }
        }
    }

    async fn open(&self) -> Result<(Store, Option<(NodeId, Option<GroupSpec>)>), StoreError> {
        let NodeOptions { data, cluster, tuning, .. } = &self.options;
        let store = replica::start::open_store(data, *cluster, tuning.cache_bytes).await?;
        let look = store.clone();
        let found = task::blocking(move || -> Result<_, StoreError> {
            look.node()?.map(|node| Ok((node, look.spec(META_GROUP)?))).transpose()
        });
        let found = found.await?;
        Ok((store, found))
    }

    /// What to do with a store that belongs to a node (and where its meta group began), or to nobody.
    async fn turn(
        &mut self,
        store: Store,
        found: Option<(NodeId, Option<GroupSpec>)>,
    ) -> Result<Turn, replica::StartError> {
        let configured = self.options.id;
        let nodes = BTreeMap::new();
        let configured_meta = || self.options.topology().meta_spec();
        if let Some((found, _)) = &found
            && *found != configured
            && self.options.peers.contains_key(found)
        {
            // Another configured node's folder: a slip, not a node that became another member.
            let foreign = StoreError::Foreign { what: "node", found: *found, expected: configured };
            return Err(self.failed(foreign));
        }
        let (node, meta, claims) = match found {
            // It died between getting its id and the first thing it did with it: asking again is safe.
            Some((node, None)) if node != configured => {
                return Ok(Turn::Join { store, replaces: self.last, nodes });
            }
            Some((node, meta)) => (node, meta.unwrap_or_else(configured_meta), false),
            None if !self.options.join.is_empty() => {
                return Ok(Turn::Join { store, replaces: self.last, nodes });
            }
            None => (configured, configured_meta(), true),
        };
        let peers = if node == configured { self.options.peers.clone() } else { nodes };
        let replica = self.start(&store, node, peers).await?;
        Ok(Turn::Run { replica, store, node, meta, claims })
    }

    async fn start(
        &mut self,
        store: &Store,
        node: NodeId,
        peers: BTreeMap<NodeId, String>,
    ) -> Result<Replica, replica::StartError> {
        let options = replica_options(&self.options, node, peers);
        let replica = replica::start::start_on(options, store.clone(), self.listener.clone()).await?;
        let (gateway, status) = (replica.gateway().clone(), replica.status_handle());
        self.cluster.link(Some(Link { node, gateway, status }));
        Ok(replica)
    }

    /// Lives until it is stopped, removed, or must not go on.
    pub(crate) async fn live(
        mut self,
        mut turn: Turn,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<(), LifeError> {
        loop {
            turn = match turn {
                Turn::Join { store, replaces, nodes } => {
                    self.cluster.trouble(Some("it is joining the cluster as a new member".into()));
                    let welcome = rt::select! {
                        welcome = self.join(&store, replaces, nodes) => welcome?,
                        _ = &mut stop => return Ok(()),
                    };
                    self.become_member(store, welcome).await?
                }
                Turn::Run { mut replica, store, node, meta, claims } => {
                    let post = Post::new(&self.options, node, &self.cluster, &replica);
                    let end = rt::select! {
                        ended = replica.ended() => End::Driver(ended),
                        end = self.serve(&store, post, meta, claims) => end?,
                        _ = &mut stop => {
                            self.cluster.link(None);
                            return Ok(replica.stop().await?);
                        }
                    };
                    self.cluster.link(None);
                    drop(replica);
                    match self.after(end, store, node).await? {
                        Some(turn) => turn,
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    async fn after(&mut self, end: End, store: Store, node: NodeId) -> Result<Option<Turn>, LifeError> {
        match end {
            End::Driver(Ok(())) => Ok(None),
            End::Driver(Err(error)) => {
                let damaged = matches!(&error, DriverError::Store(error) if error.is_damage());
                if !damaged || !self.options.rebuild {
                    return Err(error.into());
                }
                tracing::error!(node, %error, "data damaged: set aside, to be rebuilt from the other nodes");
                self.cluster.trouble(Some(format!("its data are damaged ({error}) and are being rebuilt")));
                self.last = Some(node);
                drop(store);
                self.set_aside().await.map_err(|error| self.failed(error))?;
                Ok(Some(self.begin().await?))
            }
            End::Taken(nodes) => {
                tracing::warn!(
                    node,
                    "this id was used with other data: joining as a new member in its place"
                );
                Ok(Some(Turn::Join { store, replaces: Some(node), nodes }))
            }
            End::Removed => {
                tracing::info!(node, "removed from the cluster");
                self.cluster.trouble(Some("it was removed from the cluster".into()));
                Ok(None)
            }
        }
    }

    /// Claims the id if need be, then carries out what the cluster decides.
    async fn serve(
        &self,
        store: &Store,
        post: Post,
        meta: GroupSpec,
        claims: bool,
    ) -> Result<End, LifeError> {
        if claims {
            if let Some(nodes) = self.claim(store).await? {
                return Ok(End::Taken(nodes));
            }
            self.adopt(store, self.options.id).await?;
        }
        post.begin(meta).await;
        self.cluster.trouble(None);
        placing::run(post).await;
        Ok(End::Removed)
    }

    /// Claims the configured id until it is ours (`None`), or somebody says that it is not.
    async fn claim(&self, store: &Store) -> Result<Option<BTreeMap<NodeId, String>>, LifeError> {
        let NodeOptions { id, cluster, peers, .. } = &self.options;
        let mut others = peers.clone();
        others.remove(id);
        let token = self.token(store).await?;
        loop {
            match bootstrap::claim(&others, *cluster, *id, token).await {
                Claim::Ours => return Ok(None),
                Claim::Taken(nodes) if !nodes.is_empty() => return Ok(Some(nodes)),
                // A cluster that is being formed waits until every configured node has answered what it
                // speaks. This one goes on answering until there is a cluster to join.
                Claim::Taken(_) | Claim::Open => time::sleep(PAUSE).await,
            }
        }
    }

    async fn token(&self, store: &Store) -> Result<u64, LifeError> {
        let store = store.clone();
        let token = task::blocking(move || store.token()).await;
        Ok(token.map_err(|error| self.failed(error))?)
    }

    async fn adopt(&self, store: &Store, node: NodeId) -> Result<(), LifeError> {
        let store = store.clone();
        let adopted = task::blocking(move || store.adopt(node)).await;
        Ok(adopted.map_err(|error| self.failed(error))?)
    }

    /// Asks for an id until it is given.
    async fn join(
        &self,
        store: &Store,
        replaces: Option<NodeId>,
        mut nodes: BTreeMap<NodeId, String>,
    ) -> Result<Welcome, LifeError> {
        let options = &self.options;
        let payload = Command::Join(Join {
            token: self.token(store).await?,
            name: options.name(),
            peer: options.peer_address(),
            api: options.listen.clone(),
            role: member_role(options.role),
            replaces,
        })
        .encode();
        loop {
            let asked = bootstrap::introduce(&self.addresses(&nodes), options.cluster, 0, 0).await;
            nodes.extend(asked.into_iter().flatten().flat_map(|answer| answer.nodes));
            for address in nodes.values().filter(|address| **address != options.peer_address()) {
                let envelopes = vec![Envelope { key: None, payload: payload.clone() }];
                let request = Request::Propose { group: META_GROUP, envelopes };
                let answer = bootstrap::ask(address, options.cluster, request).await;
                match answer.ok().and_then(|answer| reply(&answer)) {
                    Some(Reply::Joined { node, meta, nodes }) => {
                        return Ok(Welcome { node, meta, nodes: nodes.into_iter().collect() });
                    }
                    Some(Reply::Refused(refused)) => {
                        self.cluster.trouble(Some(format!("the cluster refuses it: {refused}")));
                    }
                    _ => {}
                }
            }
            time::sleep(PAUSE).await;
        }
    }

    /// Where members may be asked: those named in the configuration, and those heard of.
    fn addresses(&self, nodes: &BTreeMap<NodeId, String>) -> BTreeMap<NodeId, String> {
        let NodeOptions { join, peers, id, .. } = &self.options;
        let configured = peers.iter().filter(|(peer, _)| *peer != id).map(|(_, address)| address);
        let all = join.iter().chain(configured).chain(nodes.values());
        let own = self.options.peer_address();
        (0..).zip(all.filter(|address| **address != own).cloned()).collect()
    }

    async fn become_member(&mut self, store: Store, welcome: Welcome) -> Result<Turn, LifeError> {
        let Welcome { node, meta, nodes } = welcome;
        tracing::info!(node, "this node is a new member");
        self.adopt(&store, node).await?;
        let replica = self.start(&store, node, nodes).await?;
        let post = Post::new(&self.options, node, &self.cluster, &replica);
        post.begin(meta.clone()).await;
        Ok(Turn::Run { replica, store, node, meta, claims: false })
    }

    /// Gives the store's file another name, so that it can be looked at; an older one goes.
    async fn set_aside(&self) -> Result<(), StoreError> {
        let data = self.options.data.clone();
        task::blocking(move || replica::store::set_aside(&data)).await
    }
}

fn reply(answer: &Response) -> Option<Reply> {
    let Response::Proposed { answers, .. } = answer else { return None };
    let Some(Answer::Applied(bytes)) = answers.first() else { return None };
    Reply::decode(bytes)
}

fn member_role(role: Role) -> MemberRole {
    match role {
        Role::Control => MemberRole::Control,
        Role::Worker | Role::All => MemberRole::Worker,
    }
}

fn is_damage(error: &replica::StartError) -> bool {
    match error {
        replica::StartError::Store { source, .. } => source.is_damage(),
        replica::StartError::Driver(DriverError::Store(error)) => error.is_damage(),
        _ => false,
    }
}

fn replica_options(options: &NodeOptions, node: NodeId, peers: BTreeMap<NodeId, String>) -> ReplicaOptions {
    let tuning = options.tuning;
    ReplicaOptions {
        cluster: options.cluster,
        peer_listen: options.peer_listen.clone(),
        observer: options.observer.clone(),
        tick: tuning.tick,
        election_ticks: tuning.election_ticks,
        heartbeat_ticks: tuning.heartbeat_ticks,
        compact_after_entries: tuning.compact_after_entries,
        trailing_entries: tuning.trailing_entries,
        snapshot_chunk_bytes: tuning.snapshot_chunk_bytes,
        max_batch: tuning.max_batch,
        cache_bytes: tuning.cache_bytes,
        format: tuning.format,
        ..ReplicaOptions::new(node, peers, options.data.clone(), Arc::new(apps::machine))
    }
}
