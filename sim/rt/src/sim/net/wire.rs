//! How segments get from one end of a connection to the other: at once, late, again, or not at all.

use super::connection::{Connection, Content, HEADERS_BYTES, Held};
use super::road::{Barrier, Trip};
use super::{WINDOW_BYTES, Way};
use crate::sim::{State, World, timer};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// First retransmission of a segment, and how much longer each later one waits.
const RETRANSMISSION: Duration = Duration::from_millis(200);

impl World {
    pub(super) fn connections(&self) -> Vec<Arc<Connection>> {
        self.state().net.connections.values().filter_map(Weak::upgrade).collect()
    }

    /// Sends `content` from end `side` of a connection.
    pub(super) fn transmit(&self, connection: &Connection, side: usize, content: Content) {
        if !connection.pipes[side].lock().writer_closed {
            self.launch(connection, side, content, Duration::ZERO);
        }
    }

    /// The same for the end's kernel, which may outlive the end, and sends it `pause` from now.
    fn launch(&self, connection: &Connection, side: usize, content: Content, pause: Duration) {
        let now = self.clock().now_instant();
        let (way, pipe) = (connection.link(side), &connection.pipes[side]);
        let (trip, unheard, gone) = {
            let mut state = self.state();
            let State { net, bites, .. } = &mut *state;
            let mut out = pipe.lock();
            if out.given_up(now) {
                return;
            }
            let trip = if let Some(injection) = out.forgotten {
                bites.bite(injection);
                Trip::Stopped(Barrier::Cut)
            } else if out.reader_mute || !out.held.is_empty() {
                // In order: behind what waits already.
                let barrier = net.road(way).and_then(|road| road.meet_barrier(bites));
                Trip::Stopped(barrier.unwrap_or(Barrier::Cut))
            } else {
                let limit = self.options.retransmission_limit;
                net.segment(bites, way, now, content.size_bytes(), limit)
            };
            if let Trip::Stopped(barrier) = trip {
                net.held_segments += 1;
                out.held.push_back(Held { content, clogged: barrier == Barrier::Clog });
                drop((out, state));
                if barrier == Barrier::Cut {
                    self.start_giving_up(connection, side);
                }
                return;
            }
            // The acknowledgement would come the other way.
            let unheard = net.is_cut((way.1, way.0));
            (trip, unheard, out.reader_closed || connection.pipes[1 - side].lock().given_up(now))
        };
        let Trip::Arrives { after, retried } = trip else { return };
        if unheard {
            self.start_giving_up(connection, side);
        }
        if gone {
            self.answer_with_reset(connection, side, pause + after);
        } else {
            pipe.send(self, content, pause + after, retried);
        }
    }

    /// The other end is gone: its kernel answers what end `side` sent, and what takes `after` to get
    /// there, with a reset.
    pub(super) fn answer_with_reset(&self, connection: &Connection, side: usize, after: Duration) {
        let now = self.clock().now_instant();
        let (from, to) = connection.link(side);
        let trip = {
            let mut state = self.state();
            let State { net, bites, .. } = &mut *state;
            match connection.pipes[side].lock().forgotten {
                Some(injection) => {
                    bites.bite(injection);
                    Trip::Stopped(Barrier::Cut)
                }
                // A lost reset comes again with the next try of what it answers.
                None => net.segment(bites, (to, from), now, HEADERS_BYTES, self.options.retransmission_limit),
            }
        };
        match trip {
            Trip::Arrives { after: back, .. } => {
                self.reset_end(connection, side, after + back);
            }
            Trip::Stopped(barrier) => {
                connection.pipes[side].lock().reset_owed = true;
                if barrier == Barrier::Cut {
                    self.start_giving_up(connection, side);
                }
            }
        }
    }

    /// Something begins that keeps segments or their acknowledgements from end `side`'s peer: whoever
    /// waits for an acknowledgement now, or for room (and asks for it from time to time), will give up
    /// unless it ends in time. Who has to wait later has sent something by then.
    pub(super) fn disturb(&self, connection: &Connection, side: usize) {
        let now = self.clock().now_instant();
        let waits = {
            let out = connection.pipes[side].lock();
            out.is_under_way(now) || !out.held.is_empty() || out.unread_bytes >= WINDOW_BYTES
        };
        if waits {
            self.start_giving_up(connection, side);
        }
    }

    /// A way is no longer what it was: what waited for it goes on.
    pub(super) fn settle(&self, way: Way) {
        for connection in self.connections() {
            for side in [0, 1] {
                if connection.link(side) == way {
                    self.release(&connection, side);
                    self.try_sooner(&connection, side);
                    self.hear_back(&connection, 1 - side);
                }
            }
        }
        self.release_letters(way);
        let waiting = std::mem::take(&mut self.state().net.clogged);
        waiting.into_iter().for_each(std::task::Waker::wake);
    }

    /// Sends again what was held on one direction of a connection, if it gets through now.
    pub(super) fn release(&self, connection: &Connection, side: usize) {
        let now = self.clock().now_instant();
        let (from, to) = connection.link(side);
        let (held, lost, gone) = {
            let state = self.state();
            let mut out = connection.pipes[side].lock();
            if out.reader_mute || out.forgotten.is_some() || state.net.barrier((from, to)).is_some() {
                return;
            }
            if out.given_up(now) {
                out.held.clear();
                return;
            }
            let lost = out.gives_up_at.is_some();
            if !state.net.is_cut((to, from)) {
                out.gives_up_at = None;
            }
            let gone = out.reader_closed || connection.pipes[1 - side].lock().given_up(now);
            (std::mem::take(&mut out.held), lost, gone)
        };
        let pause = if lost { self.retransmission_pause() } else { Duration::ZERO };
        if gone && (lost || !held.is_empty()) {
            // Also a window probe is answered so.
            self.answer_with_reset(connection, side, pause);
        } else {
            held.into_iter().for_each(|held| self.launch(connection, side, held.content, pause));
        }
    }

    /// The way that acknowledgements of end `side`'s segments take may be free again.
    fn hear_back(&self, connection: &Connection, side: usize) {
        let now = self.clock().now_instant();
        let (from, to) = connection.link(side);
        let owed = {
            let state = self.state();
            let mut out = connection.pipes[side].lock();
            if state.net.barrier((to, from)).is_some() || out.given_up(now) {
                return;
            }
            let arrives = out.held.is_empty() && !out.reader_mute && out.forgotten.is_none();
            if arrives && !state.net.is_cut((from, to)) {
                out.gives_up_at = None;
            }
            std::mem::take(&mut out.reset_owed)
        };
        if owed {
            let pause = self.retransmission_pause();
            self.answer_with_reset(connection, side, pause);
        }
    }

    /// What would have been lost several times more arrives with its next try.
    fn try_sooner(&self, connection: &Connection, side: usize) {
        let clock = self.clock();
        let now = clock.now_instant();
        let pipe = &connection.pipes[side];
        let mut state = self.state();
        let mut out = pipe.lock();
        if !out.segments.iter().any(|segment| segment.retried.is_some() && segment.arrives > now) {
            return;
        }
        let mut before = now;
        for segment in out.segments.iter_mut().filter(|segment| segment.arrives > now) {
            let sent = segment.retried.map_or(now, |sent| next_try(sent, now));
            let soonest = sent + state.net.calm_latency(connection.link(side));
            segment.arrives = segment.arrives.min(soonest).max(before);
            before = segment.arrives;
            timer::wake_at(clock, before, pipe.arrival.clone().into());
        }
        out.last_arrival = Some(before);
    }

    /// From the end of a cut until what it swallowed is sent again.
    fn retransmission_pause(&self) -> Duration {
        // The retransmission timer has backed off; it fires some time after the way is free.
        Duration::from_millis(self.state().net.dice.calm.between(1, 400))
    }
}

/// When a segment first sent at `sent` is tried again, at `now` or later.
fn next_try(sent: Instant, now: Instant) -> Instant {
    let (mut at, mut pause) = (sent, RETRANSMISSION);
    while at < now {
        at += pause;
        pause *= 2;
    }
    at
}
