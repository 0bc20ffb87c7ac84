//! UDP: datagrams that may be lost, come twice, or overtake each other, and nobody is told.

use super::connection::Bell;
use super::road::Barrier;
use super::{Net, Way};
use crate::sim::machine::MachineId;
use crate::sim::{self, State, World, timer};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Instant;

/// Largest payload of a datagram over IPv4.
const MAX_BYTES: usize = 65_507;
/// What a socket keeps for its reader, as on Linux by default; more is lost.
const QUEUE_BYTES: usize = 212_992;
/// Headers of a datagram: Ethernet, IP and UDP. Counted in queues as well.
const HEADERS_BYTES: usize = 42;

/// A datagram with its addresses.
#[derive(Clone)]
pub(super) struct Letter {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Bytes,
}

/// What is under way to a socket, or waits for its reader.
#[derive(Default)]
pub(super) struct Mailbox {
    queue: Mutex<Queue>,
    /// Wakes the reader when the next datagram arrives.
    arrival: Arc<Bell>,
}

#[derive(Default)]
struct Queue {
    /// In order of arrival.
    letters: VecDeque<(Instant, Letter)>,
    size_bytes: usize,
    closed: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Always true: it is closed then.
    pub(super) fn close(&self) -> bool {
        self.lock().closed = true;
        true
    }

    fn put(&self, world: &World, arrives: Instant, letter: Letter) {
        {
            let mut queue = self.lock();
            let size = HEADERS_BYTES + letter.bytes.len();
            if queue.size_bytes + size > QUEUE_BYTES {
                return;
            }
            queue.size_bytes += size;
            let place = queue.letters.partition_point(|(known, _)| *known <= arrives);
            queue.letters.insert(place, (arrives, letter));
        }
        timer::wake_at(world.clock(), arrives, self.arrival.clone().into());
    }
}

pub(crate) struct Socket {
    mailbox: Arc<Mailbox>,
    machine: MachineId,
    address: SocketAddr,
}

impl World {
    pub(crate) fn bind_datagrams(&self, address: &str) -> io::Result<Socket> {
        let (machine, mut address) = self.resolve(address)?;
        if machine != self.current_machine()? {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let mut state = self.state();
        if address.port() == 0 {
            address.set_port(state.net.ephemeral_port(machine));
        }
        let key = (machine, address.port());
        if state.net.mailboxes.contains_key(&key) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let mailbox = Arc::new(Mailbox::default());
        state.net.mailboxes.insert(key, mailbox.clone());
        Ok(Socket { mailbox, machine, address })
    }

    /// Sends a datagram, or holds it in a clog.
    fn post(&self, way: Way, letter: Letter) {
        let now = self.clock().now_instant();
        let size = HEADERS_BYTES + letter.bytes.len();
        let (arrivals, mailbox) = {
            let mut state = self.state();
            let State { net, bites, .. } = &mut *state;
            let calm = net.calm_latency(way);
            let trips = match net.roads.get_mut(&way).filter(|_| way.0 != way.1) {
                None => [Some((calm, false)), None],
                Some(road) => match road.meet_barrier(bites) {
                    Some(Barrier::Cut) => return,
                    Some(Barrier::Clog) => {
                        net.clogged_letters.entry(way).or_default().push(letter);
                        return;
                    }
                    None => {
                        let first = road.datagram(&mut net.dice, bites, now, size);
                        let twice = first.is_some() && road.duplicates(&mut net.dice, bites);
                        let second = twice.then(|| road.datagram(&mut net.dice, bites, now, size));
                        [first, second.flatten()]
                    }
                },
            };
            let arrivals =
                trips.map(|trip| trip.map(|(after, held_up)| net.keep_order(way, now + after, held_up)));
            let Some(mailbox) = net.mailboxes.get(&(way.1, letter.to.port())).cloned() else { return };
            (arrivals, mailbox)
        };
        for arrives in arrivals.into_iter().flatten() {
            mailbox.put(self, arrives, letter.clone());
        }
    }

    /// Datagrams go on that waited in a clog, if it has ended.
    pub(super) fn release_letters(&self, way: Way) {
        if self.state().net.barrier(way) == Some(Barrier::Clog) {
            return;
        }
        let letters = self.state().net.clogged_letters.remove(&way).unwrap_or_default();
        letters.into_iter().for_each(|letter| self.post(way, letter));
    }
}

impl Net {
    /// A link is one queue: only what is held up is overtaken.
    fn keep_order(&mut self, way: Way, arrives: Instant, held_up: bool) -> Instant {
        if held_up {
            return arrives;
        }
        let last = self.last_letters.entry(way).or_insert(arrives);
        *last = arrives.max(*last);
        *last
    }
}

impl Socket {
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn send_to(&self, bytes: &[u8], address: &str) -> io::Result<usize> {
        let Some(world) = sim::current() else { return Err(ErrorKind::NotConnected.into()) };
        let (to, to_address) = world.resolve(address)?;
        if bytes.len() > MAX_BYTES {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        world.record(self.machine.number(), "send_to", u64::from(to.number()), bytes.len() as u64);
        let letter = Letter { from: self.address, to: to_address, bytes: Bytes::copy_from_slice(bytes) };
        world.post((self.machine, to), letter);
        Ok(bytes.len())
    }

    pub(crate) async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let letter = std::future::poll_fn(|cx| {
            let Some(world) = sim::current() else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
            let mut queue = self.mailbox.lock();
            if queue.closed {
                return Poll::Ready(Err(io::Error::from(ErrorKind::NotConnected)));
            }
            let now = world.clock().now_instant();
            if queue.letters.front().is_none_or(|(arrives, _)| *arrives > now) {
                self.mailbox.arrival.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            // The look before found one.
            let Some((_, letter)) = queue.letters.pop_front() else { return Poll::Pending };
            queue.size_bytes -= HEADERS_BYTES + letter.bytes.len();
            world.record(self.machine.number(), "recv_from", 0, letter.bytes.len() as u64);
            Poll::Ready(Ok(letter))
        });
        let letter = letter.await?;
        // What does not fit is cut off, as the operating system does.
        let len = letter.bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&letter.bytes[..len]);
        Ok((len, letter.from))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(world) = sim::current() else { return };
        let mut state = world.state();
        let key = (self.machine, self.address.port());
        // After a crash the place may belong to the next incarnation.
        if state.net.mailboxes.get(&key).is_some_and(|known| Arc::ptr_eq(known, &self.mailbox)) {
            state.net.mailboxes.remove(&key);
        }
    }
}
