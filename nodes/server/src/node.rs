//! One node. The binary and the simulator both call [`start`] and nothing else.

use crate::life::{Life, LifeError};
use crate::options::{NodeOptions, OptionsError};
use apps::APPS;
use apps::app::BindError;
use apps::cluster::{Cluster, ClusterOptions};
use apps::http::router::router;
use replica::NodeId;
use rt::http::{Server, Threads};
use rt::net::TcpListener;
use rt::task::{self, JoinHandle, TaskGroup};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::oneshot;

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
    address: SocketAddr,
    http: Option<Server>,
    /// Serves in place of `http` in the modes that have threads of their own.
    threads: Option<Threads>,
    /// Listeners with profiles of their own.
    more: Vec<Server>,
    cluster: Cluster,
    reloader: Reloader,
    life: JoinHandle<Result<(), LifeError>>,
    stop: Option<oneshot::Sender<()>>,
    /// What the apps do beside answering; they end with the node.
    _services: TaskGroup,
}

/// Changes the options of a node that runs.
#[derive(Clone)]
pub struct Reloader {
    name: String,
    /// What the routes of all listeners work with, and where these listen.
    listeners: Vec<(String, Cluster)>,
}

impl Reloader {
    /// Takes from `options` what can change while the node runs: the token and who is asked for it, limits,
    /// and the apps' limits. Everything else waits for the next start.
    ///
    /// # Errors
    /// [`OptionsError`] for options that a node would not start with; then nothing has changed.
    pub fn reload(&self, options: &NodeOptions) -> Result<(), OptionsError> {
        options.check()?;
        let new = cluster_options(options, &self.name);
        Cluster::new(new.clone()).check_settings().map_err(OptionsError::Settings)?;
        for (address, listener) in &self.listeners {
            listener.reload(&new, options.is_exposed(address));
        }
        Ok(())
    }
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
    let name = options.name();
    let cluster = Cluster::new(cluster_options(&options, &name));
    cluster.check_settings().map_err(OptionsError::Settings)?;
    let failed = |source| StartError::Listen { address: options.listen.clone(), source };
    let told = options.api_address(api.local_addr().map_err(failed)?);
    let mut life =
        Life::new(NodeOptions { listen: told, ..options.clone() }, Arc::new(peer), cluster.clone());
    let first = life.begin().await?;
    let address = options.listen.clone();
    let failed = |source| StartError::Listen { address, source };
    let (http, threads) = match options.mode.threads() {
        None => (Some(rt::http::serve(api, router(cluster.clone()), options.http).map_err(failed)?), None),
        Some(count) => {
            (None, Some(rt::http::serve_with_threads(api, router(cluster.clone()), count).map_err(failed)?))
        }
    };
    let listening = http.as_ref().map(Server::local_addr).or(threads.as_ref().map(Threads::local_addr));
    let address = listening.ok_or_else(|| StartError::Listen {
        address: options.listen.clone(),
        source: std::io::ErrorKind::AddrNotAvailable.into(),
    })?;
    let mut more = Vec::new();
    let mut listeners = vec![(options.listen.clone(), cluster.clone())];
    for (profile, address) in &options.listeners {
        let open = cluster.for_listener(*profile, options.is_exposed(address));
        listeners.push((address.clone(), open.clone()));
        let listener = bind(address).await?;
        let failed = |source| StartError::Listen { address: address.clone(), source };
        let server = rt::http::serve(listener, router(open), options.http).map_err(failed)?;
        tracing::info!(listen = %server.local_addr(), %profile, "another listener");
        more.push(server);
    }
    for bind in APPS.iter().filter_map(|app| app.bind) {
        let failed = |BindError { address, source }| StartError::Listen { address, source };
        bind(&cluster).await.map_err(failed)?;
    }
    let (stop, stopped) = oneshot::channel();
    let life = task::spawn(life.live(first, stopped));
    let services = TaskGroup::default();
    for service in apps::services() {
        services.spawn(service(cluster.clone()));
    }
    let reloader = Reloader { name: name.clone(), listeners };
    tracing::info!(node = options.id, name, listen = %address, profile = %options.profile, "node started");
    Ok(Node {
        name,
        address,
        http,
        threads,
        more,
        cluster,
        reloader,
        life,
        stop: Some(stop),
        _services: services,
    })
}

fn cluster_options(options: &NodeOptions, name: &str) -> ClusterOptions {
    ClusterOptions {
        name: name.into(),
        profile: options.profile,
        auth: options.auth,
        require_token: options.is_exposed(&options.listen),
        open: options.is_open(),
        token: options.token.clone(),
        deadline: options.request_deadline,
        max_body_bytes: options.max_body_bytes,
        rate_limit: options.rate_limit,
        data: options.data.clone(),
        settings: options.settings.clone(),
        brokers: options.brokers.clone(),
    }
}

impl Node {
    /// `control`, `worker-1`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The member that this node is now; 0 as long as it does not know.
    pub fn id(&self) -> NodeId {
        self.cluster.node()
    }

    /// The functions that it serves over Distri.
    pub fn functions(&self) -> Arc<apps::distri::Functions> {
        self.cluster.own()
    }

    /// The API address.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What changes the node's options while it runs.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Waits until the node ends by itself: it was removed from the cluster, or must not go on.
    ///
    /// # Errors
    /// Why it must not.
    pub async fn ended(&mut self) -> Result<(), LifeError> {
        // Stopped from outside: no error of ours.
        (&mut self.life).await.unwrap_or(Ok(()))
    }

    /// Ends gracefully: answers requests under way, hands over leaderships, writes everything.
    ///
    /// # Errors
    /// If the last write fails.
    pub async fn stop(mut self) -> Result<(), LifeError> {
        for http in self.http.take().into_iter().chain(std::mem::take(&mut self.more)) {
            http.shutdown().await;
        }
        if let Some(threads) = self.threads.take() {
            threads.shutdown().await;
        }
        if let Some(stop) = self.stop.take() {
            // It has ended by itself: `ended` tells why.
            let _ = stop.send(());
        }
        self.ended().await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.life.abort();
    }
}
