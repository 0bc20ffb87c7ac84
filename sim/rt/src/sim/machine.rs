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
    /// Adds a machine and starts `init` on it; every [`World::start`] runs `init` again. When `init` ends,
    /// the process has ended, and all its tasks with it.
    ///
    /// ```
    /// use rt::sim::{Options, Simulation};
    /// use std::io;
    /// use std::path::Path;
    /// use std::time::Duration;
    ///
    /// /// Counts its starts in a file.
    /// fn one_more() -> io::Result<u8> {
    ///     rt::disk::create_durable_dir(Path::new("/data"))?;
    ///     let file = rt::disk::open(Path::new("/data/starts"))?;
    ///     let mut starts = [0];
    ///     if file.size_bytes()? > 0 {
    ///         file.read_at(0, &mut starts)?;
    ///     }
    ///     file.write_at(0, &[starts[0] + 1])?;
    ///     file.sync()?;
    ///     rt::disk::sync_dir(Path::new("/data"))?;
    ///     Ok(starts[0])
    /// }
    ///
    /// let starts = Simulation::run(7, Options::default(), |world| async move {
    ///     let node = async || {
    ///         drop(rt::task::blocking(one_more).await);
    ///         std::future::pending().await
    ///     };
    ///     let machine = world.add_machine("node", [10, 0, 0, 1].into(), node);
    ///     rt::time::sleep(Duration::from_secs(1)).await;
    ///     world.power_loss(machine);
    ///     world.start(machine);
    ///     rt::time::sleep(Duration::from_secs(1)).await;
    ///     world.spawn_on(machine, rt::task::blocking(one_more)).await
    /// });
    /// // Twice by itself, and what was synced is still there.
    /// assert_eq!(starts.unwrap().unwrap().unwrap(), 2);
    /// ```
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
    ///
    /// ```
    /// use rt::sim::{Options, Simulation};
    ///
    /// let number = Simulation::run(7, Options::default(), |world| async move {
    ///     let idle = std::future::pending::<()>;
    ///     let client = world.add_machine("client", [10, 0, 1, 1].into(), idle);
    ///     world.spawn_on(client, async { rt::random::u64() }).await
    /// });
    /// assert!(number.unwrap().is_ok());
    /// ```
    #[track_caller]
    pub fn spawn_on<T: Send + 'static>(
        &self,
        machine: MachineId,
        future: impl Future<Output = T> + Send + 'static,
    ) -> crate::task::JoinHandle<T> {
        let (node, incarnation) = {
            let state = self.state();
            let machine = &state.machines[machine.index()];
            (machine.node, machine.incarnation)
        };
        let origin = std::panic::Location::caller();
        let future = super::trace::numbered_on(Some(machine), incarnation, future, origin);
        match self.handle().get_node(node) {
            Some(handle) => crate::task::JoinHandle::simulated(handle.spawn(future)),
            // Every machine was built by this runtime and none is ever removed.
            None => unreachable!("machine {machine:?} has no node"),
        }
    }

    /// Kills the process on a machine. Returns false if none was running.
    ///
    /// ```
    /// # use rt::sim::{Options, Simulation};
    /// # Simulation::run(7, Options::default(), |world| async move {
    /// let machine = world.add_machine("node", [10, 0, 0, 1].into(), std::future::pending::<()>);
    /// assert!(world.crash(machine) && !world.is_running(machine));
    /// assert!(!world.crash(machine), "it is dead already");
    /// world.start(machine);
    /// assert!(world.is_running(machine));
    /// # }).unwrap();
    /// ```
    pub fn crash(&self, machine: MachineId) -> bool {
        self.stop(machine, Loss::Crash)
    }

    /// Cuts the power of a machine. Returns false if no process was running.
    ///
    /// ```
    /// use rt::disk::{create_durable_dir, open, sync_dir};
    /// use rt::sim::{Options, Simulation};
    /// use std::io;
    /// use std::path::Path;
    ///
    /// fn write() -> io::Result<()> {
    ///     create_durable_dir(Path::new("/data"))?;
    ///     let file = open(Path::new("/data/notes"))?;
    ///     file.write_at(0, b"1")?;
    ///     file.sync()?;
    ///     sync_dir(Path::new("/data"))?;
    ///     // Not synced any more.
    ///     file.write_at(0, b"2")
    /// }
    ///
    /// fn read() -> io::Result<[u8; 1]> {
    ///     let mut note = [0];
    ///     open(Path::new("/data/notes"))?.read_at(0, &mut note)?;
    ///     Ok(note)
    /// }
    ///
    /// let kept = |seed| {
    ///     Simulation::run(seed, Options::default(), |world| async move {
    ///         let machine = world.add_machine("node", [10, 0, 0, 1].into(), std::future::pending::<()>);
    ///         world.spawn_on(machine, rt::task::blocking(write)).await.unwrap().unwrap();
    ///         world.power_loss(machine);
    ///         world.start(machine);
    ///         world.spawn_on(machine, rt::task::blocking(read)).await.unwrap().unwrap()
    ///     })
    /// };
    /// // Some seeds lose the second note and some keep it, as a real disk would.
    /// let kept: Vec<_> = (0..20).map(|seed| kept(seed).unwrap()).collect();
    /// assert!(kept.contains(b"1") && kept.contains(b"2"));
    /// ```
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

    /// How many processes have ended at an address so far: what tells one life of a node from the next.
    pub fn deaths_at(&self, ip: IpAddr) -> u32 {
        let state = self.state();
        state.machines.iter().find(|machine| machine.ip == ip).map_or(0, |machine| machine.incarnation)
    }

    /// What the disk of a machine did so far.
    pub fn disk_counters(&self, id: MachineId) -> disk::Counters {
        self.state().machines[id.index()].disk.counters()
    }

    /// The machine of that name.
    pub fn machine_named(&self, name: &str) -> Option<MachineId> {
        let place = self.state().machines.iter().position(|machine| machine.name == name)?;
        Some(MachineId::from_index(place))
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
