//! What can be injected into a disk, and what is in force.
//!
//! Errors are those of Linux: `EIO` and `ENOSPC`.

use crate::sim::injection::{Bites, Injection};
use crate::sim::rng::Rng;
use std::io;
use std::time::Duration;

/// What can go wrong with a disk. See the rule on damage in [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// A read fails once.
    ReadError {
        /// The how manieth read from now, counting from 1.
        after: u64,
    },
    /// A write or resize of a file fails once, without an effect.
    WriteError {
        /// The how manieth from now, counting from 1.
        after: u64,
    },
    /// A sync of a file or folder fails once. A file's unsynced writes count as clean afterwards, as on
    /// Linux: part of them reached the platter, the rest can be read, but no later sync makes it durable.
    SyncError {
        /// The how manieth from now, counting from 1.
        after: u64,
    },
    /// No space for more than `free_bytes`, counted in sectors that hold something. A write stops at the
    /// first sector that has no room. Ends with mend.
    Full {
        /// Space left.
        free_bytes: u64,
    },
    /// Blocking work takes this much longer. Ends with mend.
    Slow {
        /// Least.
        min: Duration,
        /// Most.
        max: Duration,
    },
    /// Blocking work does not begin until mend.
    Stall,
    /// Flips bits, now, in sectors at random; fewer, if fewer are old enough. Bites when such a sector is
    /// read.
    Rot {
        /// How many.
        sectors: u64,
    },
    /// Makes sectors at random, now, unreadable until they are overwritten; fewer, if fewer are old
    /// enough. To overwrite one in part only fails as well. Bites at each such error.
    LatentSectorError {
        /// How many.
        sectors: u64,
    },
    /// A write lands elsewhere in its file, at a sector's start, and not where it should. Until the next
    /// sync but one the page cache hides it. Bites when it shows, and when what it spoiled is read.
    MisdirectedWrite {
        /// The how manieth write from now, counting from 1.
        after: u64,
    },
}

/// Operations that a fault can be waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
    Sync,
    /// A write, for [`DiskFault::MisdirectedWrite`].
    Direct,
}

#[derive(Clone)]
enum Force {
    Once { operation: Operation, left: u64, rng: Box<Rng> },
    Full { free_bytes: u64 },
    Slow { min: Duration, max: Duration },
    Stall,
}

/// The faults in force on a disk.
#[derive(Clone, Default)]
pub(super) struct Faults(Vec<(Injection, Force)>);

pub(super) fn eio() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

pub(super) fn enospc() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSPC)
}

impl Faults {
    /// Puts a fault in force, unless it is one that does its damage at once.
    pub(super) fn begin(&mut self, injection: Injection, fault: DiskFault, rng: Rng) {
        let once = |operation, after: u64| Force::Once { operation, left: after.max(1), rng: Box::new(rng) };
        let force = match fault {
            DiskFault::ReadError { after } => once(Operation::Read, after),
            DiskFault::WriteError { after } => once(Operation::Write, after),
            DiskFault::SyncError { after } => once(Operation::Sync, after),
            DiskFault::MisdirectedWrite { after } => once(Operation::Direct, after),
            DiskFault::Full { free_bytes } => Force::Full { free_bytes },
            DiskFault::Slow { min, max } => Force::Slow { min, max },
            DiskFault::Stall => Force::Stall,
            DiskFault::Rot { .. } | DiskFault::LatentSectorError { .. } => return,
        };
        self.0.push((injection, force));
    }

    /// Ends a fault. False if it is not in force here.
    pub(super) fn end(&mut self, injection: Injection) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| *known != injection);
        self.0.len() < before
    }

    /// Counts an operation; gives the fault that was waiting for it, which is over with that.
    pub(super) fn strike(&mut self, now: Operation) -> Option<(Injection, Rng)> {
        let mut struck = None;
        for (number, (_, force)) in self.0.iter_mut().enumerate() {
            if let Force::Once { operation, left, .. } = force
                && *operation == now
            {
                *left = left.saturating_sub(1);
                if *left == 0 && struck.is_none() {
                    struck = Some(number);
                }
            }
        }
        match self.0.remove(struck?) {
            (injection, Force::Once { rng, .. }) => Some((injection, *rng)),
            // Only those are struck.
            _ => None,
        }
    }

    /// Space left, and who says so; `None` without a limit.
    pub(super) fn free(&self) -> Option<(Injection, u64)> {
        let limits = self.0.iter().filter_map(|(injection, force)| match force {
            Force::Full { free_bytes } => Some((*injection, *free_bytes)),
            _ => None,
        });
        limits.min_by_key(|(_, free)| *free)
    }

    /// Takes space, or gives it back if negative.
    pub(super) fn take_space(&mut self, bytes: i64) {
        for (_, force) in &mut self.0 {
            if let Force::Full { free_bytes } = force {
                *free_bytes = free_bytes.saturating_add_signed(-bytes);
            }
        }
    }

    /// How much longer a piece of work takes.
    pub(super) fn slowness(&self, rng: &mut Rng, bites: &mut Bites) -> Option<Duration> {
        let mut longer = None;
        for (injection, force) in &self.0 {
            if let Force::Slow { min, max } = force {
                bites.bite(*injection);
                *longer.get_or_insert(Duration::ZERO) += rng.duration(*min, *max);
            }
        }
        longer
    }

    /// What keeps work from beginning.
    pub(super) fn stall(&self) -> Option<Injection> {
        self.0.iter().find_map(|(injection, force)| matches!(force, Force::Stall).then_some(*injection))
    }
}
