//! A connection: two ends and an ordered pipe each way.

use crate::sim::injection::Injection;
use crate::sim::machine::MachineId;
use crate::sim::{World, timer};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::ErrorKind;
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
    /// Wakes the writer when there is room again, or the connection has failed.
    pub(super) room: Arc<Bell>,
}

#[derive(Default)]
pub(super) struct PipeState {
    pub(super) segments: VecDeque<Segment>,
    /// Sent and not arrived: lost in a cut or at a dark machine, to be sent again, or waiting in a clog.
    pub(super) held: VecDeque<Held>,
    pub(super) unread_bytes: usize,
    pub(super) last_arrival: Option<Instant>,
    /// The writer is gone or has shut down its side.
    pub(super) writer_closed: bool,
    /// The reader is gone; bytes sent to it are answered with a reset.
    pub(super) reader_closed: bool,
    /// The reader's machine lost power with the connection open: it answers only when it is back.
    pub(super) reader_mute: bool,
    /// A middle box has forgotten the connection: nothing of it gets through any more.
    pub(super) forgotten: Option<Injection>,
    /// The writer learns of a reset at this time.
    pub(super) reset_at: Option<Instant>,
    /// A reset for the writer was lost: what it sent is sent again, and answered when the way is free.
    pub(super) reset_owed: bool,
    /// When the writer's kernel gives up: since some time nothing that it sent was acknowledged.
    pub(super) gives_up_at: Option<Instant>,
}

pub(super) struct Segment {
    pub(super) arrives: Instant,
    /// When it was sent, if it was lost since and is under way for the second time or more.
    pub(super) retried: Option<Instant>,
    pub(super) content: Content,
}

pub(super) struct Held {
    pub(super) content: Content,
    /// It lies in the network, not in its sender's memory.
    pub(super) clogged: bool,
}

pub(super) enum Content {
    Data(Bytes),
    End,
    Reset,
}

impl Content {
    /// Its size on the wire.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Content::Data(bytes) => HEADERS_BYTES + bytes.len(),
            Content::End | Content::Reset => HEADERS_BYTES,
        }
    }
}

/// Headers of a packet: Ethernet, IP and TCP without options.
pub(super) const HEADERS_BYTES: usize = 54;

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

impl PipeState {
    /// True if the writer's kernel has given the connection up.
    pub(super) fn given_up(&self, now: Instant) -> bool {
        self.gives_up_at.is_some_and(|at| at <= now)
    }

    /// Why the writer's end is broken, if it is.
    pub(super) fn failure(&self, now: Instant) -> Option<ErrorKind> {
        let reset = self.reset_at.filter(|at| *at <= now);
        let given_up = self.gives_up_at.filter(|at| *at <= now);
        match (reset, given_up) {
            (None, None) => None,
            (Some(reset), Some(given_up)) if given_up < reset => Some(ErrorKind::TimedOut),
            (Some(_), _) => Some(ErrorKind::ConnectionReset),
            (None, Some(_)) => Some(ErrorKind::TimedOut),
        }
    }

    /// True if something was sent that has not arrived yet.
    pub(super) fn is_under_way(&self, now: Instant) -> bool {
        self.segments.back().is_some_and(|segment| segment.arrives > now)
    }
}

impl Pipe {
    pub(super) fn new() -> Self {
        Pipe { state: Mutex::new(PipeState::default()), arrival: Arc::default(), room: Arc::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `content` on the wire, to arrive `after` from now but never before what was sent earlier.
    /// Gives when.
    pub(super) fn send(&self, world: &World, content: Content, after: Duration, retried: bool) -> Instant {
        let clock = world.clock();
        let now = clock.now_instant();
        let arrives = {
            let mut state = self.lock();
            let arrives = state.last_arrival.map_or(now + after, |last| last.max(now + after));
            state.last_arrival = Some(arrives);
            state.segments.push_back(Segment { arrives, retried: retried.then_some(now), content });
            arrives
        };
        timer::wake_at(clock, arrives, self.arrival.clone().into());
        arrives
    }

    pub(super) fn wake_writer(&self) {
        self.room.clone().wake();
    }
}

impl World {
    /// End `side` learns of a reset `after` from now, or when it has got what was sent to it before.
    pub(super) fn reset_end(&self, connection: &Connection, side: usize, after: Duration) {
        let (writing, reading) = (&connection.pipes[side], &connection.pipes[1 - side]);
        let at = reading.send(self, Content::Reset, after, false);
        {
            let mut state = writing.lock();
            if state.reset_at.is_some_and(|known| known <= at) {
                return;
            }
            state.reset_at = Some(at);
        }
        timer::wake_at(self.clock(), at, writing.room.clone().into());
    }

    /// Nothing of what end `side` sent is acknowledged from now on: its kernel will give up, unless that
    /// changes before.
    pub(super) fn start_giving_up(&self, connection: &Connection, side: usize) {
        let clock = self.clock();
        let (writing, reading) = (&connection.pipes[side], &connection.pipes[1 - side]);
        let at = {
            let mut state = writing.lock();
            if state.gives_up_at.is_some() {
                return;
            }
            *state.gives_up_at.insert(clock.now_instant() + self.options.retransmission_limit)
        };
        for bell in [&writing.room, &reading.arrival] {
            timer::wake_at(clock, at, bell.clone().into());
        }
    }
}
