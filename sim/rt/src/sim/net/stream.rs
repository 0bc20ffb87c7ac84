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
use std::time::Duration;
use tokio::io::ReadBuf;

/// One end of a connection, in the hands of a task.
pub(crate) struct Stream {
    pub(super) connection: Arc<Connection>,
    pub(super) side: usize,
    pub(super) reset: bool,
    pub(super) shut: bool,
}

impl Stream {
    pub(super) fn outgoing(&self) -> &Pipe {
        &self.connection.pipes[self.side]
    }

    pub(super) fn incoming(&self) -> &Pipe {
        &self.connection.pipes[1 - self.side]
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.connection.ends[1 - self.side].address
    }

    pub(super) fn record(&self, world: &World, kind: &'static str, detail: u64) {
        world.record(self.connection.ends[self.side].machine.number(), kind, self.connection.id, detail);
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let _span = span(Section::Network);
        let Some(world) = sim::current() else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
        if self.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let now = world.clock().now_instant();
        let pipe = self.incoming();
        let mut state = pipe.lock();
        let Some(segment) = state.segments.front_mut().filter(|segment| segment.arrives <= now) else {
            pipe.arrival.set(Some(cx.waker().clone()));
            return Poll::Pending;
        };
        match &mut segment.content {
            Content::Data(bytes) => {
                let n = bytes.len().min(buffer.remaining());
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
                self.reset = true;
                self.record(&world, "reset", 0);
                Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
            }
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let _span = span(Section::Network);
        let Some(world) = sim::current() else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
        if self.shut {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let now = world.clock().now_instant();
        let room = {
            let state = self.outgoing().lock();
            if self.reset || state.reset_at.is_some_and(|at| at <= now) {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            let room = WINDOW_BYTES.saturating_sub(state.unread_bytes);
            if room == 0 {
                self.outgoing().room.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            room.min(bytes.len())
        };
        let sent = Bytes::copy_from_slice(&bytes[..room]);
        self.record(&world, "send", xxhash_rust::xxh3::xxh3_64(&sent));
        self.outgoing().lock().unread_bytes += room;
        world.transmit(&self.connection, self.side, Content::Data(sent));
        Poll::Ready(Ok(room))
    }

    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        if !self.shut && !self.reset {
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
        if unread && !self.reset {
            // As on Linux: whoever closes without having read everything says so.
            world.answer_with_reset(&self.connection, 1 - self.side, Duration::ZERO);
        } else {
            let _ = self.shutdown();
        }
        self.outgoing().lock().writer_closed = true;
    }
}
