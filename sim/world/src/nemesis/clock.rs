//! Faults of clocks.

use super::{Deed, Nemesis};
use crate::plan::FaultKind;
use rt::sim::clock::ClockFault;
use std::time::Duration;

impl Nemesis {
    pub(super) async fn disturb_clock(&self, kind: &FaultKind, pause: Duration) -> Deed {
        let machine = kind.machines().first().and_then(|name| self.find(name));
        let (Some(machine), Some(fault)) = (machine, clock_fault(kind)) else { return Deed::default() };
        let injection = self.world.disturb_clock(machine, fault);
        self.for_a_while(vec![machine], vec![injection], pause).await
    }
}

fn clock_fault(kind: &FaultKind) -> Option<ClockFault> {
    Some(match *kind {
        FaultKind::ClockOffset { ms, .. } => ClockFault::Offset { ms },
        FaultKind::ClockJump { ms, .. } => ClockFault::Jump { ms },
        FaultKind::ClockDrift { ppm, .. } => ClockFault::Drift { ppm },
        FaultKind::ClockStrobe { ms, period_ms, .. } => {
            ClockFault::Strobe { ms, period: Duration::from_millis(period_ms) }
        }
        _ => return None,
    })
}
