//! Faults of processes and machines.

use super::{Deed, Nemesis};
use crate::plan::FaultKind;
use rt::sim::machine::{Loss, MachineId};
use rt::time;
use std::time::Duration;

impl Nemesis {
    pub(super) async fn disturb_processes(&self, kind: &FaultKind, pause: Duration) -> Deed {
        match kind {
            FaultKind::Crash { nodes } => self.stop(self.find_all(nodes), Loss::Crash, pause).await,
            FaultKind::PowerLoss { nodes } => self.stop(self.find_all(nodes), Loss::Power, pause).await,
            FaultKind::PowerLossAtWrite { node, operations } => {
                self.stop_at_write(self.find(node), *operations, pause).await
            }
            FaultKind::Pause { node } => self.pause(self.find(node), pause).await,
            FaultKind::Wipe { node } => self.wipe(self.find(node), pause).await,
            FaultKind::RollingRestart { nodes, down_ms } => {
                self.roll(&self.find_all(nodes), Duration::from_millis(*down_ms), pause).await
            }
            _ => Deed::default(),
        }
    }

    async fn stop(&self, mut machines: Vec<MachineId>, loss: Loss, pause: Duration) -> Deed {
        machines.sort_unstable();
        machines.dedup();
        let mut bit = false;
        for &machine in &machines {
            self.hold_down(machine);
            bit |= match loss {
                Loss::Crash => self.world.crash(machine),
                Loss::Power => self.world.power_loss(machine),
            };
        }
        time::sleep(pause).await;
        machines.iter().for_each(|machine| self.let_go(*machine));
        Deed { hit: machines, bit, ..Deed::default() }
    }

    async fn stop_at_write(&self, machine: Option<MachineId>, operations: u64, pause: Duration) -> Deed {
        let Some(machine) = machine.filter(|machine| self.world.is_running(*machine)) else {
            return Deed::default();
        };
        self.hold_down(machine);
        self.world.arm_crash_point(machine, operations, Loss::Power);
        time::sleep(pause).await;
        self.world.disarm_crash_point(machine);
        let bit = !self.world.is_running(machine);
        self.let_go(machine);
        Deed { hit: vec![machine], bit, ..Deed::default() }
    }

    async fn pause(&self, machine: Option<MachineId>, pause: Duration) -> Deed {
        let Some(machine) = machine else { return Deed::default() };
        let bit = self.world.pause(machine);
        time::sleep(pause).await;
        self.world.resume(machine);
        Deed { hit: vec![machine], bit, ..Deed::default() }
    }

    async fn wipe(&self, machine: Option<MachineId>, pause: Duration) -> Deed {
        let Some(machine) = machine else { return Deed::default() };
        self.hold_down(machine);
        self.world.power_loss(machine);
        self.world.wipe_disk(machine);
        time::sleep(pause).await;
        self.let_go(machine);
        Deed { hit: vec![machine], bit: true, ..Deed::default() }
    }

    /// One after the other, with an equal pause between them.
    async fn roll(&self, machines: &[MachineId], down: Duration, pause: Duration) -> Deed {
        let mut deed = Deed::default();
        let between = pause / u32::try_from(machines.len().max(1)).unwrap_or(u32::MAX);
        for &machine in machines {
            let one = self.stop(vec![machine], Loss::Crash, down).await;
            deed.hit.extend(one.hit);
            deed.bit |= one.bit;
            time::sleep(between).await;
        }
        deed
    }
}
