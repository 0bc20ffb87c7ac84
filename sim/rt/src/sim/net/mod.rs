//! The network between machines: TCP connections as ordered pipes, datagrams, and what can go wrong.
//!
//! | module | what it holds |
//! |---|---|
//! | [`link`] | latencies, and what a link can be told to do: plain data |
//! | `road` | what becomes of one segment on such a link |
//! | `links` | injections: degraded and cut links, clogs, resets, forgotten connections |
//! | `connection`, `stream`, `listener` | the two ends and the pipes between them |
//! | `dial` | listening and connecting |
//! | `wire` | how segments travel, are held, sent again and given up |
//! | `silence` | what peers notice of a machine that stops |
//! | `datagram` | UDP |
//!
//! What it knows: latency, jitter, loss as TCP shows it (later, or at last a failure), bandwidth and
//! queues; cuts by direction; a handshake that needs both directions, hangs without them and gives up in
//! time; refusal, reset, half-open connections after a silent loss; bounded windows with back-pressure. A
//! way from a machine to itself is short and never disturbed. What it leaves out: congestion control, keep-
//! alive probes (nobody here asks for them), and segments smaller than a write.

mod connection;
mod datagram;
mod dial;
pub mod link;
mod links;
mod listener;
mod road;
mod silence;
mod stream;
mod wire;

use super::injection::Bites;
use super::machine::MachineId;
use super::rng::{Purpose, Rng};
use connection::Connection;
use datagram::{Letter, Mailbox};
use listener::Backlog;
use road::{Barrier, Dice, Road, Trip};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

pub(crate) use datagram::Socket;
pub use link::{Connects, Latency, Link};
pub(crate) use listener::Listener;
pub(crate) use silence::Silence;
pub(crate) use stream::Stream;

/// Bytes in flight and unread that a direction of a connection holds before its writer must wait.
pub(crate) const WINDOW_BYTES: usize = 256 * 1024;
/// First ephemeral port, as on Linux.
const FIRST_EPHEMERAL_PORT: u16 = 32_768;
/// From a machine to itself.
const LOOPBACK: Latency = Latency::Uniform { min: Duration::from_micros(10), max: Duration::from_micros(30) };
/// Streams of [`Purpose::Network`], one for each use.
const CALM: u32 = 0;
const FAULTS: u32 = 1;
const SHORT_IO: u32 = 2;

type Way = (MachineId, MachineId);

pub(crate) struct Net {
    dice: Dice,
    /// Draws how short reads and writes are.
    short_io: Rng,
    listeners: BTreeMap<(MachineId, u16), Arc<Backlog>>,
    mailboxes: BTreeMap<(MachineId, u16), Arc<Mailbox>>,
    /// Links with which something is wrong: none, most of the time.
    roads: BTreeMap<Way, Road>,
    connections: BTreeMap<u64, Weak<Connection>>,
    /// So many connections are known before those that are gone are looked for.
    sweep_at: usize,
    next_connection: u64,
    next_port: BTreeMap<MachineId, u16>,
    /// Who waits for a clog to end.
    clogged: Vec<Waker>,
    /// Datagrams in clogs.
    clogged_letters: BTreeMap<Way, Vec<Letter>>,
    /// When the last datagram on a way arrives, so that none overtakes it by chance.
    last_letters: BTreeMap<Way, Instant>,
    /// Segments that were held back.
    held_segments: u64,
    /// Connection requests that a cut swallowed.
    held_connects: u64,
}

impl Net {
    pub(crate) fn new(seed: u64, latency: Latency) -> Self {
        let stream = |number| Rng::numbered(seed, Purpose::Network, number);
        Net {
            dice: Dice { calm: stream(CALM), faults: stream(FAULTS), latency },
            short_io: stream(SHORT_IO),
            listeners: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            roads: BTreeMap::new(),
            connections: BTreeMap::new(),
            sweep_at: 64,
            next_connection: 1,
            next_port: BTreeMap::new(),
            clogged: Vec::new(),
            clogged_letters: BTreeMap::new(),
            last_letters: BTreeMap::new(),
            held_segments: 0,
            held_connects: 0,
        }
    }

    /// What stands across a way.
    fn barrier(&self, way: Way) -> Option<Barrier> {
        if way.0 == way.1 { None } else { self.roads.get(&way)?.barrier() }
    }

    /// True if what is sent on a way is lost.
    fn is_cut(&self, way: Way) -> bool {
        self.barrier(way) == Some(Barrier::Cut)
    }

    fn road(&mut self, way: Way) -> Option<&mut Road> {
        if way.0 == way.1 { None } else { self.roads.get_mut(&way) }
    }

    fn calm_latency(&mut self, way: Way) -> Duration {
        let latency = if way.0 == way.1 { LOOPBACK } else { self.dice.latency };
        latency.draw(&mut self.dice.calm)
    }

    /// What becomes of a segment that is sent, again if need be, for `limit` at most.
    fn segment(&mut self, bites: &mut Bites, way: Way, now: Instant, bytes: usize, limit: Duration) -> Trip {
        if way.0 != way.1
            && let Some(road) = self.roads.get_mut(&way)
        {
            return road.segment(&mut self.dice, bites, now, bytes, limit);
        }
        Trip::arrives(self.calm_latency(way))
    }

    /// How long a packet is under way that is sent once, past all barriers; `None` if it is lost.
    fn packet(&mut self, bites: &mut Bites, way: Way, now: Instant, bytes: usize) -> Option<Duration> {
        if way.0 != way.1
            && let Some(road) = self.roads.get_mut(&way)
        {
            return road.once(&mut self.dice, bites, now, Duration::ZERO, bytes);
        }
        Some(self.calm_latency(way))
    }

    fn add_connection(&mut self, id: u64, connection: &Arc<Connection>) {
        if self.connections.len() >= self.sweep_at {
            self.connections.retain(|_, connection| connection.strong_count() > 0);
            self.sweep_at = 64.max(2 * self.connections.len());
        }
        self.connections.insert(id, Arc::downgrade(connection));
    }

    fn ephemeral_port(&mut self, machine: MachineId) -> u16 {
        let next = self.next_port.entry(machine).or_insert(FIRST_EPHEMERAL_PORT);
        let port = *next;
        *next = next.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
        port
    }
}
