//! Listening, and opening connections: a handshake that needs both directions.

use super::Way;
use super::connection::{Connection, End, HEADERS_BYTES, Pipe};
use super::link::Connects;
use super::listener::{Backlog, Listener};
use super::road::Barrier;
use super::stream::Stream;
use crate::sim::machine::MachineId;
use crate::sim::{State, World, timer};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// First retransmission of a lost connection request, doubled each time.
const SYN_RETRY: Duration = Duration::from_secs(1);
/// So often a request is sent again, as on Linux: the attempt fails after 127 seconds.
const SYN_RETRIES: u32 = 6;

/// What comes of one connection request.
enum Knock {
    /// Nothing: it, or its answer, is lost, or nobody is there to answer.
    Silence,
    /// An answer, which takes so long to come back.
    Answer(io::Result<Stream>, Duration),
}

impl World {
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

    pub(crate) fn listen(&self, address: &str, backlog: u32) -> io::Result<Listener> {
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
        let backlog = Arc::new(Backlog::new(usize::try_from(backlog).unwrap_or(usize::MAX)));
        state.net.listeners.insert(key, backlog.clone());
        Ok(Listener { backlog, machine, address: resolved })
    }

    pub(crate) async fn connect(&self, address: &str) -> io::Result<Stream> {
        let (to, to_address) = self.resolve(address)?;
        let from = self.current_machine()?;
        let mut retry = SYN_RETRY;
        for _ in 0..=SYN_RETRIES {
            if let Knock::Answer(answer, after) = self.knock((from, to), to_address).await {
                timer::Sleep::new(self.clock().now_instant() + after).await;
                return answer;
            }
            timer::Sleep::new(self.clock().now_instant() + retry).await;
            retry *= 2;
        }
        Err(ErrorKind::TimedOut.into())
    }

    /// Sends one connection request, waits until it is there, and sees what comes of it.
    async fn knock(&self, way: Way, address: SocketAddr) -> Knock {
        let Some(after) = self.pass(way).await else { return Knock::Silence };
        let blocked = {
            let mut state = self.state();
            let State { net, bites, .. } = &mut *state;
            net.road(way).and_then(|road| road.meet_connects(bites))
        };
        if blocked == Some(Connects::Hang) {
            return Knock::Silence;
        }
        timer::Sleep::new(self.clock().now_instant() + after).await;
        if !self.state().machines[way.1.index()].powered {
            return Knock::Silence;
        }
        let Some(back) = self.pass((way.1, way.0)).await else { return Knock::Silence };
        match blocked {
            Some(Connects::Refuse) => Knock::Answer(Err(ErrorKind::ConnectionRefused.into()), back),
            Some(_) => Knock::Answer(Ok(self.open_broken(way, address)), back),
            None => match self.open_connection(way, address) {
                Ok(None) => Knock::Silence,
                Ok(Some(stream)) => Knock::Answer(Ok(stream), back),
                Err(error) => Knock::Answer(Err(error), back),
            },
        }
    }

    /// Sends one packet of a handshake, out of a clog when that ends. Gives how long it is under way, or
    /// `None` if it is lost.
    async fn pass(&self, way: Way) -> Option<Duration> {
        let mut counted = false;
        std::future::poll_fn(|cx| {
            let mut state = self.state();
            let State { net, bites, .. } = &mut *state;
            // Waiting in a clog is one bite, however often this is polled.
            let barrier = match net.road(way) {
                Some(road) if !counted => road.meet_barrier(bites),
                Some(road) => road.barrier(),
                None => None,
            };
            match barrier {
                Some(Barrier::Clog) => {
                    net.held_connects += u64::from(!counted);
                    counted = true;
                    net.clogged.push(cx.waker().clone());
                    Poll::Pending
                }
                Some(Barrier::Cut) => {
                    net.held_connects += 1;
                    Poll::Ready(None)
                }
                None => Poll::Ready(net.packet(bites, way, self.clock().now_instant(), HEADERS_BYTES)),
            }
        })
        .await
    }

    fn new_connection(&self, way: Way, address: SocketAddr) -> Arc<Connection> {
        let (from, to) = way;
        let connection = {
            let mut state = self.state();
            let port = state.net.ephemeral_port(from);
            let from_address = SocketAddr::new(state.machines[from.index()].ip, port);
            let id = state.net.next_connection;
            state.net.next_connection += 1;
            let connection = Arc::new(Connection {
                id,
                ends: [End { machine: from, address: from_address }, End { machine: to, address }],
                pipes: [Pipe::new(), Pipe::new()],
            });
            state.net.add_connection(id, &connection);
            connection
        };
        self.record(from.number(), "connect", connection.id, u64::from(to.number()));
        connection
    }

    /// `None` if the listener has no room for more that wait.
    fn open_connection(&self, way: Way, address: SocketAddr) -> io::Result<Option<Stream>> {
        let Some(backlog) = self.state().net.listeners.get(&(way.1, address.port())).cloned() else {
            return Err(ErrorKind::ConnectionRefused.into());
        };
        if backlog.is_full() {
            return Ok(None);
        }
        let connection = self.new_connection(way, address);
        let wakers = {
            let mut backlog = backlog.lock();
            backlog.waiting.push_back(Stream::new(connection.clone(), 1));
            std::mem::take(&mut backlog.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
        Ok(Some(Stream::new(connection, 0)))
    }

    /// A connection that was reset by someone on its way, as soon as it was open.
    fn open_broken(&self, way: Way, address: SocketAddr) -> Stream {
        let connection = self.new_connection(way, address);
        self.reset_end(&connection, 0, Duration::ZERO);
        connection.pipes[0].lock().reader_closed = true;
        connection.pipes[1].lock().writer_closed = true;
        Stream::new(connection, 0)
    }
}
