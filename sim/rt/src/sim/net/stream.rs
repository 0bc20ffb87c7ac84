//! One end of a connection, in the hands of a task.

use super::WINDOW_BYTES;
use super::connection::{Connection, Content, Pipe};
use crate::profile::{Section, span};
use crate::sim::{self, World};
use bytes::{Buf, Bytes};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::ReadBuf;

/// One end of a connection, in the hands of a task.
pub(crate) struct Stream {
    connection: Arc<Connection>,
    side: usize,
    /// The connection broke and said so once; from then on reads end and writes fail, as on Linux.
    broken: bool,
    shut: bool,
}

impl Stream {
    pub(super) fn new(connection: Arc<Connection>, side: usize) -> Self {
        Stream { connection, side, broken: false, shut: false }
    }

    fn outgoing(&self) -> &Pipe {
        &self.connection.pipes[self.side]
    }

    fn incoming(&self) -> &Pipe {
        &self.connection.pipes[1 - self.side]
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.connection.ends[1 - self.side].address
    }

    fn record(&self, world: &World, kind: &'static str, detail: u64) {
        world.record(self.connection.ends[self.side].machine.number(), kind, self.connection.id, detail);
    }

    /// Says once why the connection broke.
    fn fail(&mut self, world: &World, kind: ErrorKind) -> io::Error {
        self.broken = true;
        self.record(world, if kind == ErrorKind::TimedOut { "timed_out" } else { "reset" }, 0);
        kind.into()
    }

    /// A read or write of at most `possible` bytes: all of them, or fewer if the world wants it so.
    fn amount(world: &World, possible: usize) -> usize {
        let chance = world.options.short_io_chance;
        if chance > 0.0 && possible > 1 {
            let rng = &mut world.state().net.short_io;
            if rng.chance(chance) {
                return usize::try_from(rng.between(1, possible as u64 - 1)).unwrap_or(possible);
            }
        }
        possible
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let _span = span(Section::Network);
        let Some(world) = sim::current() else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
        if self.broken {
            return Poll::Ready(Ok(()));
        }
        let now = world.clock().now_instant();
        let pipe = self.incoming();
        let mut state = pipe.lock();
        let Some(segment) = state.segments.front_mut().filter(|segment| segment.arrives <= now) else {
            let failure = self.outgoing().lock().failure(now);
            if let Some(kind) = failure {
                drop(state);
                return Poll::Ready(Err(self.fail(&world, kind)));
            }
            pipe.arrival.set(Some(cx.waker().clone()));
            return Poll::Pending;
        };
        match &mut segment.content {
            Content::Data(bytes) => {
                let n = Self::amount(&world, bytes.len().min(buffer.remaining()));
                buffer.put_slice(&bytes[..n]);
                bytes.advance(n);
                if bytes.is_empty() {
                    state.segments.pop_front();
                }
                state.unread_bytes -= n;
                drop(state);
                pipe.wake_writer();
                self.record(&world, "recv", n as u64);
                Poll::Ready(Ok(()))
            }
            // Stays in place: every further read says the same.
            Content::End => Poll::Ready(Ok(())),
            Content::Reset => {
                drop(state);
                Poll::Ready(Err(self.fail(&world, ErrorKind::ConnectionReset)))
            }
        }
    }

    /// Why nothing can be written any more, if so.
    fn write_failure(&mut self, world: &World, now: Instant) -> Option<io::Error> {
        if self.shut || self.broken {
            return Some(ErrorKind::BrokenPipe.into());
        }
        let mut kind = self.outgoing().lock().failure(now)?;
        let incoming = self.incoming().lock();
        let mut arrived = incoming.segments.iter().take_while(|segment| segment.arrives <= now);
        if kind == ErrorKind::ConnectionReset && arrived.any(|s| matches!(s.content, Content::End)) {
            // As on Linux: whoever has said that it sends no more, and then resets, has closed its end.
            kind = ErrorKind::BrokenPipe;
        }
        drop(incoming);
        Some(self.fail(world, kind))
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let _span = span(Section::Network);
        let Some(world) = sim::current() else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
        if bytes.is_empty() && !self.shut {
            return Poll::Ready(Ok(0));
        }
        if let Some(error) = self.write_failure(&world, world.clock().now_instant()) {
            return Poll::Ready(Err(error));
        }
        let room = WINDOW_BYTES.saturating_sub(self.outgoing().lock().unread_bytes);
        if room == 0 {
            self.outgoing().room.set(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        let n = Self::amount(&world, room.min(bytes.len()));
        let sent = Bytes::copy_from_slice(&bytes[..n]);
        self.record(&world, "send", xxhash_rust::xxh3::xxh3_64(&sent));
        self.outgoing().lock().unread_bytes += n;
        world.transmit(&self.connection, self.side, Content::Data(sent));
        Poll::Ready(Ok(n))
    }

    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        if !self.shut && !self.broken {
            self.shut = true;
            if let Some(world) = sim::current() {
                world.transmit(&self.connection, self.side, Content::End);
            }
        }
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(world) = sim::current() else { return };
        // The machine may be dead: then its ends were closed before and this changes nothing.
        if self.outgoing().lock().writer_closed {
            return;
        }
        let unread = {
            let mut incoming = self.incoming().lock();
            incoming.reader_closed = true;
            incoming.segments.iter().any(|segment| matches!(segment.content, Content::Data(_)))
        };
        if unread && !self.broken {
            // As on Linux: whoever closes without having read everything says so.
            world.answer_with_reset(&self.connection, 1 - self.side, Duration::ZERO);
        } else {
            let _ = self.shutdown();
        }
        self.outgoing().lock().writer_closed = true;
    }
}
