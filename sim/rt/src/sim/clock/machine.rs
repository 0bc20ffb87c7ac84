//! One machine's clock as arithmetic: how fast it runs, and how far off its wall time stands.
//!
//! Decides nothing and draws nothing. Times are nanoseconds: `world_ns` since the world began, `local_ns`
//! as many as the machine has counted meanwhile. Without a fault both are the same number.

use super::ClockFault;
use crate::sim::injection::{Bites, Injection};
use crate::sim::timer::Slot;
use std::sync::{Arc, Weak};
use std::task::Waker;

const MILLION: u64 = 1_000_000;
const NS_PER_MS: i128 = 1_000_000;

/// However many drifts add up, a clock runs at a tenth of its speed at least and ten times as fast at most.
const DRIFT_PPM_MIN: i64 = -900_000;
const DRIFT_PPM_MAX: i64 = 9_000_000;

/// A machine's clock.
pub(crate) struct MachineClock {
    /// Where monotonic time stood when the world began, for one incarnation.
    boot: (u32, u64),
    /// The last change of speed: in the world's time and in the machine's own.
    changed_world_ns: u64,
    changed_local_ns: u64,
    /// Local nanoseconds in a million of the world's.
    speed: u64,
    /// Counts changes of speed: a timer that was set before the last one is wrong.
    pub(super) speeds: u32,
    /// All jumps so far.
    jumped_ms: i128,
    faults: Vec<InForce>,
    /// Timers to set anew when the speed changes.
    sleepers: Vec<Weak<Slot>>,
}

struct InForce {
    injection: Injection,
    fault: ClockFault,
    since_world_ns: u64,
}

impl MachineClock {
    pub(super) fn new(boot: (u32, u64)) -> Self {
        MachineClock {
            boot,
            changed_world_ns: 0,
            changed_local_ns: 0,
            speed: MILLION,
            speeds: 0,
            jumped_ms: 0,
            faults: Vec::new(),
            sleepers: Vec::new(),
        }
    }

    /// Where monotonic time of this incarnation stood when the world began.
    pub(super) fn boot_ns(&mut self, incarnation: u32, boot: impl FnOnce() -> u64) -> u64 {
        match self.boot {
            (known, ns) if known == incarnation => ns,
            // The destructors of a killed task read the clock of its own life.
            (known, _) if known > incarnation => boot(),
            _ => {
                self.boot = (incarnation, boot());
                self.boot.1
            }
        }
    }

    /// What the machine has counted.
    pub(super) fn local_ns(&self, world_ns: u64) -> u64 {
        let passed = u128::from(world_ns.saturating_sub(self.changed_world_ns));
        let counted = passed * u128::from(self.speed) / u128::from(MILLION);
        self.changed_local_ns.saturating_add(u64::try_from(counted).unwrap_or(u64::MAX))
    }

    /// When the machine will have counted so far, if its speed does not change.
    pub(super) fn world_ns(&self, local_ns: u64) -> u64 {
        let missing = u128::from(local_ns.saturating_sub(self.changed_local_ns));
        let passes = (missing * u128::from(MILLION)).div_ceil(u128::from(self.speed));
        self.changed_world_ns.saturating_add(u64::try_from(passes).unwrap_or(u64::MAX))
    }

    /// How far the wall clock is from the world's.
    pub(super) fn wall_error_ns(&self, world_ns: u64) -> i128 {
        let standing = self.faults.iter().map(|known| known.offset_ms(world_ns)).sum::<i128>();
        let counted = i128::from(self.local_ns(world_ns)) - i128::from(world_ns);
        counted + (standing + self.jumped_ms) * NS_PER_MS
    }

    pub(super) fn begin(&mut self, injection: Injection, fault: ClockFault, world_ns: u64) -> Vec<Waker> {
        if let ClockFault::Jump { ms } = fault {
            self.jumped_ms += i128::from(ms);
        }
        self.faults.push(InForce { injection, fault, since_world_ns: world_ns });
        self.set_speed(world_ns)
    }

    /// `None` if there is no such fault here.
    pub(super) fn mend(&mut self, injection: Injection, world_ns: u64) -> Option<Vec<Waker>> {
        let place = self.faults.iter().position(|known| known.injection == injection)?;
        self.faults.remove(place);
        Some(self.set_speed(world_ns))
    }

    /// Gives those who wait for a timer that has become wrong.
    fn set_speed(&mut self, world_ns: u64) -> Vec<Waker> {
        let drifts = self.faults.iter().map(|known| match known.fault {
            ClockFault::Drift { ppm } => ppm,
            _ => 0,
        });
        let drift = drifts.fold(0, i64::saturating_add).clamp(DRIFT_PPM_MIN, DRIFT_PPM_MAX);
        let speed = MILLION.saturating_add_signed(drift);
        if speed == self.speed {
            return Vec::new();
        }
        self.changed_local_ns = self.local_ns(world_ns);
        self.changed_world_ns = world_ns;
        self.speed = speed;
        self.speeds += 1;
        let sleepers = std::mem::take(&mut self.sleepers);
        sleepers.iter().filter_map(|slot| slot.upgrade()?.take()).collect()
    }

    /// A timer was set.
    pub(super) fn watch(&mut self, slot: &Arc<Slot>) {
        // Room for a new one is made by letting go of those that are over, before more is asked for.
        if self.sleepers.len() == self.sleepers.capacity() {
            self.sleepers.retain(|slot| slot.upgrade().is_some_and(|slot| slot.is_waiting()));
            if self.sleepers.len() > self.sleepers.capacity() / 2 {
                self.sleepers.reserve(self.sleepers.capacity());
            }
        }
        self.sleepers.push(Arc::downgrade(slot));
    }

    /// Counts a bite of each fault that changes the monotonic clock, and of those of the wall clock if
    /// that is read.
    pub(super) fn bite(&self, bites: &mut Bites, world_ns: u64, wall: bool) {
        for known in &self.faults {
            let changed = match known.fault {
                ClockFault::Drift { ppm } => ppm != 0 && world_ns > known.since_world_ns,
                ClockFault::Jump { ms } => wall && ms != 0,
                ClockFault::Offset { .. } | ClockFault::Strobe { .. } => {
                    wall && known.offset_ms(world_ns) != 0
                }
            };
            if changed {
                bites.bite(known.injection);
            }
        }
    }
}

impl InForce {
    /// How far it puts the wall clock off while it is in force.
    fn offset_ms(&self, world_ns: u64) -> i128 {
        match self.fault {
            ClockFault::Offset { ms } => i128::from(ms),
            ClockFault::Strobe { ms, period } => {
                let flips = u128::from(world_ns - self.since_world_ns) / period.as_nanos().max(1);
                if flips % 2 == 0 { i128::from(ms) } else { 0 }
            }
            ClockFault::Jump { .. } | ClockFault::Drift { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn a_timer_is_never_early_and_at_most_a_tick_late() {
        for ppm in [-900_000, -333_333, -7, 0, 7, 1_000, 333_333, 9_000_000] {
            let mut clock = MachineClock::new((0, 0));
            clock.begin(Bites::default().begin(), ClockFault::Drift { ppm }, 12_345);
            for local_ns in [12_345, 12_346, 99_999, SECOND_NS, 86_400 * SECOND_NS + 1] {
                let at = clock.world_ns(local_ns);
                assert!(clock.local_ns(at) >= local_ns, "{ppm} ppm: early for {local_ns}");
                let before = at.saturating_sub(1);
                assert!(before < 12_345 || clock.local_ns(before) < local_ns, "{ppm} ppm: late");
            }
        }
    }

    #[test]
    fn drifts_add_up_within_bounds_and_leave_what_they_gained() {
        let (mut bites, mut clock) = (Bites::default(), MachineClock::new((0, 0)));
        let (one, other) = (bites.begin(), bites.begin());
        clock.begin(one, ClockFault::Drift { ppm: 500_000 }, 0);
        clock.begin(other, ClockFault::Drift { ppm: i64::MIN }, SECOND_NS);
        assert_eq!(clock.local_ns(SECOND_NS), 1_500_000_000);
        assert_eq!(clock.local_ns(2 * SECOND_NS), 1_600_000_000, "a tenth of its speed at least");
        assert!(clock.mend(other, 2 * SECOND_NS).is_some());
        assert!(clock.mend(one, 3 * SECOND_NS).is_some());
        assert!(clock.mend(one, 3 * SECOND_NS).is_none());
        assert_eq!(clock.local_ns(4 * SECOND_NS), 4_100_000_000);
        assert_eq!(clock.wall_error_ns(4 * SECOND_NS), 100_000_000);
    }

    #[test]
    fn ended_sleeps_are_let_go() {
        let mut clock = MachineClock::new((0, 0));
        for _ in 0..10_000 {
            clock.watch(&Arc::default());
        }
        assert!(clock.sleepers.capacity() <= 8);
    }
}
