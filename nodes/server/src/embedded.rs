//! A whole cluster in this process: what `node dev`, the load generator and tests start.
//!
//! The nodes are the same as those of `node run`: they talk over TCP, write to folders of their own and
//! sync them. Only the process is shared.

use crate::modes::Mode;
use crate::node::{self, Node, StartError};
use crate::options::{NodeOptions, Role, Tuning};
use apps::Profile;
use replica::NodeId;
use rt::net::TcpListener;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Longest wait until all nodes of a new cluster are ready.
const READY_PATIENCE: Duration = Duration::from_secs(30);

/// What a cluster in one process is started with.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Number of workers, beside the control node or, with `equals`, in all.
    pub workers: u64,
    /// No control node: all are equal peers.
    pub equals: bool,
    /// Regions that the nodes live in, in turn; empty for none.
    pub regions: Vec<String>,
    /// Partitions of a new cluster.
    pub partitions: u32,
    /// Folder with a folder for each node.
    pub data: PathBuf,
    /// The listeners' profile.
    pub profile: Profile,
    /// The token.
    pub token: String,
    /// API address of the control node; workers take the ports after it. Port 0 picks free ones.
    pub listen: String,
    /// Peer address of the first node; the others take the ports after it. Port 0 picks free ones.
    pub peer_listen: String,
    /// The apps' own settings, by the apps' names.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// How the API is served; all but [`Mode::Cluster`] are for a single node.
    pub mode: Mode,
    /// Threads of the runtime; `None` for one a processor.
    pub threads: Option<usize>,
    /// Raft's pace and limits.
    pub tuning: Tuning,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        EmbeddedOptions {
            workers: 3,
            equals: false,
            regions: Vec::new(),
            partitions: 4,
            data: PathBuf::from("data"),
            profile: Profile::default(),
            token: client::DEV_TOKEN.into(),
            listen: "127.0.0.1:0".into(),
            peer_listen: "127.0.0.1:0".into(),
            settings: BTreeMap::new(),
            mode: Mode::default(),
            threads: None,
            tuning: Tuning::default(),
        }
    }
}

impl EmbeddedOptions {
    /// The topology and the ports that a system's quick start has.
    pub fn of_profile(profile: Profile) -> Self {
        let (workers, equals) = match profile {
            Profile::Unified | Profile::MetricStream => (3, false),
            // The control node holds the third replica.
            Profile::RaftMetrics | Profile::Analytics => (2, false),
            Profile::Raft3d | Profile::Distri => (3, true),
        };
        let peer_listen = match profile {
            Profile::Unified | Profile::MetricStream => "127.0.0.1:0",
            _ => "127.0.0.1:9090",
        };
        let (listen, peer_listen) = ("127.0.0.1:8080".into(), peer_listen.into());
        let mut settings = BTreeMap::new();
        if profile == Profile::Distri {
            settings.insert("distri".into(), serde_json::json!({ "listen": "127.0.0.1:3000" }));
        }
        let rest = EmbeddedOptions::default();
        EmbeddedOptions { workers, equals, profile, listen, peer_listen, settings, ..rest }
    }
}

/// A cluster that runs in this process on a runtime of its own, with threads named `node-…`.
pub struct Cluster {
    runtime: tokio::runtime::Runtime,
    nodes: Vec<Node>,
    token: String,
}

impl Cluster {
    /// Starts all nodes and waits until they are ready. Blocks.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(options: EmbeddedOptions) -> Result<Self, StartError> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.thread_name("node-runtime").enable_all();
        if let Some(threads) = options.threads {
            builder.worker_threads(threads);
        }
        let listen = options.listen.clone();
        let runtime = builder.build().map_err(|source| StartError::Listen { address: listen, source })?;
        let nodes = runtime.block_on(start_nodes(&options))?;
        let cluster = Cluster { runtime, nodes, token: options.token };
        if cluster.wait_ready(READY_PATIENCE) {
            Ok(cluster)
        } else {
            Err(StartError::NotReady(READY_PATIENCE))
        }
    }

    /// Base URLs of all nodes, the control node first.
    pub fn api_urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("http://{}", node.local_addr())).collect()
    }

    /// API addresses (`host:port`) of all nodes, the control node first.
    pub fn api_addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.local_addr().to_string()).collect()
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The nodes' names, the control node first.
    pub fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name().to_owned()).collect()
    }

    /// Waits until every node says that it is ready. False if `patience` ends first. Blocks.
    pub fn wait_ready(&self, patience: Duration) -> bool {
        let client = rt::http::Client::new(rt::http::ClientOptions::default());
        self.runtime.block_on(async {
            let until = rt::time::Instant::now() + patience;
            for address in self.api_addresses() {
                while !is_ready(&client, &address).await {
                    if rt::time::Instant::now() >= until {
                        return false;
                    }
                    rt::time::sleep(Duration::from_millis(20)).await;
                }
            }
            true
        })
    }

    /// Ends all nodes gracefully. Blocks.
    pub fn stop(self) {
        let Cluster { runtime, nodes, .. } = self;
        runtime.block_on(async {
            for node in nodes {
                let name = node.name().to_owned();
                if let Err(error) = node.stop().await {
                    tracing::error!(name, %error, "node did not end well");
                }
            }
        });
    }
}

async fn is_ready(client: &rt::http::Client, address: &str) -> bool {
    let request = http::Request::get("/readyz").body(bytes::Bytes::new());
    let Ok(request) = request else { return false };
    client
        .send(address, request, Duration::from_secs(1))
        .await
        .is_ok_and(|answer| answer.status().is_success())
}

/// Starts the nodes of an embedded cluster on the current runtime.
///
/// # Errors
/// [`StartError`].
pub async fn start_nodes(options: &EmbeddedOptions) -> Result<Vec<Node>, StartError> {
    let ids: Vec<NodeId> = (1..=options.workers + u64::from(!options.equals)).collect();
    let mut peer_listeners = Vec::new();
    let mut peers = BTreeMap::new();
    for &id in &ids {
        let wanted = address_after(&options.peer_listen, id - 1);
        let listener = bind(&wanted).await?;
        let address =
            listener.local_addr().map_err(|source| StartError::Listen { address: wanted, source })?;
        peers.insert(id, address.to_string());
        peer_listeners.push(listener);
    }
    let mut nodes = Vec::new();
    for (id, peer_listener) in ids.into_iter().zip(peer_listeners) {
        let listen = address_after(&options.listen, id - 1);
        let role = match (options.equals, id) {
            (true, _) => Role::All,
            (false, 1) => Role::Control,
            (false, _) => Role::Worker,
        };
        let name = match role {
            Role::All => format!("node-{id}"),
            Role::Control => "control".to_owned(),
            Role::Worker => format!("worker-{}", id - 1),
        };
        let mut node = NodeOptions::new(id, role, &listen, peers.clone(), options.data.join(name));
        node.profile = options.profile;
        node.region = options.regions.iter().cycle().nth((id as usize).saturating_sub(1)).cloned();
        node.token.clone_from(&options.token);
        node.partitions = options.partitions;
        node.tuning = options.tuning;
        node.settings.clone_from(&options.settings);
        node.mode = options.mode;
        // The byte protocol of the first node; the others take the ports after it, as everywhere.
        let bytes = node.settings.get_mut("distri").and_then(|table| table.get_mut("listen"));
        if let Some(serde_json::Value::String(first)) = bytes {
            *first = address_after(first, id - 1);
        }
        node.check()?;
        let api = bind(&listen).await?;
        nodes.push(node::start_on(node, api, peer_listener).await?);
    }
    Ok(nodes)
}

async fn bind(address: &str) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen { address: address.into(), source };
    TcpListener::bind(address).await.map_err(failed)
}

/// The address `offset` ports after `first`; port 0 stays 0.
fn address_after(first: &str, offset: u64) -> String {
    let Some((host, port)) = first.rsplit_once(':') else { return first.to_owned() };
    match port.parse::<u64>() {
        Ok(0) | Err(_) => first.to_owned(),
        Ok(port) => format!("{host}:{}", port + offset),
    }
}
