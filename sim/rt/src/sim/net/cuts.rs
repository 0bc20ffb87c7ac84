//! Cuts and dead ends: what holds segments back, and what lets them go.

use super::Silence;
use super::connection::{Connection, Content};
use crate::sim::World;
use crate::sim::machine::MachineId;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

impl World {
    pub(super) fn connections(&self) -> Vec<Arc<Connection>> {
        self.state().net.connections.values().filter_map(Weak::upgrade).collect()
    }

    /// Cuts the way from one machine to another. Cuts add up: each needs its own [`World::heal`].
    pub fn cut(&self, from: MachineId, to: MachineId) {
        *self.state().net.cuts.entry((from, to)).or_default() += 1;
        self.record(from.number(), "cut", u64::from(to.number()), 0);
    }

    /// Takes one cut away; with the last one, what it held back is sent again.
    pub fn heal(&self, from: MachineId, to: MachineId) {
        {
            let mut state = self.state();
            let Some(depth) = state.net.cuts.get_mut(&(from, to)) else { return };
            *depth -= 1;
            if *depth > 0 {
                return;
            }
            state.net.cuts.remove(&(from, to));
        }
        self.record(from.number(), "heal", u64::from(to.number()), 0);
        for connection in self.connections() {
            for side in [0, 1] {
                if connection.link(side) == (from, to) {
                    self.release(&connection, side);
                    let owed = std::mem::take(&mut connection.pipes[1 - side].lock().reset_owed);
                    if owed {
                        let pause = self.retransmission_pause();
                        self.answer_with_reset(&connection, 1 - side, pause);
                    }
                }
            }
        }
    }

    /// Sends again what was held back on one direction of a connection.
    pub(super) fn release(&self, connection: &Connection, side: usize) {
        let (held, closed) = {
            let mut out = connection.pipes[side].lock();
            if out.reader_mute {
                return;
            }
            (std::mem::take(&mut out.held), out.reader_closed)
        };
        if held.is_empty() {
            return;
        }
        let pause = self.retransmission_pause();
        if closed {
            return self.answer_with_reset(connection, side, pause);
        }
        for content in held {
            connection.pipes[side].send(self, content, pause);
        }
    }

    /// From the heal of a cut until what it swallowed arrives.
    pub(super) fn retransmission_pause(&self) -> Duration {
        // The retransmission timer has backed off; it fires some time after the way is free.
        let backed_off = Duration::from_millis(self.state().net.rng.between(1, 400));
        backed_off + self.latency()
    }

    /// How many segments and connection requests cuts have held back so far.
    pub fn held_back(&self) -> u64 {
        let state = self.state();
        state.net.held_segments + state.net.held_connects
    }

    /// Closes all sockets of a machine that stops; peers notice as `silence` says.
    pub(crate) fn close_sockets(&self, machine: MachineId, silence: Silence) {
        let backlogs: Vec<_> = {
            let mut state = self.state();
            let keys: BTreeSet<_> =
                state.net.listeners.keys().filter(|key| key.0 == machine).copied().collect();
            keys.iter().filter_map(|key| state.net.listeners.remove(key)).collect()
        };
        for connection in self.connections() {
            for side in [0, 1] {
                if connection.ends[side].machine == machine {
                    self.close_end(&connection, side, silence);
                }
            }
        }
        for backlog in backlogs {
            let waiting = {
                let mut backlog = backlog.lock();
                backlog.closed = true;
                std::mem::take(&mut backlog.waiting)
            };
            drop(waiting);
        }
    }

    pub(super) fn close_end(&self, connection: &Connection, side: usize, silence: Silence) {
        let (from, to) = connection.link(side);
        let (outgoing, incoming) = (&connection.pipes[side], &connection.pipes[1 - side]);
        if silence == Silence::Mute {
            // Even what a closed end still wanted to send or to answer is lost with the memory it lay in.
            outgoing.lock().held.clear();
            incoming.lock().reader_mute = true;
        }
        if std::mem::replace(&mut outgoing.lock().writer_closed, true) {
            return;
        }
        {
            let mut state = incoming.lock();
            state.reader_closed = true;
            state.segments.clear();
            state.unread_bytes = 0;
        }
        incoming.wake_writer();
        // What the dying side had under way to its peer but held back is lost with it.
        outgoing.lock().held.clear();
        if silence == Silence::Reset && !self.state().net.is_cut(from, to) {
            let latency = self.latency();
            outgoing.send(self, Content::Reset, latency);
            incoming.reset_writer(self, latency);
        }
    }

    /// A machine has power again: it answers what was sent to its old connections with a reset.
    pub(crate) fn powered_again(&self, machine: MachineId) {
        for connection in self.connections() {
            for side in [0, 1] {
                if connection.ends[1 - side].machine == machine {
                    let was_mute = std::mem::replace(&mut connection.pipes[side].lock().reader_mute, false);
                    let (from, to) = connection.link(side);
                    if was_mute && !self.state().net.is_cut(from, to) {
                        self.release(&connection, side);
                    }
                }
            }
        }
    }
}
