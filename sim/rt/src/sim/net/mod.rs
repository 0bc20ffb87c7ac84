//! The network between machines: connections as ordered pipes with latency, cuts and dead ends.
//!
//! What it knows: one latency range for all links, cuts by direction (segments sent into a cut are held
//! and retransmitted after it heals, as TCP does), a handshake that needs both directions and hangs
//! across a cut, refusal where nobody listens, reset after a crash, silence after a power loss, bounded
//! windows with back-pressure, end of stream after a close, reset after a close with unread bytes. What it
//! leaves out: loss, bandwidth, reordering, resets by time limit.

mod connection;
mod cuts;
mod links;
mod listener;
mod stream;
mod wire;

use super::machine::MachineId;
use super::rng::Rng;
use connection::Connection;
use listener::Backlog;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

pub(crate) use listener::Listener;
pub(crate) use stream::Stream;

/// Bytes in flight and unread that a direction of a connection holds before its writer must wait.
const WINDOW_BYTES: usize = 256 * 1024;
/// First ephemeral port, as on Linux.
const FIRST_EPHEMERAL_PORT: u16 = 32_768;
/// First retransmission of a lost connection request, doubled each time.
const SYN_RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Net {
    rng: Rng,
    listeners: BTreeMap<(MachineId, u16), Arc<Backlog>>,
    cuts: BTreeMap<(MachineId, MachineId), u32>,
    connections: BTreeMap<u64, Weak<Connection>>,
    next_connection: u64,
    next_port: BTreeMap<MachineId, u16>,
    /// Segments that a cut held back.
    held_segments: u64,
    /// Connection requests that a cut swallowed.
    held_connects: u64,
}

impl Net {
    pub(crate) fn new(rng: Rng) -> Self {
        Net {
            rng,
            listeners: BTreeMap::new(),
            cuts: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 1,
            next_port: BTreeMap::new(),
            held_segments: 0,
            held_connects: 0,
        }
    }

    fn is_cut(&self, from: MachineId, to: MachineId) -> bool {
        self.cuts.contains_key(&(from, to))
    }

    fn ephemeral_port(&mut self, machine: MachineId) -> u16 {
        let next = self.next_port.entry(machine).or_insert(FIRST_EPHEMERAL_PORT);
        let port = *next;
        *next = next.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
        port
    }
}

/// What peers of a stopped machine notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Its kernel answers with a reset.
    Reset,
    /// Nothing.
    Mute,
}
