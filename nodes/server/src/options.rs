//! What a node is started with, and what is refused.

use crate::modes::Mode;
use crate::topology::Topology;
use apps::http::rate_limit::RateLimit;
use apps::meta::Regions;
use apps::metricstream::queue::Brokers;
use apps::{Auth, Profile};
use replica::NodeId;
use replica::observe::Observer;
use rt::http::ServeOptions;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Votes on placement, forwards requests; holds data only where there are fewer than three workers.
    Control,
    /// Holds partitions.
    Worker,
    /// Both: equal peers.
    All,
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "control" => Ok(Role::Control),
            "worker" => Ok(Role::Worker),
            "all" => Ok(Role::All),
            _ => Err(format!("no role {text:?}; allowed are control, worker, all")),
        }
    }
}

/// Raft's pace and limits. The defaults suit a cluster on one network.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Raft's unit of time.
    pub tick: Duration,
    /// Ticks without a leader before an election.
    pub election_ticks: usize,
    /// Ticks between heartbeats.
    pub heartbeat_ticks: usize,
    /// Log entries that make a group compact its log.
    pub compact_after_entries: usize,
    /// Entries kept for followers that are a little behind.
    pub trailing_entries: u64,
    /// Bytes in a chunk of a snapshot.
    pub snapshot_chunk_bytes: usize,
    /// Commands in one log entry at most.
    pub max_batch: usize,
    /// Page cache of the store.
    pub cache_bytes: usize,
    /// The format that the node says it speaks: below [`replica::bootstrap::FORMAT`], members cannot change.
    pub format: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            tick: Duration::from_millis(100),
            election_ticks: 10,
            heartbeat_ticks: 2,
            compact_after_entries: 8192,
            trailing_entries: 512,
            snapshot_chunk_bytes: 256 << 10,
            max_batch: 1024,
            cache_bytes: 8 << 20,
            format: replica::bootstrap::FORMAT,
        }
    }
}

/// Everything a node is started with: the same type for the binary and for the simulator.
#[derive(Clone)]
pub struct NodeOptions {
    /// This node, as configured. What its data folder says goes before it. 0 only with `join`.
    pub id: NodeId,
    /// Peer addresses of members of a running cluster, which gives this node its id. Empty for a node of
    /// the configured ones.
    pub join: Vec<String>,
    /// A node whose data are lost or damaged sets them aside and joins again as another member, instead of
    /// ending.
    pub rebuild: bool,
    /// The node's name; without it, one is made of role and id.
    pub name: Option<String>,
    /// What fails together with this node: a data centre, a rack. Groups are spread over regions.
    pub region: Option<String>,
    /// What it does.
    pub role: Role,
    /// Nodes with the role control. Ignored (and taken as none) with [`Role::All`].
    pub control: Vec<NodeId>,
    /// API address.
    pub listen: String,
    /// Peer address to listen on.
    pub peer_listen: String,
    /// With `join`: the peer address at which others reach this node. Without it: where it listens.
    pub peer: Option<String>,
    /// Peer address of every node, this one included.
    pub peers: BTreeMap<NodeId, String>,
    /// Folder of the node's files.
    pub data: PathBuf,
    /// The listener's profile.
    pub profile: Profile,
    /// Further API addresses, each with a profile of its own.
    pub listeners: Vec<(Profile, String)>,
    /// Who is asked for the token.
    pub auth: Auth,
    /// Bearer token.
    pub token: String,
    /// Allows the development token on an address that is not loopback.
    pub allow_dev_token: bool,
    /// Partitions of a new cluster; an existing one keeps its own.
    pub partitions: u32,
    /// Clusters with different numbers do not talk to each other.
    pub cluster: u64,
    /// How long a request may take inside the cluster.
    pub request_deadline: Duration,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// What one client (an IP address) may ask of this node; `None` is no limit.
    pub rate_limit: Option<RateLimit>,
    /// The apps' own settings: tables of the configuration file by the apps' names.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Where MetricStream's message brokers come from. `None`: those of the build.
    pub brokers: Option<Brokers>,
    /// How the API is served.
    pub mode: Mode,
    /// Limits of the HTTP server.
    pub http: ServeOptions,
    /// Raft's pace and limits.
    pub tuning: Tuning,
    /// Watches, for a judge. `None` in production.
    pub observer: Option<Arc<dyn Observer>>,
}

/// What is wrong with a node's options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The id is 0.
    #[error("id 0 is not allowed; ids begin at 1")]
    ZeroId,
    /// The node is not among its peers.
    #[error("node {0} is missing from its own peers; `peers` lists every node, this one included")]
    NotAPeer(NodeId),
    /// Role and list of control nodes disagree.
    #[error("node {id} has the role {role:?}, but the control nodes are {control:?}")]
    RoleMismatch {
        /// The node.
        id: NodeId,
        /// Its role.
        role: Role,
        /// The list.
        control: Vec<NodeId>,
    },
    /// No node would hold data.
    #[error("all nodes are control nodes; at least one must be a worker")]
    NoWorkers,
    /// Out of range.
    #[error("partitions must lie in 1..=1024, not {0}")]
    Partitions(u32),
    /// The development token would be open to the network.
    #[error(
        "the development token is public: on {listen}, which is not loopback, set a token of your own \
         (--token or SEEDSTORM_TOKEN), or pass --allow-dev-token if you know that nobody else reaches it"
    )]
    DevToken {
        /// The address.
        listen: String,
    },
    /// A mode for one node, and a cluster of more.
    #[error(
        "the modes sequential, threads and async are those of a node alone; a cluster has the mode cluster"
    )]
    Mode,
    /// No name for a region.
    #[error("{0:?} is no region; it has 1 to 64 letters, digits, `-`, `_` and `.`")]
    Region(String),
    /// A setting of an app makes no sense.
    #[error("{0}")]
    Settings(String),
    /// A token that no header can carry.
    #[error("the token must be 8 or more visible ASCII characters")]
    BadToken,
}

impl NodeOptions {
    /// Options of node `id` with defaults for everything that has one.
    pub fn new(id: NodeId, role: Role, listen: &str, peers: BTreeMap<NodeId, String>, data: PathBuf) -> Self {
        NodeOptions {
            id,
            join: Vec::new(),
            rebuild: peers.len() > 1,
            name: None,
            region: None,
            role,
            control: vec![1],
            listen: listen.into(),
            peer_listen: peers.get(&id).cloned().unwrap_or_default(),
            peer: None,
            peers,
            data,
            profile: Profile::default(),
            listeners: Vec::new(),
            auth: Auth::default(),
            token: client::DEV_TOKEN.into(),
            allow_dev_token: false,
            partitions: 4,
            cluster: 1,
            request_deadline: Duration::from_secs(5),
            max_body_bytes: 64 << 10,
            rate_limit: None,
            settings: BTreeMap::new(),
            brokers: None,
            mode: Mode::default(),
            http: ServeOptions::default(),
            tuning: Tuning::default(),
            observer: None,
        }
    }

    /// Options of a node that joins the cluster that the nodes at `members` belong to, and is reached by
    /// others at `peer` and `api`.
    pub fn joining(members: Vec<String>, role: Role, peer: &str, api: &str, data: PathBuf) -> Self {
        let mut options = NodeOptions::new(0, role, api, BTreeMap::new(), data);
        options.peer_listen = peer.into();
        options.peer = Some(peer.into());
        options.join = members;
        options.rebuild = true;
        options
    }

    /// True if requests to `listen` need the token in every profile: the network reaches it, and nobody has
    /// said that only friends do.
    pub(crate) fn is_exposed(&self, listen: &str) -> bool {
        !is_loopback(listen) && !self.is_open()
    }

    /// True if the development token is this node's, and allowed off loopback.
    pub(crate) fn is_open(&self) -> bool {
        self.allow_dev_token && self.token == client::DEV_TOKEN
    }

    /// The address at which other nodes reach this one.
    pub fn peer_address(&self) -> String {
        self.peers.get(&self.id).or(self.peer.as_ref()).unwrap_or(&self.peer_listen).clone()
    }

    /// The API address at which others reach this node, which listens on `bound`: a port that the system
    /// chose is known only now, and "every address" is no address, so that the host is the one that peers
    /// use.
    pub fn api_address(&self, bound: SocketAddr) -> String {
        let host = |address: &str| address.rsplit_once(':').map(|(host, _)| host.to_owned());
        let own = if bound.ip().is_unspecified() { host(&self.peer_address()) } else { host(&self.listen) };
        own.map_or_else(|| bound.to_string(), |host| format!("{host}:{}", bound.port()))
    }

    /// The node's name.
    pub fn name(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None if self.join.is_empty() => self.topology().name(self.id),
            None => format!("node-{}", self.peer_address()),
        }
    }

    /// The cluster's nodes.
    pub fn topology(&self) -> Topology {
        let control = if self.role == Role::All { &[][..] } else { &self.control };
        Topology {
            nodes: self.peers.keys().copied().collect(),
            control: control.iter().copied().filter(|id| self.peers.contains_key(id)).collect(),
        }
    }

    /// Refuses what cannot work or must not be.
    ///
    /// # Errors
    /// [`OptionsError`].
    pub fn check(&self) -> Result<(), OptionsError> {
        if !(1..=1024).contains(&self.partitions) {
            return Err(OptionsError::Partitions(self.partitions));
        }
        if let Some(region) = self.region.as_ref().filter(|region| !Regions::is_sound(region)) {
            return Err(OptionsError::Region(region.clone()));
        }
        if self.mode.is_alone() && (self.peers.len() > 1 || !self.join.is_empty()) {
            return Err(OptionsError::Mode);
        }
        if !self.join.is_empty() {
            return self.check_token();
        }
        if self.id == 0 || self.peers.contains_key(&0) {
            return Err(OptionsError::ZeroId);
        }
        if !self.peers.contains_key(&self.id) {
            return Err(OptionsError::NotAPeer(self.id));
        }
        let topology = self.topology();
        if self.role != Role::All && (self.role == Role::Control) != topology.control.contains(&self.id) {
            let (id, role, control) = (self.id, self.role, self.control.clone());
            return Err(OptionsError::RoleMismatch { id, role, control });
        }
        // Who founds a cluster alone may wait for workers to join.
        if topology.workers().is_empty() && self.peers.len() > 1 {
            return Err(OptionsError::NoWorkers);
        }
        self.check_token()
    }

    fn check_token(&self) -> Result<(), OptionsError> {
        if self.token.len() < 8 || !self.token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OptionsError::BadToken);
        }
        let addresses = self.listeners.iter().map(|(_, listen)| listen).chain([&self.listen]);
        let exposed = addresses.into_iter().find(|listen| !is_loopback(listen));
        if let Some(listen) = exposed.filter(|_| !self.allow_dev_token && self.token == client::DEV_TOKEN) {
            return Err(OptionsError::DevToken { listen: listen.clone() });
        }
        Ok(())
    }
}

/// True if only this machine reaches `address`. Names other than `localhost` count as reachable.
pub fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(id: NodeId, role: Role) -> NodeOptions {
        let peers = (1..=4).map(|id| (id, format!("127.0.0.1:{}", 9089 + id))).collect();
        NodeOptions::new(id, role, "127.0.0.1:8080", peers, "data".into())
    }

    #[test]
    fn the_development_token_stays_on_loopback() {
        let mut node = options(1, Role::Control);
        assert_eq!(node.check(), Ok(()));
        for listen in ["0.0.0.0:8080", "10.0.0.1:8080", "[::]:8080", "example.org:80"] {
            node.listen = listen.into();
            assert_eq!(node.check(), Err(OptionsError::DevToken { listen: listen.into() }));
        }
        node.allow_dev_token = true;
        assert_eq!(node.check(), Ok(()));
        node.allow_dev_token = false;
        node.token = "a-token-of-my-own".into();
        assert_eq!(node.check(), Ok(()));
    }

    #[test]
    fn what_others_are_told_is_where_they_reach_it() {
        let mut node = options(2, Role::Worker);
        node.peers.insert(2, "worker1:9090".into());
        let told = |node: &NodeOptions, bound: &str| node.api_address(bound.parse().unwrap());
        for (listen, bound, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080"),
            ("127.0.0.1:0", "127.0.0.1:40123", "127.0.0.1:40123"),
            ("localhost:0", "127.0.0.1:40123", "localhost:40123"),
            ("0.0.0.0:8080", "0.0.0.0:8080", "worker1:8080"),
            ("[::]:8080", "[::]:8080", "worker1:8080"),
            ("[::1]:0", "[::1]:40123", "[::1]:40123"),
        ] {
            node.listen = listen.into();
            assert_eq!(told(&node, bound), address, "{listen}");
        }
        let members = vec!["control:9090".to_owned()];
        let mut newcomer =
            NodeOptions::joining(members, Role::Worker, "box:9090", "0.0.0.0:8080", "data".into());
        newcomer.peer_listen = "0.0.0.0:9090".into();
        assert_eq!(newcomer.peer_address(), "box:9090", "not where it listens");
        assert_eq!(told(&newcomer, "0.0.0.0:8080"), "box:8080");
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(options(0, Role::Worker).check(), Err(OptionsError::ZeroId));
        assert_eq!(options(9, Role::Worker).check(), Err(OptionsError::NotAPeer(9)));
        for region in ["", "eu west", "eu/1"] {
            let mut node = options(2, Role::Worker);
            node.region = Some(region.into());
            assert_eq!(node.check(), Err(OptionsError::Region(region.into())));
        }
        assert!(matches!(options(2, Role::Control).check(), Err(OptionsError::RoleMismatch { .. })));
        assert!(matches!(options(1, Role::Worker).check(), Err(OptionsError::RoleMismatch { .. })));
        let mut none = options(1, Role::Control);
        none.control = vec![1, 2, 3, 4];
        assert_eq!(none.check(), Err(OptionsError::NoWorkers));
        none = options(1, Role::Control);
        none.partitions = 0;
        assert_eq!(none.check(), Err(OptionsError::Partitions(0)));
        none.partitions = 1;
        none.token = "short".into();
        assert_eq!(none.check(), Err(OptionsError::BadToken));
    }

    #[test]
    fn loopback_is_told_from_the_world() {
        assert!(["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1"].into_iter().all(is_loopback));
        assert!(!["0.0.0.0:1", "192.168.0.1:1", "node-1:1"].into_iter().any(is_loopback));
    }
}
