//! Machines: where a node's tasks run, and how they die.
//!
//! After [`World::crash`] or [`World::power_loss`] nothing of the old incarnation can act: its sockets
//! and file handles are dead before its destructors run.

use super::disk::DiskState;
use super::net::Silence;
use super::rng::Rng;
use super::{World, disk};
use std::future::Future;
use std::net::IpAddr;

/// Names a machine of a world. Numbers start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId(u16);

impl MachineId {
    pub(crate) fn index(self) -> usize {
        usize::from(self.0) - 1
    }

    pub(crate) fn from_index(index: usize) -> Self {
        // A world of 65,534 machines is far beyond what a simulation can hold.
        MachineId(u16::try_from(index + 1).unwrap_or(u16::MAX))
    }

    /// The number in the trace.
    pub fn number(self) -> u16 {
        self.0
    }
}

pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) ip: IpAddr,
    pub(crate) node: madsim::task::NodeId,
    pub(crate) incarnation: u32,
    pub(crate) running: bool,
    pub(crate) powered: bool,
    pub(crate) paused: bool,
    pub(crate) disk: DiskState,
}

/// How a machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process is killed (`kill -9`): the page cache survives, peers get a reset.
    Crash,
    /// The power goes: what was not synced may be lost, peers hear nothing.
    Power,
}

impl World {
    /// Adds a machine and starts `init` on it; every [`World::start`] runs `init` again.
    #[track_caller]
    pub fn add_machine<F, Fut>(&self, name: &str, ip: IpAddr, init: F) -> MachineId
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let origin = std::panic::Location::caller();
        let handle = self.handle();
        let builder = handle.create_node().name(name).ip(ip);
        let id = MachineId::from_index(self.state().machines.len());
        let init = move || {
            // The first life begins before the machine is on the list.
            let known = super::current()
                .and_then(|world| world.state().machines.get(id.index()).map(|machine| machine.incarnation));
            super::trace::numbered_on(Some(id), known.unwrap_or(0), init(), origin)
        };
        let node = builder.init(init).build();
        let mut state = self.state();
        state.machines.push(Machine {
            name: name.into(),
            ip,
            node: node.id(),
            incarnation: 0,
            running: true,
            powered: true,
            paused: false,
            disk: DiskState::default(),
        });
        id
    }

    /// Starts a task on a machine from outside, for clients of a test.
    #[track_caller]
    pub fn spawn_on<T: Send + 'static>(
        &self,
        machine: MachineId,
        future: impl Future<Output = T> + Send + 'static,
    ) -> madsim::task::JoinHandle<T> {
        let (node, incarnation) = {
            let state = self.state();
            let machine = &state.machines[machine.index()];
            (machine.node, machine.incarnation)
        };
        let origin = std::panic::Location::caller();
        let future = super::trace::numbered_on(Some(machine), incarnation, future, origin);
        match self.handle().get_node(node) {
            Some(handle) => handle.spawn(future),
            // Every machine was built by this runtime and none is ever removed.
            None => unreachable!("machine {machine:?} has no node"),
        }
    }

    /// Kills the process on a machine. Returns false if none was running.
    pub fn crash(&self, machine: MachineId) -> bool {
        self.stop(machine, Loss::Crash)
    }

    /// Cuts the power of a machine. Returns false if no process was running.
    pub fn power_loss(&self, machine: MachineId) -> bool {
        self.stop(machine, Loss::Power)
    }

    pub(crate) fn stop(&self, id: MachineId, loss: Loss) -> bool {
        let kind = if loss == Loss::Crash { "crash" } else { "power_loss" };
        let (node, was_paused) = {
            let mut state = self.state();
            let super::State { machines, disk_rng, .. } = &mut *state;
            let machine = &mut machines[id.index()];
            if loss == Loss::Power {
                machine.powered = false;
                machine.disk.lose_unsynced(disk_rng);
            }
            if !machine.running {
                return false;
            }
            machine.running = false;
            machine.incarnation += 1;
            machine.disk.enter_incarnation(machine.incarnation);
            (machine.node, std::mem::take(&mut machine.paused))
        };
        self.record(id.number(), kind, 0, 0);
        self.close_sockets(id, if loss == Loss::Crash { Silence::Reset } else { Silence::Mute });
        let handle = self.handle();
        if was_paused {
            // madsim would drop paused tasks here and now, as if they were the killer's own. So they die
            // like all others: by the executor, in their own place.
            handle.resume(node);
        }
        handle.kill(node);
        true
    }

    /// Starts the process again after [`World::crash`] or [`World::power_loss`].
    pub fn start(&self, id: MachineId) {
        let node = {
            let mut state = self.state();
            let machine = &mut state.machines[id.index()];
            if machine.running {
                return;
            }
            machine.running = true;
            machine.powered = true;
            machine.node
        };
        self.record(id.number(), "start", 0, 0);
        self.powered_again(id);
        self.handle().restart(node);
    }

    /// Stops the machine's tasks from running (`SIGSTOP`); its sockets stay open. Returns false if nothing
    /// ran there.
    pub fn pause(&self, id: MachineId) -> bool {
        let node = {
            let mut state = self.state();
            let machine = &mut state.machines[id.index()];
            if !machine.running || machine.paused {
                return false;
            }
            machine.paused = true;
            machine.node
        };
        self.record(id.number(), "pause", 0, 0);
        self.handle().pause(node);
        true
    }

    /// Lets a paused machine run on.
    pub fn resume(&self, id: MachineId) {
        let node = {
            let mut state = self.state();
            let machine = &mut state.machines[id.index()];
            if !machine.paused {
                return;
            }
            machine.paused = false;
            machine.node
        };
        self.record(id.number(), "resume", 0, 0);
        self.handle().resume(node);
    }

    /// Kills the machine at the `operations`-th disk operation (write, resize, sync, rename, …) from now
    /// that falls within blocking work.
    pub fn arm_crash_point(&self, id: MachineId, operations: u64, loss: Loss) {
        self.state().machines[id.index()].disk.arm(operations, loss);
    }

    /// Takes an unreached crash point back.
    pub fn disarm_crash_point(&self, id: MachineId) {
        self.state().machines[id.index()].disk.disarm();
    }

    /// True while a process runs there (paused or not).
    pub fn is_running(&self, id: MachineId) -> bool {
        self.state().machines[id.index()].running
    }

    /// What the disk of a machine did so far.
    pub fn disk_counters(&self, id: MachineId) -> disk::Counters {
        self.state().machines[id.index()].disk.counters()
    }

    /// The names of all machines, in order of their numbers.
    pub fn machine_names(&self) -> Vec<String> {
        self.state().machines.iter().map(|machine| machine.name.clone()).collect()
    }
}

impl disk::DiskState {
    fn lose_unsynced(&self, rng: &mut Rng) {
        self.power_loss(rng);
    }
}
