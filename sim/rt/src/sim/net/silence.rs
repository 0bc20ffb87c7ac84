//! What peers notice of a machine that stops: a reset from a dead process, nothing from a dead machine,
//! until it is back and knows none of its old connections.

use super::connection::{Connection, Content, HEADERS_BYTES, Held, PipeState};
use super::road::Barrier;
use crate::sim::machine::MachineId;
use crate::sim::{State, World};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What peers of a stopped machine notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Its kernel answers with a reset.
    Reset,
    /// Nothing.
    Mute,
}

impl World {
    /// Closes all sockets of a machine that stops; peers notice as `silence` says.
    pub(crate) fn close_sockets(&self, machine: MachineId, silence: Silence) {
        let backlogs: Vec<_> = {
            let mut state = self.state();
            state.net.mailboxes.retain(|key, mailbox| key.0 != machine || !mailbox.close());
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

    fn close_end(&self, connection: &Connection, side: usize, silence: Silence) {
        let now = self.clock().now_instant();
        let (outgoing, incoming) = (&connection.pipes[side], &connection.pipes[1 - side]);
        if silence == Silence::Mute {
            // Even what a closed end still wanted to send or to answer is lost with the memory it lay in.
            outgoing.lock().forget_unsent();
            incoming.lock().go_dark(now);
            self.disturb(connection, 1 - side);
        }
        if std::mem::replace(&mut outgoing.lock().writer_closed, true) || silence == Silence::Mute {
            incoming.lock().reader_closed = true;
            return;
        }
        let under_way = {
            let mut state = incoming.lock();
            state.reader_closed = true;
            state.unread_bytes = 0;
            let under_way = state.is_under_way(now);
            state.segments.clear();
            under_way
        };
        incoming.wake_writer();
        // What the dying side had under way to its peer but held back is lost with it.
        outgoing.lock().forget_unsent();
        let heard = self.send_reset(connection, side);
        if under_way && !heard {
            // What arrives now is answered too, as often as it comes.
            self.answer_with_reset(connection, 1 - side, Duration::ZERO);
        }
    }

    /// End `side` is reset by its own machine, which says so once. False if that is lost.
    fn send_reset(&self, connection: &Connection, side: usize) -> bool {
        let now = self.clock().now_instant();
        let way = connection.link(side);
        let after = {
            let mut state = self.state();
            let State { net, bites, .. } = &mut *state;
            let mut out = connection.pipes[side].lock();
            if let Some(injection) = out.forgotten {
                bites.bite(injection);
                return false;
            }
            match net.road(way).and_then(|road| road.meet_barrier(bites)) {
                Some(Barrier::Cut) => return false,
                Some(Barrier::Clog) => {
                    out.held.push_back(Held { content: Content::Reset, clogged: true });
                    return true;
                }
                None => net.packet(bites, way, now, HEADERS_BYTES),
            }
        };
        let Some(after) = after else { return false };
        self.reset_end(connection, 1 - side, after);
        true
    }

    /// A machine has power again: it answers what was sent to its old connections with a reset.
    pub(crate) fn powered_again(&self, machine: MachineId) {
        for connection in self.connections() {
            for side in [0, 1] {
                if connection.ends[1 - side].machine == machine {
                    let was_mute = std::mem::replace(&mut connection.pipes[side].lock().reader_mute, false);
                    if was_mute {
                        self.release(&connection, side);
                    }
                }
            }
        }
    }
}

impl PipeState {
    /// The writer's memory is gone; what lies in the network already stays there.
    fn forget_unsent(&mut self) {
        let in_network = self.held.iter().take_while(|held| held.clogged).count();
        self.held.truncate(in_network);
    }

    /// The reader's machine loses power: what has not arrived never does, and is sent again and again.
    fn go_dark(&mut self, now: Instant) {
        self.reader_mute = true;
        self.reset_owed = false;
        let under_way = self.segments.drain(..).filter(|segment| segment.arrives > now);
        let lost: Vec<_> =
            under_way.map(|segment| Held { content: segment.content, clogged: false }).collect();
        for held in lost.into_iter().rev() {
            self.held.push_front(held);
        }
    }
}
