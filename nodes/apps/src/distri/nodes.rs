//! The cloud's nodes, as they know each other.
//!
//! Each tells group 0 every 3 s where its byte protocol is and by which key it signs, and two random others
//! every second how loaded it is: `UpdateInfo`, which answers nodes only. A node is whose key is allowed in
//! the configuration; where no key is, the keys that nodes told group 0 are, which no client can.
//!
//! A node that has no byte protocol tells nothing. It only lets time pass while there are peers.

use super::APP;
use super::command::{Command, NodeRow, Reply};
use super::functions::Functions;
use super::query::Query;
use crate::META_GROUP;
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use client::distri::{Client, ClientOptions, NodeInfo, Request, hex, prove};
use replica::frame::Consistency;
use rt::net::TcpListener;
use rt::time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Pause between two exchanges.
const EXCHANGE: Duration = Duration::from_secs(1);
/// Exchanges between two heartbeats.
const BEAT: u64 = 3;
/// How long another node may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Whom a node tells at a time.
const TOLD: usize = 2;

/// What nodes tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// Who tells it.
    pub name: String,
    /// Where its byte protocol is.
    pub address: String,
    /// Tasks that run or wait there.
    pub load: u32,
}

/// What a node knows of itself and of the others.
#[derive(Default)]
pub struct Cloud {
    secret: OnceLock<[u8; 32]>,
    address: OnceLock<String>,
    /// A peer was heard of here.
    peers: AtomicBool,
    known: Mutex<Known>,
    /// Bound when the node started, until the byte protocol is served on it.
    listener: Mutex<Option<TcpListener>>,
}

#[derive(Default)]
struct Known {
    nodes: Vec<NodeRow>,
    /// By address.
    loads: BTreeMap<String, u32>,
}

impl Cloud {
    /// Keeps what the byte protocol is to be served on.
    pub fn set_listener(&self, listener: TcpListener) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// What the byte protocol is to be served on, once.
    pub fn take_listener(&self) -> Option<TcpListener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Sets the key that this node signs by; without, it draws one.
    pub fn set_secret(&self, secret: [u8; 32]) {
        // Once set it stays: the settings are read once.
        let _ = self.secret.set(secret);
    }

    fn secret(&self) -> &[u8; 32] {
        self.secret.get_or_init(|| {
            let mut drawn = [0; 32];
            rt::random::fill(&mut drawn);
            drawn
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that there are peers.
    pub fn heard_of_peers(&self) {
        self.peers.store(true, Ordering::Relaxed);
    }

    fn info(&self, cluster: &Cluster) -> Info {
        let address = self.address.get().cloned().unwrap_or_default();
        Info { name: cluster.options().name.clone(), address, load: cluster.own::<Functions>().load() }
    }
}

/// Whether a key is that of a node.
pub async fn is_node(cluster: &Cluster, allowed: &[[u8; 32]], key: &[u8; 32]) -> bool {
    if !allowed.is_empty() {
        return allowed.contains(key);
    }
    let cloud = cluster.own::<Cloud>();
    let known = || cloud.known().nodes.iter().any(|node| node.key == *key);
    known() || (refresh(cluster, Consistency::Linearizable).await.is_ok() && known())
}

/// `UpdateInfo`: hears how another node is, and tells how this one is.
pub fn update(cluster: &Cluster, told: Option<Info>) -> Info {
    let cloud = cluster.own::<Cloud>();
    if let Some(Info { address, load, .. }) = told {
        let mut known = cloud.known();
        if known.nodes.iter().any(|node| node.address == address) {
            rt::reachable!("distri: a node heard of another's load");
            known.loads.insert(address, load);
        }
    }
    cloud.info(cluster)
}

/// `Nodes`: all that live, with their loads as far as they are known here.
///
/// # Errors
/// [`ApiError`].
pub async fn list(cluster: &Cluster) -> Result<Vec<NodeInfo>, ApiError> {
    refresh(cluster, Consistency::Linearizable).await?;
    let cloud = cluster.own::<Cloud>();
    let own = cloud.info(cluster);
    let known = cloud.known();
    let info = |node: &NodeRow| {
        let (name, address) = (node.name.clone(), node.address.clone());
        let heard = known.loads.get(&address).copied().unwrap_or(0);
        let load = if address == own.address { own.load } else { heard };
        NodeInfo { name, address, key: hex::encode(&node.key), load }
    };
    Ok(known.nodes.iter().map(info).collect())
}

async fn refresh(cluster: &Cluster, consistency: Consistency) -> Result<(), ApiError> {
    cluster.check_format(crate::cluster::GUESTS).await?;
    let (nodes, _): (Vec<NodeRow>, _) = cluster.query(&APP, META_GROUP, &Query::Nodes, consistency).await?;
    let cloud = cluster.own::<Cloud>();
    let mut known = cloud.known();
    known.loads.retain(|address, _| nodes.iter().any(|node| node.address == *address));
    known.nodes = nodes;
    Ok(())
}

/// Takes part in the cloud for as long as the node runs; its byte protocol is reached at `address`.
pub async fn live(cluster: Cluster, address: String) {
    let cloud = cluster.own::<Cloud>();
    let key = prove::public(cloud.secret());
    tracing::info!(address, key = hex::encode(&key), "node of the cloud");
    let _ = cloud.address.set(address.clone());
    let mut others: BTreeMap<String, Client> = BTreeMap::new();
    for round in 0.. {
        let id = cluster.node();
        if id != 0 && round % BEAT == 0 {
            let name = cluster.options().name.clone();
            beat(&cluster, &Command::Node(NodeRow { id, name, address: address.clone(), key })).await;
        }
        if refresh(&cluster, Consistency::Stale).await.is_ok() {
            exchange(&cluster, &cloud, &mut others).await;
        }
        time::sleep(EXCHANGE).await;
    }
}

async fn beat(cluster: &Cluster, command: &Command) {
    // The next one comes soon enough.
    if let Err(error) = cluster.command::<Reply>(&APP, META_GROUP, None, command).await {
        tracing::debug!(%error, "heartbeat failed");
    }
}

/// Tells some of the others how this node is, and hears how they are.
async fn exchange(cluster: &Cluster, cloud: &Cloud, others: &mut BTreeMap<String, Client>) {
    let own = cloud.info(cluster);
    let mut addresses: Vec<String> = cloud.known().nodes.iter().map(|node| node.address.clone()).collect();
    addresses.retain(|address| *address != own.address);
    others.retain(|address, _| addresses.contains(address));
    // Serialisation of plain data into memory has no way to fail.
    let data = serde_json::to_vec(&own).unwrap_or_default();
    for _ in 0..TOLD.min(addresses.len()) {
        let place = usize::try_from(rt::random::u64() % addresses.len() as u64).unwrap_or(0);
        let address = addresses.swap_remove(place);
        let client = others.entry(address.clone()).or_insert_with(|| {
            let options = ClientOptions::new(vec![address.clone()]);
            let (deadline, attempt) = (PATIENCE, PATIENCE);
            Client::new(ClientOptions { deadline, attempt, secret: Some(*cloud.secret()), ..options })
        });
        let request = Request { service: "UpdateInfo".into(), data: data.clone(), ..Request::default() };
        let info = client.send(request).await.ok();
        let info = info.and_then(|answer| serde_json::from_slice::<Info>(&answer).ok());
        let mut known = cloud.known();
        match info {
            Some(info) => known.loads.insert(address, info.load),
            None => known.loads.remove(&address),
        };
    }
}

/// Lets time pass while there are peers, on a node without byte protocol.
pub async fn keep_time(cluster: Cluster) {
    let cloud = cluster.own::<Cloud>();
    loop {
        time::sleep(EXCHANGE * 2).await;
        if !cloud.peers.load(Ordering::Relaxed) {
            continue;
        }
        beat(&cluster, &Command::Tick).await;
        let peers = cluster.query(&APP, META_GROUP, &Query::Peers, Consistency::Stale).await;
        let peers: Option<(Vec<(String, String)>, u64)> = peers.ok();
        if peers.is_some_and(|(peers, _)| peers.is_empty()) {
            cloud.peers.store(false, Ordering::Relaxed);
        }
    }
}
