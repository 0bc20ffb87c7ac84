//! Roads: what becomes of one segment, datagram or connection request on its way from one machine to
//! another. Decides and counts; moves nothing.

use super::link::{Connects, Latency, Link};
use crate::sim::injection::{Bites, Injection};
use crate::sim::rng::Rng;
use std::time::{Duration, Instant};

/// A segment that was not acknowledged is sent again after this; then after twice as long each time.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// A datagram that is held up takes up to so many times its latency longer.
const HELD_UP: u64 = 10;

/// One direction between two machines. There is one only while something is wrong with it.
#[derive(Default)]
pub(super) struct Road {
    /// Cuts without an injection, see `World::cut`.
    pub(super) cuts: u32,
    pub(super) faults: Vec<(Injection, Fault)>,
    /// Until then what was sent before is still being put on the wire.
    busy_until: Option<Instant>,
}

pub(super) enum Fault {
    Degrade(Link),
    Cut,
    Clog,
    Connects(Connects),
}

/// What stands across a road.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barrier {
    /// What is sent is lost; TCP sends it again.
    Cut,
    /// What is sent waits in the network.
    Clog,
}

/// What becomes of something that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trip {
    /// It arrives after so long.
    Arrives {
        after: Duration,
        /// It was lost at least once and sent again.
        retried: bool,
    },
    Stopped(Barrier),
}

impl Trip {
    pub(super) fn arrives(after: Duration) -> Self {
        Trip::Arrives { after, retried: false }
    }
}

/// What the trips of a world are drawn from.
pub(super) struct Dice {
    /// Latencies of links that are as they should be.
    pub(super) calm: Rng,
    /// What faults draw.
    pub(super) faults: Rng,
    /// The world's own latency.
    pub(super) latency: Latency,
}

impl Road {
    pub(super) fn is_calm(&self) -> bool {
        self.cuts == 0 && self.faults.is_empty()
    }

    /// What stands across it, if anything does.
    pub(super) fn barrier(&self) -> Option<Barrier> {
        let has = |wanted: fn(&Fault) -> bool| self.faults.iter().any(|(_, fault)| wanted(fault));
        if self.cuts > 0 || has(|fault| matches!(fault, Fault::Cut)) {
            return Some(Barrier::Cut);
        }
        has(|fault| matches!(fault, Fault::Clog)).then_some(Barrier::Clog)
    }

    /// The same for something that is sent now: counts what it met.
    pub(super) fn meet_barrier(&self, bites: &mut Bites) -> Option<Barrier> {
        let barrier = self.barrier()?;
        for (injection, fault) in &self.faults {
            match (fault, barrier) {
                (Fault::Cut, Barrier::Cut) | (Fault::Clog, Barrier::Clog) => bites.bite(*injection),
                _ => {}
            }
        }
        Some(barrier)
    }

    /// How connection requests fail here, if they do: as the last of several faults says.
    pub(super) fn meet_connects(&self, bites: &mut Bites) -> Option<Connects> {
        let last = self.faults.iter().rev().find_map(|(injection, fault)| match fault {
            Fault::Connects(how) => Some((*injection, *how)),
            _ => None,
        });
        let (injection, how) = last?;
        bites.bite(injection);
        Some(how)
    }

    fn degradations(&self) -> impl Iterator<Item = (Injection, &Link)> {
        self.faults.iter().filter_map(|(injection, fault)| match fault {
            Fault::Degrade(link) => Some((*injection, link)),
            _ => None,
        })
    }

    /// A segment of `bytes` bytes that TCP sends at `now` and again until it arrives, for `limit` at most.
    pub(super) fn segment(
        &mut self,
        dice: &mut Dice,
        bites: &mut Bites,
        now: Instant,
        bytes: usize,
        limit: Duration,
    ) -> Trip {
        if let Some(barrier) = self.meet_barrier(bites) {
            return Trip::Stopped(barrier);
        }
        let (mut waited, mut pause) = (Duration::ZERO, RETRANSMISSION);
        loop {
            if let Some(after) = self.once(dice, bites, now, waited, bytes) {
                return Trip::Arrives { after, retried: waited > Duration::ZERO };
            }
            waited += pause;
            pause *= 2;
            if waited >= limit {
                return Trip::Stopped(Barrier::Cut);
            }
        }
    }

    /// A datagram, sent once: how long it is under way, and whether it is held up so that others overtake
    /// it. `None` if it is lost.
    pub(super) fn datagram(
        &mut self,
        dice: &mut Dice,
        bites: &mut Bites,
        now: Instant,
        bytes: usize,
    ) -> Option<(Duration, bool)> {
        let mut after = self.once(dice, bites, now, Duration::ZERO, bytes)?;
        let mut held_up = false;
        for (injection, link) in self.degradations() {
            if link.reorder > 0.0 && dice.faults.chance(link.reorder) {
                bites.bite(injection);
                held_up = true;
                after += after * u32::try_from(dice.faults.between(1, HELD_UP)).unwrap_or(1);
            }
        }
        Some((after, held_up))
    }

    /// True if the datagram that was just sent comes out twice.
    pub(super) fn duplicates(&self, dice: &mut Dice, bites: &mut Bites) -> bool {
        let mut twice = false;
        for (injection, link) in self.degradations() {
            if link.duplicate > 0.0 && dice.faults.chance(link.duplicate) {
                bites.bite(injection);
                twice = true;
            }
        }
        twice
    }

    /// One try, `waited` after `now`: how long after `now` it arrives, or `None` if it is lost.
    pub(super) fn once(
        &mut self,
        dice: &mut Dice,
        bites: &mut Bites,
        now: Instant,
        waited: Duration,
        bytes: usize,
    ) -> Option<Duration> {
        let mut lost = false;
        for (injection, link) in self.degradations() {
            if link.loss > 0.0 && dice.faults.chance(link.loss) {
                bites.bite(injection);
                lost = true;
            }
        }
        if lost {
            return None;
        }
        let queued = self.pass_queue(bites, now, waited, bytes)?;
        let mut latency = None;
        let mut jitter = Duration::ZERO;
        for (injection, link) in self.degradations() {
            if let Some(own) = link.latency {
                latency = Some((injection, own));
            }
            if link.jitter > Duration::ZERO {
                bites.bite(injection);
                jitter += dice.faults.duration(Duration::ZERO, link.jitter);
            }
        }
        let latency = match latency {
            Some((injection, latency)) => {
                bites.bite(injection);
                latency.draw(&mut dice.faults)
            }
            None => dice.latency.draw(&mut dice.calm),
        };
        Some(waited + queued + latency + jitter)
    }

    /// Waits for the wire and takes it for as long as `bytes` need; `None` if the queue has no room.
    fn pass_queue(
        &mut self,
        bites: &mut Bites,
        now: Instant,
        waited: Duration,
        bytes: usize,
    ) -> Option<Duration> {
        let narrow = self.degradations().filter_map(|(injection, link)| {
            Some((link.bandwidth_bytes_per_s?.max(1), injection, link.queue_bytes))
        });
        let Some((bandwidth, injection, room)) = narrow.min_by_key(|(bandwidth, ..)| *bandwidth) else {
            return Some(Duration::ZERO);
        };
        bites.bite(injection);
        let at = now + waited;
        let wait = self.busy_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(at));
        let queued_bytes = wait.as_secs_f64() * bandwidth as f64;
        // Whatever its size, something always fits into an empty queue.
        if room.is_some_and(|room| queued_bytes > 0.0 && queued_bytes + bytes as f64 > room as f64) {
            return None;
        }
        let own = Duration::from_secs_f64(bytes as f64 / bandwidth as f64);
        if waited == Duration::ZERO {
            // A later try lies ahead of what others send until then: it does not hold them up.
            self.busy_until = Some(at + wait + own);
        }
        Some(wait + own)
    }
}
