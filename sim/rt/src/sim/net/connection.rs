//! A connection: two ends and an ordered pipe each way.

use crate::sim::machine::MachineId;
use crate::sim::{World, timer};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// One end of a connection.
pub(super) struct End {
    pub(super) machine: MachineId,
    pub(super) address: SocketAddr,
}

/// Two ends and a pipe each way. Pipe `i` is written by end `i` and read by the other.
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) ends: [End; 2],
    pub(super) pipes: [Pipe; 2],
}

impl Connection {
    pub(super) fn link(&self, writer: usize) -> (MachineId, MachineId) {
        (self.ends[writer].machine, self.ends[1 - writer].machine)
    }
}

pub(super) struct Pipe {
    pub(super) state: Mutex<PipeState>,
    /// Wakes the reader when the next segment arrives.
    pub(super) arrival: Arc<Bell>,
    /// Wakes the writer when there is room again, or a reset.
    pub(super) room: Arc<Bell>,
}

#[derive(Default)]
pub(super) struct PipeState {
    pub(super) segments: VecDeque<Segment>,
    /// Sent into a cut, or to a machine without power; retransmitted when that ends.
    pub(super) held: VecDeque<Content>,
    pub(super) unread_bytes: usize,
    pub(super) last_arrival: Option<Instant>,
    /// The writer is gone or has shut down its side.
    pub(super) writer_closed: bool,
    /// The reader is gone; bytes sent to it are answered with a reset.
    pub(super) reader_closed: bool,
    /// The reader's machine lost power with the connection open: it answers only when it is back.
    pub(super) reader_mute: bool,
    /// The writer learns of a reset at this time.
    pub(super) reset_at: Option<Instant>,
    /// A reset for the writer was lost in a cut: what it sent is sent again and answered after the heal.
    pub(super) reset_owed: bool,
}

pub(super) struct Segment {
    pub(super) arrives: Instant,
    pub(super) content: Content,
}

pub(super) enum Content {
    Data(Bytes),
    End,
    Reset,
}

/// Wakes the task that waits now, whichever that is.
#[derive(Default)]
pub(super) struct Bell(Mutex<Option<Waker>>);

impl Bell {
    pub(super) fn set(&self, waker: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), waker)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(waker) = self.set(None) {
            waker.wake();
        }
    }
}

impl Pipe {
    pub(super) fn new() -> Self {
        Pipe { state: Mutex::new(PipeState::default()), arrival: Arc::default(), room: Arc::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `content` on the wire, to arrive `latency` from now but never before what was sent earlier.
    pub(super) fn send(&self, world: &World, content: Content, latency: Duration) {
        let clock = world.clock();
        let mut state = self.lock();
        let arrives = clock.now_instant() + latency;
        let arrives = state.last_arrival.map_or(arrives, |last| arrives.max(last));
        state.last_arrival = Some(arrives);
        state.segments.push_back(Segment { arrives, content });
        drop(state);
        timer::wake_at(clock, arrives, self.arrival.clone().into());
    }

    pub(super) fn wake_writer(&self) {
        self.room.clone().wake();
    }

    /// The writer learns of a reset `after` from now; of several, the first one counts.
    pub(super) fn reset_writer(&self, world: &World, after: Duration) {
        let clock = world.clock();
        let at = clock.now_instant() + after;
        {
            let mut state = self.lock();
            if state.reset_at.is_some_and(|known| known <= at) {
                return;
            }
            state.reset_at = Some(at);
        }
        timer::wake_at(clock, at, self.room.clone().into());
    }
}
