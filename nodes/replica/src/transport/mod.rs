//! Connections between nodes: one dialled to each peer, kept up while there is something to say.
//!
//! Queues are bounded. A raft message that finds its queue full is dropped (raft sends it again); a
//! request is refused at once. A connection that stays silent for [`SILENCE`] is closed, so a peer that
//! vanished without a word is noticed.

mod dial;
mod listen;

use crate::directory::Directory;
use crate::driver::Event;
use crate::frame::{self, Frame, Request, Response};
use crate::{NodeId, ReplicaOptions};
use rt::task::TaskGroup;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

pub use listen::ReplyTo;
pub(crate) use listen::{listen, submit};

/// Each side of a connection says at least this often that it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// After this long without a frame a connection counts as dead.
pub const SILENCE: Duration = Duration::from_secs(4);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a request to a peer has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was never sent.
    #[error("not sent")]
    NotSent,
    /// It was sent, or perhaps sent, and the connection broke.
    #[error("sent, but the connection broke before the answer")]
    Lost,
}

type Waiting = oneshot::Sender<Result<Response, Failure>>;

/// Connections to all peers of a node.
pub struct Transport {
    node: NodeId,
    cluster: u64,
    peer_queue: usize,
    /// Addresses that somebody wrote down by hand go before those that the cluster remembers: who moves
    /// machines tells every node so.
    configured: BTreeMap<NodeId, String>,
    events: mpsc::WeakSender<Event>,
    known: Mutex<Known>,
    /// Stops the connections with the transport.
    links: TaskGroup,
}

#[derive(Default)]
struct Known {
    directory: Directory,
    peers: BTreeMap<NodeId, Peer>,
}

struct Peer {
    address: String,
    queue: mpsc::Sender<Outgoing>,
    pending: Arc<Pending>,
    /// False while nobody is met at the address.
    reached: Arc<AtomicBool>,
}

/// A frame on its way to a connection.
struct Outgoing {
    bytes: Vec<u8>,
    /// Number of the request in it, if it is one.
    request: Option<u64>,
}

/// Requests without an answer.
#[derive(Default)]
struct Pending(Mutex<PendingState>);

#[derive(Default)]
struct PendingState {
    next: u64,
    waiting: BTreeMap<u64, (Waiting, bool)>,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, PendingState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, waiting: Waiting) -> u64 {
        let mut state = self.lock();
        // Those who gave up waiting are not kept.
        if state.waiting.len() >= 1024 {
            state.waiting.retain(|_, (waiting, _)| !waiting.is_closed());
        }
        let id = state.next;
        state.next += 1;
        state.waiting.insert(id, (waiting, false));
        id
    }

    fn mark_sent(&self, id: u64) {
        if let Some((_, sent)) = self.lock().waiting.get_mut(&id) {
            *sent = true;
        }
    }

    fn settle(&self, id: u64, result: Result<Response, Failure>) {
        let waiting = self.lock().waiting.remove(&id);
        if let Some((waiting, _)) = waiting {
            // Nobody waits any more: the answer has no taker.
            let _ = waiting.send(result);
        }
    }

    /// The connection broke: whatever went over it has no answer any more.
    fn lose_sent(&self) {
        let sent: Vec<u64> =
            self.lock().waiting.iter().filter(|(_, (_, sent))| *sent).map(|(id, _)| *id).collect();
        for id in sent {
            self.settle(id, Err(Failure::Lost));
        }
    }
}

impl Transport {
    /// Starts a task for each peer; news of unreachable peers go to `events`.
    pub fn start(options: &ReplicaOptions, events: &mpsc::Sender<Event>) -> Arc<Self> {
        let transport = Transport {
            node: options.node,
            cluster: options.cluster,
            peer_queue: options.peer_queue,
            configured: options.peers.clone(),
            events: events.downgrade(),
            known: Mutex::default(),
            links: TaskGroup::default(),
        };
        let configured = Directory::configured(options.peers.clone());
        transport.connect(&mut transport.lock(), configured);
        Arc::new(transport)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes as they are known now.
    pub fn directory(&self) -> Directory {
        self.lock().directory.clone()
    }

    /// True if `node` was removed from the cluster.
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.lock().directory.removed.contains(&node)
    }

    /// True if `node` can be sent to.
    pub fn knows(&self, node: NodeId) -> bool {
        self.lock().peers.contains_key(&node)
    }

    /// True if `node` can be sent to, and was met where it is thought to be when it was last looked for.
    pub fn reaches(&self, node: NodeId) -> bool {
        self.lock().peers.get(&node).is_some_and(|peer| peer.reached.load(Ordering::Relaxed))
    }

    /// What another node says of the nodes' addresses, from its table of that version. The table itself,
    /// when it comes, says more: it goes before what was heard, even if it is newer by one only.
    pub fn hear(&self, version: u64, addresses: BTreeMap<NodeId, String>) {
        let mut known = self.lock();
        if version <= known.directory.version {
            return;
        }
        let (started, removed) = (addresses.keys().copied().collect(), known.directory.removed.clone());
        self.connect(&mut known, Directory { version: version - 1, addresses, started, removed });
    }

    /// Newer news of the nodes: connections to new ones begin, those to others end.
    pub fn learn(&self, directory: Directory) {
        let mut known = self.lock();
        if directory.version > known.directory.version {
            self.connect(&mut known, directory);
        }
    }

    fn connect(&self, known: &mut Known, mut directory: Directory) {
        for (node, address) in &mut directory.addresses {
            if let Some(configured) = self.configured.get(node) {
                address.clone_from(configured);
            }
        }
        let addresses = &directory.addresses;
        known.peers.retain(|node, peer| addresses.get(node) == Some(&peer.address));
        for (&node, address) in addresses.iter().filter(|(node, _)| **node != self.node) {
            known.peers.entry(node).or_insert_with(|| self.dial(node, address));
        }
        known.directory = directory;
    }

    fn dial(&self, node: NodeId, address: &str) -> Peer {
        let (queue, receiver) = mpsc::channel(self.peer_queue);
        let pending = Arc::new(Pending::default());
        let reached = Arc::new(AtomicBool::new(true));
        let (from, to) = (self.node, node);
        let hello = Frame::Hello { protocol: frame::PROTOCOL, cluster: self.cluster, from, to };
        self.links.spawn(dial::run(dial::Link {
            peer: node,
            address: address.to_owned(),
            hello: frame::encode(&hello),
            queue: receiver,
            pending: pending.clone(),
            reached: reached.clone(),
            events: self.events.clone(),
        }));
        Peer { address: address.to_owned(), queue, pending, reached }
    }

    /// Sends a frame to `peer`, if there is room for it now. False if it was dropped.
    pub fn send(&self, peer: NodeId, frame: &Frame) -> bool {
        let known = self.lock();
        let Some(peer) = known.peers.get(&peer) else { return false };
        peer.queue.try_send(Outgoing { bytes: frame::encode(frame), request: None }).is_ok()
    }

    /// Sends a frame to all peers that have room for it now.
    pub fn broadcast(&self, frame: &Frame) {
        let bytes = frame::encode(frame);
        for peer in self.lock().peers.values() {
            // Dropped where there is no room: what is broadcast is said again.
            let _ = peer.queue.try_send(Outgoing { bytes: bytes.clone(), request: None });
        }
    }

    /// Sends a frame to `peer` and waits for room.
    pub async fn send_waiting(&self, peer: NodeId, frame: &Frame) -> bool {
        let queue = self.lock().peers.get(&peer).map(|peer| peer.queue.clone());
        let Some(queue) = queue else { return false };
        queue.send(Outgoing { bytes: frame::encode(frame), request: None }).await.is_ok()
    }

    /// Asks `peer` and waits for its answer, without a deadline of its own.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn request(&self, peer: NodeId, request: Request) -> Result<Response, Failure> {
        let peer = self.lock().peers.get(&peer).map(|peer| (peer.queue.clone(), peer.pending.clone()));
        let (queue, pending) = peer.ok_or(Failure::NotSent)?;
        let (waiting, answer) = oneshot::channel();
        let id = pending.add(waiting);
        let bytes = frame::encode(&Frame::Request { id, request });
        if queue.try_send(Outgoing { bytes, request: Some(id) }).is_err() {
            pending.settle(id, Err(Failure::NotSent));
        }
        // Only the connection may keep them alive: they end with it.
        drop((queue, pending));
        // The sender lives in `pending` until it is settled.
        answer.await.unwrap_or(Err(Failure::Lost))
    }
}
