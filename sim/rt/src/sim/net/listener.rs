//! Listening sockets and the connections that wait to be accepted.

use super::Stream;
use crate::sim;
use crate::sim::machine::MachineId;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Connections that wait to be accepted.
pub(super) struct Backlog {
    /// So many may wait; requests beyond are not answered.
    room: usize,
    state: Mutex<BacklogState>,
}

#[derive(Default)]
pub(super) struct BacklogState {
    pub(super) waiting: VecDeque<Stream>,
    /// Those who wait for the next one; all are woken, and the first to look gets it.
    pub(super) wakers: Vec<Waker>,
    pub(super) closed: bool,
}

impl Backlog {
    pub(super) fn new(room: usize) -> Self {
        Backlog { room, state: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, BacklogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if no more can wait: as on Linux, one more than was asked for may.
    pub(super) fn is_full(&self) -> bool {
        self.lock().waiting.len() > self.room
    }
}

pub(crate) struct Listener {
    pub(super) backlog: Arc<Backlog>,
    pub(super) machine: MachineId,
    pub(super) address: SocketAddr,
}

impl Listener {
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        std::future::poll_fn(|cx| {
            let mut backlog = self.backlog.lock();
            if backlog.closed {
                return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
            }
            match backlog.waiting.pop_front() {
                Some(stream) => Poll::Ready(Ok(stream)),
                None => {
                    if !backlog.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                        backlog.wakers.push(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some(world) = sim::current() else { return };
        let mut state = world.state();
        let key = (self.machine, self.address.port());
        // After a crash the place may belong to the next incarnation.
        if state.net.listeners.get(&key).is_some_and(|backlog| Arc::ptr_eq(backlog, &self.backlog)) {
            state.net.listeners.remove(&key);
        }
    }
}
