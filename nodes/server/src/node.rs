//! One node. The binary and the simulator both call [`start`] and nothing else.

use crate::options::{NodeOptions, OptionsError};
use crate::placing;
use apps::cluster::{Cluster, ClusterOptions};
use apps::http::router::router;
use replica::driver::DriverError;
use replica::{Replica, ReplicaOptions};
use rt::http::Server;
use rt::net::TcpListener;
use rt::task::TaskGroup;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The options make no sense.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The replicas did not start.
    #[error(transparent)]
    Replica(#[from] replica::StartError),
    /// The nodes run, but do not get ready.
    #[error("the cluster was not ready after {0:?}")]
    NotReady(std::time::Duration),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What went wrong.
        source: std::io::Error,
    },
}

/// A running node. It ends when this is dropped; [`Node::stop`] ends it gracefully.
pub struct Node {
    name: String,
    http: Server,
    replica: Replica,
    _tasks: TaskGroup,
}

async fn bind(address: &str) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen { address: address.into(), source };
    TcpListener::bind(address).await.map_err(failed)
}

/// Starts a node.
///
/// # Errors
/// [`StartError`].
pub async fn start(options: NodeOptions) -> Result<Node, StartError> {
    options.check()?;
    let api = bind(&options.listen).await?;
    let peer = bind(&options.peer_listen).await?;
    start_on(options, api, peer).await
}

/// Starts a node on listeners that are bound already.
///
/// # Errors
/// [`StartError`].
pub async fn start_on(options: NodeOptions, api: TcpListener, peer: TcpListener) -> Result<Node, StartError> {
    options.check()?;
    let topology = options.topology();
    let name = topology.name(options.id);
    let replica = replica::start::start_on(replica_options(&options), peer).await?;
    let meta = topology.meta_spec();
    replica.gateway().add_group(&meta);
    replica.create_group(meta).await;

    let gateway = replica.gateway().clone();
    let cluster = Cluster::new(cluster_options(&options, &name), gateway.clone(), replica.status_handle());
    let tasks = TaskGroup::default();
    tasks.spawn(placing::run(options.clone(), gateway, replica.group_creator(), cluster.clone()));
    let address = options.listen.clone();
    let http = rt::http::serve(api, router(cluster), options.http)
        .map_err(|source| StartError::Listen { address, source })?;
    tracing::info!(node = options.id, name, listen = %http.local_addr(), profile = %options.profile, "node started");
    Ok(Node { name, http, replica, _tasks: tasks })
}

fn replica_options(options: &NodeOptions) -> ReplicaOptions {
    let tuning = options.tuning;
    let machines = Arc::new(apps::machine);
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
        ..ReplicaOptions::new(options.id, options.peers.clone(), options.data.clone(), machines)
    }
}

fn cluster_options(options: &NodeOptions, name: &str) -> ClusterOptions {
    ClusterOptions {
        node: options.id,
        name: name.into(),
        profile: options.profile.into(),
        require_token: !crate::options::is_loopback(&options.listen),
        token: options.token.clone(),
        deadline: options.request_deadline,
        max_body_bytes: options.max_body_bytes,
    }
}

impl Node {
    /// `control`, `worker-1`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The API address.
    pub fn local_addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// The node's replicas.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Waits until the node ends by itself, which it does only when it must not go on.
    ///
    /// # Errors
    /// Why it must not.
    pub async fn ended(&mut self) -> Result<(), DriverError> {
        self.replica.ended().await
    }

    /// Ends gracefully: answers requests under way, hands over leaderships, writes everything.
    ///
    /// # Errors
    /// If the last write fails.
    pub async fn stop(self) -> Result<(), DriverError> {
        self.http.shutdown().await;
        self.replica.stop().await
    }
}
