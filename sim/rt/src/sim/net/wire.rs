//! Opening connections, and getting segments from one end to the other.

use super::SYN_RETRY;
use super::connection::{Connection, Content, End, Pipe};
use super::listener::{Backlog, Listener};
use super::stream::Stream;
use crate::sim::machine::MachineId;
use crate::sim::{World, timer};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

impl World {
    pub(super) fn latency(&self) -> Duration {
        let (min, max) = (self.options.latency_min, self.options.latency_max);
        self.state().net.rng.duration(min, max)
    }

    /// Sends `content` from end `side` of a connection, or holds it back.
    pub(super) fn transmit(&self, connection: &Connection, side: usize, content: Content) {
        let (from, to) = connection.link(side);
        let pipe = &connection.pipes[side];
        {
            let mut state = self.state();
            let mut out = pipe.lock();
            if out.writer_closed {
                return;
            }
            if state.net.is_cut(from, to) || out.reader_mute || !out.held.is_empty() {
                state.net.held_segments += 1;
                out.held.push_back(content);
                return;
            }
        }
        let latency = self.latency();
        if pipe.lock().reader_closed {
            self.answer_with_reset(connection, side, latency);
        } else {
            pipe.send(self, content, latency);
        }
    }

    /// The other end is gone: its kernel answers what end `side` sent, and what takes `latency` to get
    /// there, with a reset.
    pub(super) fn answer_with_reset(&self, connection: &Connection, side: usize, latency: Duration) {
        let (from, to) = connection.link(side);
        if self.state().net.is_cut(to, from) {
            connection.pipes[side].lock().reset_owed = true;
            return;
        }
        let back = latency + self.latency();
        connection.pipes[side].reset_writer(self, back);
        connection.pipes[1 - side].send(self, Content::Reset, back);
    }

    pub(super) fn resolve(&self, address: &str) -> io::Result<(MachineId, SocketAddr)> {
        let invalid = || io::Error::new(ErrorKind::InvalidInput, format!("{address:?} is not host:port"));
        let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
        let port = port.parse().map_err(|_| invalid())?;
        let here = self.current_machine()?;
        let state = self.state();
        let by_ip = host.parse::<IpAddr>().ok();
        if by_ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified()) || host == "localhost" {
            return Ok((here, SocketAddr::new(state.machines[here.index()].ip, port)));
        }
        let found = state.machines.iter().position(|m| Some(m.ip) == by_ip || m.name == host);
        let index = found.ok_or_else(|| io::Error::new(ErrorKind::NotFound, format!("no host {host:?}")))?;
        Ok((MachineId::from_index(index), SocketAddr::new(state.machines[index].ip, port)))
    }

    pub(crate) fn listen(&self, address: &str) -> io::Result<Listener> {
        let (machine, mut resolved) = self.resolve(address)?;
        if machine != self.current_machine()? {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let mut state = self.state();
        if resolved.port() == 0 {
            resolved.set_port(state.net.ephemeral_port(machine));
        }
        let key = (machine, resolved.port());
        if state.net.listeners.contains_key(&key) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let backlog = Arc::new(Backlog(Mutex::default()));
        state.net.listeners.insert(key, backlog.clone());
        Ok(Listener { backlog, machine, address: resolved })
    }

    pub(crate) async fn connect(&self, address: &str) -> io::Result<Stream> {
        let (to, to_address) = self.resolve(address)?;
        let from = self.current_machine()?;
        let mut retry = SYN_RETRY;
        loop {
            let latency = self.latency();
            timer::Sleep::new(self.clock().now_instant() + latency).await;
            let answered = {
                let mut state = self.state();
                let lost = state.net.is_cut(from, to) || state.net.is_cut(to, from);
                let answered = !lost && state.machines[to.index()].powered;
                state.net.held_connects += u64::from(lost);
                answered
            };
            if answered {
                break;
            }
            timer::Sleep::new(self.clock().now_instant() + retry).await;
            retry *= 2;
        }
        let stream = self.open_connection(from, to, to_address);
        let latency = self.latency();
        timer::Sleep::new(self.clock().now_instant() + latency).await;
        stream
    }

    pub(super) fn open_connection(
        &self,
        from: MachineId,
        to: MachineId,
        address: SocketAddr,
    ) -> io::Result<Stream> {
        let mut state = self.state();
        let Some(backlog) = state.net.listeners.get(&(to, address.port())).cloned() else {
            return Err(ErrorKind::ConnectionRefused.into());
        };
        let port = state.net.ephemeral_port(from);
        let from_address = SocketAddr::new(state.machines[from.index()].ip, port);
        let id = state.net.next_connection;
        state.net.next_connection += 1;
        let connection = Arc::new(Connection {
            id,
            ends: [End { machine: from, address: from_address }, End { machine: to, address }],
            pipes: [Pipe::new(), Pipe::new()],
        });
        state.net.connections.retain(|_, connection| connection.strong_count() > 0);
        state.net.connections.insert(id, Arc::downgrade(&connection));
        drop(state);
        self.record(from.number(), "connect", id, u64::from(to.number()));
        let stream = |side| Stream { connection: connection.clone(), side, reset: false, shut: false };
        let waker = {
            let mut backlog = backlog.lock();
            backlog.waiting.push_back(stream(1));
            backlog.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(stream(0))
    }
}
