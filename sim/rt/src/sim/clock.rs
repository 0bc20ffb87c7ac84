//! Clocks: each machine's own wall and monotonic time, and what can go wrong with them.
//!
//! A machine's monotonic clock began long before the world, at a point of its own in each of its lives:
//! what one node read means nothing to another. The wall clocks agree until a fault sets them apart. The
//! supervisor, networks and disks live in the world's time.
//!
//! Leaves out: what reads the system's clock behind `rt`'s back, which is hyper's `Date` header alone. It
//! shows the world's time.

mod machine;

use super::injection::Injection;
use super::machine::MachineId;
use super::rng::{Purpose, Rng};
use super::timer::Slot;
use super::trace::{self, Here};
use super::{State, World};
use machine::MachineClock;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a machine's clock goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockFault {
    /// The wall clock stands off by so much.
    Offset {
        /// Milliseconds ahead; negative ones behind.
        ms: i64,
    },
    /// The wall clock jumps once and stays so: the end of this fault does not undo it.
    Jump {
        /// Milliseconds forward; negative ones back.
        ms: i64,
    },
    /// Both clocks run fast or slow, within a tenth and ten times their speed. What they gained or lost
    /// stays when this ends, as monotonic time must not go back.
    Drift {
        /// Millionths that they gain; negative ones they lose.
        ppm: i64,
    },
    /// The wall clock flips between off and right.
    Strobe {
        /// Milliseconds ahead while it is off; negative ones behind.
        ms: i64,
        /// For so long it is off, then right for as long.
        period: Duration,
    },
}

/// Least and largest time that a machine has been up when the world begins, in nanoseconds.
const UP_NS_MIN: u64 = 3_600 * 1_000_000_000;
const UP_NS_MAX: u64 = 1_000 * UP_NS_MIN;

/// The clocks of all machines.
pub(crate) struct Clocks {
    seed: u64,
    /// The world's time zero.
    begin: Instant,
    machines: Vec<MachineClock>,
}

/// Whose clock a timer follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    machine: MachineId,
    incarnation: u32,
}

impl Owner {
    /// The current task's machine; `None` is the supervisor.
    pub(crate) fn here() -> Option<Self> {
        let Here { machine, incarnation, .. } = trace::here();
        Some(Owner { machine: machine?, incarnation })
    }
}

/// When a timer is to fire, as the clock goes now.
pub(crate) enum Due {
    /// It is over.
    Now,
    /// At this moment of the world, unless the clock's speed changes from `speeds`.
    At { world: Instant, speeds: u32 },
}

impl Clocks {
    pub(crate) fn new(seed: u64, begin: Instant) -> Self {
        Clocks { seed, begin, machines: Vec::new() }
    }

    fn of(&mut self, machine: MachineId) -> &mut MachineClock {
        // A machine's first task may read its clock before the machine is on the list.
        while self.machines.len() <= machine.index() {
            let boot = boot_ns(self.seed, MachineId::from_index(self.machines.len()), 0);
            self.machines.push(MachineClock::new((0, boot)));
        }
        &mut self.machines[machine.index()]
    }

    /// Where a machine's monotonic clock stood in one of its lives when the world began.
    fn boot_ns(&mut self, owner: Owner) -> u64 {
        let seed = self.seed;
        let Owner { machine, incarnation } = owner;
        self.of(machine).boot_ns(incarnation, || boot_ns(seed, machine, incarnation))
    }
}

fn boot_ns(seed: u64, machine: MachineId, incarnation: u32) -> u64 {
    let life = u32::from(machine.number()) << 16 | (incarnation & 0xFFFF);
    Rng::numbered(seed, Purpose::Clock, life).between(UP_NS_MIN, UP_NS_MAX)
}

impl World {
    /// Lets a machine's clock go wrong. It bites each time that a task of the machine reads a clock that
    /// this changed, or sets a timer by it. Faults of one clock add up.
    pub fn disturb_clock(&self, machine: MachineId, fault: ClockFault) -> Injection {
        let now_ns = self.now_ns();
        let (injection, woken) = {
            let mut state = self.state();
            let injection = state.bites.begin();
            (injection, state.clocks.of(machine).begin(injection, fault, now_ns))
        };
        self.record(machine.number(), "clock_fault", 0, 0);
        woken.into_iter().for_each(std::task::Waker::wake);
        injection
    }

    /// Ends a clock's injection, if it is one.
    pub(crate) fn mend_clock(&self, injection: Injection) {
        let now_ns = self.now_ns();
        let mended = {
            let mut state = self.state();
            let mut clocks = state.clocks.machines.iter_mut().zip(1u16..);
            clocks.find_map(|(clock, number)| Some((number, clock.mend(injection, now_ns)?)))
        };
        let Some((number, woken)) = mended else { return };
        self.record(number, "clock_mended", 0, 0);
        woken.into_iter().for_each(std::task::Waker::wake);
    }

    /// What a machine's wall clock shows, in milliseconds since the Unix epoch.
    pub fn machine_wall_ms(&self, machine: MachineId) -> u64 {
        let now_ns = self.now_ns();
        let error_ns = self.state().clocks.of(machine).wall_error_ns(now_ns);
        self.wall_ms_with(error_ns)
    }

    fn wall_ms_with(&self, error_ns: i128) -> u64 {
        let since = self.clock().now_time().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        // The world's dates fit many times over.
        let ns = i128::try_from(since.as_nanos()).unwrap_or(i128::MAX).saturating_add(error_ns);
        // Before 1970 reads as 1970, as on the real arm.
        u64::try_from(ns.max(0) / 1_000_000).unwrap_or(u64::MAX)
    }

    /// The wall clock of the current task's machine.
    pub(crate) fn wall_ms(&self) -> u64 {
        let Some(owner) = Owner::here() else { return self.wall_ms_with(0) };
        let now_ns = self.now_ns();
        let error_ns = {
            let State { clocks, bites, .. } = &mut *self.state();
            let clock = clocks.of(owner.machine);
            clock.bite(bites, now_ns, true);
            clock.wall_error_ns(now_ns)
        };
        self.wall_ms_with(error_ns)
    }

    /// The monotonic clock of the current task's machine.
    pub(crate) fn monotonic(&self) -> Instant {
        let Some(owner) = Owner::here() else { return self.clock().now_instant() };
        let now_ns = self.now_ns();
        let State { clocks, bites, .. } = &mut *self.state();
        let boot_ns = clocks.boot_ns(owner);
        let clock = clocks.of(owner.machine);
        clock.bite(bites, now_ns, false);
        let up_ns = boot_ns.saturating_add(clock.local_ns(now_ns));
        clocks.begin + Duration::from_nanos(up_ns)
    }

    /// When a timer of `owner` for `deadline` on its monotonic clock is to fire.
    pub(crate) fn due(&self, owner: Owner, deadline: Instant) -> Due {
        let now_ns = self.now_ns();
        let clocks = &mut self.state().clocks;
        let boot_ns = clocks.boot_ns(owner);
        let up_ns = deadline.saturating_duration_since(clocks.begin).as_nanos();
        let local_ns = u64::try_from(up_ns).unwrap_or(u64::MAX).saturating_sub(boot_ns);
        let begin = clocks.begin;
        let clock = clocks.of(owner.machine);
        if clock.local_ns(now_ns) >= local_ns {
            return Due::Now;
        }
        Due::At { world: begin + Duration::from_nanos(clock.world_ns(local_ns)), speeds: clock.speeds }
    }

    /// A timer of `owner` was set: it is woken when the clock's speed changes.
    pub(crate) fn watch_timer(&self, owner: Owner, slot: &Arc<Slot>) {
        let now_ns = self.now_ns();
        let State { clocks, bites, .. } = &mut *self.state();
        let clock = clocks.of(owner.machine);
        clock.bite(bites, now_ns, false);
        clock.watch(slot);
    }
}
