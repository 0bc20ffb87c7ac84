//! The network between machines: connections as ordered pipes with latency, cuts and dead ends.
//!
//! What it knows: one latency range for all links, cuts by direction (segments sent into a cut are held
//! and retransmitted after it heals, as TCP does), a handshake that needs both directions and hangs
//! across a cut, refusal where nobody listens, reset after a crash, silence after a power loss, bounded
//! windows with back-pressure, end of stream after a close, reset after a close with unread bytes. What it
//! leaves out: loss, bandwidth, reordering, resets by time limit.

use super::machine::MachineId;
use super::rng::Rng;
use super::{World, timer};
use crate::profile::{Section, span};
use bytes::{Buf, Bytes};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::io::ReadBuf;

/// Bytes in flight and unread that a direction of a connection holds before its writer must wait.
const WINDOW_BYTES: usize = 256 * 1024;
/// First ephemeral port, as on Linux.
const FIRST_EPHEMERAL_PORT: u16 = 32_768;
/// First retransmission of a lost connection request, doubled each time.
const SYN_RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Net {
    rng: Rng,
    listeners: BTreeMap<(MachineId, u16), Arc<Backlog>>,
    cuts: BTreeMap<(MachineId, MachineId), u32>,
    connections: BTreeMap<u64, Weak<Connection>>,
    next_connection: u64,
    next_port: BTreeMap<MachineId, u16>,
    /// Segments that a cut held back.
    held_segments: u64,
    /// Connection requests that a cut swallowed.
    held_connects: u64,
}

impl Net {
    pub(crate) fn new(rng: Rng) -> Self {
        Net {
            rng,
            listeners: BTreeMap::new(),
            cuts: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 1,
            next_port: BTreeMap::new(),
            held_segments: 0,
            held_connects: 0,
        }
    }

    fn is_cut(&self, from: MachineId, to: MachineId) -> bool {
        self.cuts.contains_key(&(from, to))
    }

    fn ephemeral_port(&mut self, machine: MachineId) -> u16 {
        let next = self.next_port.entry(machine).or_insert(FIRST_EPHEMERAL_PORT);
        let port = *next;
        *next = next.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
        port
    }
}

/// What peers of a stopped machine notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Its kernel answers with a reset.
    Reset,
    /// Nothing.
    Mute,
}

/// Connections that wait to be accepted.
struct Backlog(Mutex<BacklogState>);

#[derive(Default)]
struct BacklogState {
    waiting: VecDeque<Stream>,
    waker: Option<Waker>,
    closed: bool,
}

impl Backlog {
    fn lock(&self) -> MutexGuard<'_, BacklogState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Listener {
    backlog: Arc<Backlog>,
    machine: MachineId,
    address: SocketAddr,
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
                    backlog.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some(world) = super::current() else { return };
        let mut state = world.state();
        let key = (self.machine, self.address.port());
        // After a crash the place may belong to the next incarnation.
        if state.net.listeners.get(&key).is_some_and(|backlog| Arc::ptr_eq(backlog, &self.backlog)) {
            state.net.listeners.remove(&key);
        }
    }
}

/// One end of a connection.
struct End {
    machine: MachineId,
    address: SocketAddr,
}

/// Two ends and a pipe each way. Pipe `i` is written by end `i` and read by the other.
struct Connection {
    id: u64,
    ends: [End; 2],
    pipes: [Pipe; 2],
}

impl Connection {
    fn link(&self, writer: usize) -> (MachineId, MachineId) {
        (self.ends[writer].machine, self.ends[1 - writer].machine)
    }
}

struct Pipe {
    state: Mutex<PipeState>,
    /// Wakes the reader when the next segment arrives.
    arrival: Arc<Bell>,
    /// Wakes the writer when there is room again, or a reset.
    room: Arc<Bell>,
}

#[derive(Default)]
struct PipeState {
    segments: VecDeque<Segment>,
    /// Sent into a cut, or to a machine without power; retransmitted when that ends.
    held: VecDeque<Content>,
    unread_bytes: usize,
    last_arrival: Option<Instant>,
    /// The writer is gone or has shut down its side.
    writer_closed: bool,
    /// The reader is gone; bytes sent to it are answered with a reset.
    reader_closed: bool,
    /// The reader's machine lost power with the connection open: it answers only when it is back.
    reader_mute: bool,
    /// The writer learns of a reset at this time.
    reset_at: Option<Instant>,
    /// A reset for the writer was lost in a cut: what it sent is sent again and answered after the heal.
    reset_owed: bool,
}

struct Segment {
    arrives: Instant,
    content: Content,
}

enum Content {
    Data(Bytes),
    End,
    Reset,
}

/// Wakes the task that waits now, whichever that is.
#[derive(Default)]
struct Bell(Mutex<Option<Waker>>);

impl Bell {
    fn set(&self, waker: Option<Waker>) -> Option<Waker> {
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
    fn new() -> Self {
        Pipe { state: Mutex::new(PipeState::default()), arrival: Arc::default(), room: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `content` on the wire, to arrive `latency` from now but never before what was sent earlier.
    fn send(&self, world: &World, content: Content, latency: Duration) {
        let clock = world.clock();
        let mut state = self.lock();
        let arrives = clock.now_instant() + latency;
        let arrives = state.last_arrival.map_or(arrives, |last| arrives.max(last));
        state.last_arrival = Some(arrives);
        state.segments.push_back(Segment { arrives, content });
        drop(state);
        timer::wake_at(clock, arrives, self.arrival.clone().into());
    }

    fn wake_writer(&self) {
        self.room.clone().wake();
    }

    /// The writer learns of a reset `after` from now; of several, the first one counts.
    fn reset_writer(&self, world: &World, after: Duration) {
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

/// One end of a connection, in the hands of a task.
pub(crate) struct Stream {
    connection: Arc<Connection>,
    side: usize,
    reset: bool,
    shut: bool,
}

impl Stream {
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

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let _span = span(Section::Network);
        let Some(world) = super::current() else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
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
        let Some(world) = super::current() else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
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
            if let Some(world) = super::current() {
                world.transmit(&self.connection, self.side, Content::End);
            }
        }
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(world) = super::current() else { return };
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

impl World {
    fn latency(&self) -> Duration {
        let (min, max) = (self.options.latency_min, self.options.latency_max);
        self.state().net.rng.duration(min, max)
    }

    /// Sends `content` from end `side` of a connection, or holds it back.
    fn transmit(&self, connection: &Connection, side: usize, content: Content) {
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
    fn answer_with_reset(&self, connection: &Connection, side: usize, latency: Duration) {
        let (from, to) = connection.link(side);
        if self.state().net.is_cut(to, from) {
            connection.pipes[side].lock().reset_owed = true;
            return;
        }
        let back = latency + self.latency();
        connection.pipes[side].reset_writer(self, back);
        connection.pipes[1 - side].send(self, Content::Reset, back);
    }

    fn resolve(&self, address: &str) -> io::Result<(MachineId, SocketAddr)> {
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

    fn open_connection(&self, from: MachineId, to: MachineId, address: SocketAddr) -> io::Result<Stream> {
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

    fn connections(&self) -> Vec<Arc<Connection>> {
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
    fn release(&self, connection: &Connection, side: usize) {
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
    fn retransmission_pause(&self) -> Duration {
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

    fn close_end(&self, connection: &Connection, side: usize, silence: Silence) {
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
