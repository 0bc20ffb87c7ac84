//! A disk that keeps only what it was told to keep, and breaks on demand.
//!
//! | module | what it holds |
//! |---|---|
//! | `content` | one file: its durable image, its live one, the writes between them, its bad sectors |
//! | `image` | the whole disk: files, names, the crash point |
//! | `fault` | what can be injected, and what is in force |
//! | `handle` | the disk and its open files as one incarnation of a machine sees them |
//!
//! A crash keeps the live image (the page cache survives the process). A power loss goes back to the
//! durable one and adds a seeded part of the unsynced writes, torn at sector size. Names behave the same
//! way: a file or folder that was created, renamed or removed is so after `sync_dir` of its parent only.
//!
//! **Damage spares the youngest.** A sector that rots, cannot be read any more or is hit by a stray write
//! became durable before the last sync of its file that made anything durable. What that last sync made
//! durable is never hit: after a power loss a rotten last write cannot be told from a torn one by
//! anybody, and no system can be asked to.
//!
//! Leaves out: a cache of clean pages (damage shows at the next read), links, permissions, directories
//! renamed or removed.

mod content;
mod fault;
mod handle;
mod image;

pub use fault::DiskFault;
pub(crate) use handle::{Disk, OpenFile};

use super::World;
use super::injection::Injection;
use super::machine::{Loss, MachineId};
use super::rng::{Purpose, Rng};
use image::Image;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Writes tear, and sectors go bad, at this size.
const SECTOR_BYTES: usize = 512;

/// What a disk did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Everything that a crash point counts: writes, resizes, syncs, changes of names.
    pub operations: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Unsynced writes that a power loss took, wholly or in part.
    pub lost_writes: u64,
}

/// The disk of one machine, whoever runs on it.
#[derive(Clone, Default)]
pub(crate) struct DiskState(Arc<Shared>);

#[derive(Default)]
struct Shared {
    image: Mutex<Image>,
    /// Told when a fault ends.
    mended: Notify,
}

impl World {
    /// Injects a fault into the disk of a machine. It stays with the disk through restarts of the machine
    /// until [`World::mend`] ends it; damage that is done by then stays.
    pub fn injure_disk(&self, machine: MachineId, fault: DiskFault) -> Injection {
        let mut state = self.state();
        let super::State { machines, disk_rng, bites, .. } = &mut *state;
        let injection = bites.begin();
        // One draw each, whatever the fault does with it.
        let rng = Rng::new(disk_rng.bits(), Purpose::Disk);
        machines[machine.index()].disk.lock().injure(fault, injection, rng);
        injection
    }

    /// Puts an empty disk into a machine. What was injected into the old one and is still in force
    /// (an armed error, slowness, a capacity) holds for the new one.
    ///
    /// # Panics
    /// If a process runs on the machine.
    pub fn wipe_disk(&self, machine: MachineId) {
        let state = self.state();
        let machine = &state.machines[machine.index()];
        assert!(!machine.running, "{} runs: its disk cannot be taken out", machine.name);
        machine.disk.lock().wipe();
    }

    /// Ends a disk's injection, if it is one.
    pub(crate) fn mend_disk(&self, injection: Injection) {
        for machine in &self.state().machines {
            if machine.disk.lock().mend(injection) {
                machine.disk.0.mended.notify_waiters();
            }
        }
    }

    /// Waits as long as the faults in force on a machine's disk say.
    pub(crate) async fn hold_disk_work(&self, machine: MachineId) {
        let delay = {
            let mut state = self.state();
            let super::State { machines, disk_rng, bites, .. } = &mut *state;
            machines[machine.index()].disk.lock().slowness(disk_rng, bites)
        };
        if let Some(delay) = delay {
            super::timer::Sleep::new(self.clock.now_instant() + delay).await;
        }
        let mut first = true;
        loop {
            let shared = {
                let mut state = self.state();
                let super::State { machines, bites, .. } = &mut *state;
                let disk = &machines[machine.index()].disk;
                let Some(stall) = disk.lock().stall() else { return };
                if std::mem::take(&mut first) {
                    bites.bite(stall);
                }
                disk.0.clone()
            };
            shared.mended.notified().await;
        }
    }
}

impl DiskState {
    fn lock(&self) -> MutexGuard<'_, Image> {
        self.0.image.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn at(&self, incarnation: u32) -> Disk {
        Disk::new(self.clone(), incarnation)
    }

    pub(crate) fn enter_incarnation(&self, incarnation: u32) {
        self.lock().enter_incarnation(incarnation);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.lock().counters
    }

    pub(crate) fn arm(&self, operations: u64, loss: Loss) {
        self.lock().arm(operations, loss);
    }

    pub(crate) fn disarm(&self) {
        self.lock().disarm();
    }

    /// If the crash point was reached: goes back to the image of that moment and says how to die.
    pub(crate) fn take_crash(&self) -> Option<Loss> {
        self.lock().take_crash()
    }

    pub(crate) fn power_loss(&self, rng: &mut Rng) {
        self.lock().power_loss(rng);
    }
}
