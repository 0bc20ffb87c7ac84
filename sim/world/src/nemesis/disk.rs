//! Faults of disks.

use super::{Deed, Nemesis};
use crate::plan::FaultKind;
use rt::sim::disk::DiskFault;
use rt::time;
use std::time::Duration;

/// How long a process that is restarted to read its disk again stays down.
const RESTART: Duration = Duration::from_millis(100);

impl Nemesis {
    pub(super) async fn disturb_disk(&self, kind: &FaultKind, pause: Duration) -> Deed {
        let machine = kind.machines().first().and_then(|name| self.find(name));
        let (Some(machine), Some(fault)) = (machine, disk_fault(kind)) else { return Deed::default() };
        self.state().injured.insert(machine);
        let injection = self.world.injure_disk(machine, fault);
        if matches!(kind, FaultKind::ReadError { .. }) {
            // A process that runs reads little: its cache holds what it needs.
            self.restart(machine, RESTART).await;
        }
        let lies_hidden = matches!(
            kind,
            FaultKind::BitRot { .. }
                | FaultKind::LatentSectorError { .. }
                | FaultKind::MisdirectedWrite { .. }
        );
        if lies_hidden {
            time::sleep(pause).await;
            self.restart(machine, RESTART).await;
            // What is damaged stays damaged; a write that has not yet gone astray will not any more.
            self.world.mend(injection);
            return Deed { hit: vec![machine], bit: false, injections: vec![injection] };
        }
        self.for_a_while(vec![machine], vec![injection], pause).await
    }
}

fn disk_fault(kind: &FaultKind) -> Option<DiskFault> {
    let millis = Duration::from_millis;
    Some(match *kind {
        FaultKind::ReadError { after, .. } => DiskFault::ReadError { after },
        FaultKind::WriteError { after, .. } => DiskFault::WriteError { after },
        FaultKind::SyncError { after, .. } => DiskFault::SyncError { after },
        FaultKind::DiskFull { free_bytes, .. } => DiskFault::Full { free_bytes },
        FaultKind::SlowDisk { min_ms, max_ms, .. } => {
            DiskFault::Slow { min: millis(min_ms), max: millis(max_ms) }
        }
        FaultKind::StalledDisk { .. } => DiskFault::Stall,
        FaultKind::BitRot { sectors, .. } => DiskFault::Rot { sectors },
        FaultKind::LatentSectorError { sectors, .. } => DiskFault::LatentSectorError { sectors },
        FaultKind::MisdirectedWrite { after, .. } => DiskFault::MisdirectedWrite { after },
        _ => return None,
    })
}
