//! Carries a plan out, and counts what it did: *armed* when the plan holds a fault, *fired* when it began
//! on a machine, *bit* when it changed something that a node could observe.

mod clock;
mod disk;
mod network;
mod process;

use crate::atlas::Atlas;
use crate::plan::{Family, Fault};
use rt::sim::World;
use rt::sim::injection::Injection;
use rt::sim::machine::MachineId;
use rt::time::{self, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Finds the machine that a selector such as `@leader:1` means now; `None` if there is none now.
pub type Resolve = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How often a kind of fault was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Planned.
    pub armed: u64,
    /// Begun on at least one machine.
    pub fired: u64,
    /// Observed by a node.
    pub bit: u64,
}

/// A fault as it happened, in nanoseconds of simulated time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// Kind.
    pub kind: &'static str,
    /// Machines it hit.
    pub machines: Vec<String>,
    /// Begin.
    pub from_ns: u64,
    /// End.
    pub to_ns: u64,
}

/// What a nemesis did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// By kind.
    pub counts: BTreeMap<&'static str, Counts>,
    /// In order of their end.
    pub bands: Vec<Band>,
}

/// What one fault came to.
#[derive(Default)]
struct Deed {
    hit: Vec<MachineId>,
    bit: bool,
    /// Counted at the very end: rot bites when it is read, which may be long after.
    injections: Vec<Injection>,
}

#[derive(Default)]
struct State {
    deeds: Deeds,
    /// Kinds whose injections may still bite.
    open: Vec<(&'static str, Vec<Injection>)>,
    /// How many faults want a machine down, so that overlapping ones do not start it too early.
    down: BTreeMap<MachineId, u32>,
    /// Machines whose disk was injured: their processes may end by themselves.
    injured: BTreeSet<MachineId>,
}

/// Carries out faults on named machines.
#[derive(Clone)]
pub struct Nemesis {
    world: Arc<World>,
    machines: Arc<BTreeMap<String, MachineId>>,
    /// They are no part of the cluster, but faults of the network may name them.
    clients: Arc<BTreeMap<String, MachineId>>,
    resolve: Resolve,
    atlas: Arc<Mutex<Atlas>>,
    state: Arc<Mutex<State>>,
}

impl Nemesis {
    /// A nemesis for `machines`, of which it damages one a run at most; see [`Nemesis::with_atlas`].
    pub fn new(world: Arc<World>, machines: BTreeMap<String, MachineId>, resolve: Resolve) -> Self {
        let atlas = Arc::new(Mutex::new(Atlas::without_replacement()));
        let (machines, clients) = (Arc::new(machines), Arc::default());
        Nemesis { world, machines, clients, resolve, atlas, state: Arc::default() }
    }

    /// Lets faults of the network name `clients` too.
    pub fn with_clients(mut self, clients: BTreeMap<String, MachineId>) -> Self {
        self.clients = Arc::new(clients);
        self
    }

    /// Asks `atlas` before it damages a machine.
    pub fn with_atlas(mut self, atlas: Atlas) -> Self {
        self.atlas = Arc::new(Mutex::new(atlas));
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was done so far.
    pub fn deeds(&self) -> Deeds {
        let state = self.state();
        let mut deeds = state.deeds.clone();
        for (kind, injections) in &state.open {
            let bit = injections.iter().any(|injection| self.world.bites(*injection) > 0);
            deeds.counts.entry(kind).or_default().bit += u64::from(bit);
        }
        deeds
    }

    /// True if the disk of the machine was injured at any time: its process may have had to end by itself.
    pub fn has_injured_disk(&self, machine: MachineId) -> bool {
        self.state().injured.contains(&machine)
    }

    /// Ends what is left of a process that ended by itself, and starts it again after `pause`, unless a
    /// fault wants it down for longer.
    pub async fn restart(&self, machine: MachineId, pause: Duration) {
        self.hold_down(machine);
        self.world.crash(machine);
        time::sleep(pause).await;
        self.let_go(machine);
    }

    /// Carries out `faults` and returns when the last one has ended and everything runs again.
    ///
    /// ```
    /// use rt::sim::{Options, Simulation};
    /// use std::collections::BTreeMap;
    /// use std::sync::Arc;
    /// use world::{Fault, FaultKind, Nemesis};
    ///
    /// let bit = Simulation::run(7, Options::default(), |world| async move {
    ///     let idle = std::future::pending::<()>;
    ///     let machine = world.add_machine("a", "10.0.0.1".parse().unwrap(), idle);
    ///     let machines = BTreeMap::from([("a".to_owned(), machine)]);
    ///     let nemesis = Nemesis::new(world, machines, Arc::new(|_| None));
    ///     let kind = FaultKind::Crash { nodes: vec!["a".into()] };
    ///     nemesis.carry_out(&[Fault { at_ms: 10, for_ms: 50, kind }]).await;
    ///     nemesis.deeds().counts["crash"].bit
    /// });
    /// assert_eq!(bit, Ok(1));
    /// ```
    pub async fn carry_out(&self, faults: &[Fault]) {
        let start = Instant::now();
        for fault in faults {
            self.state().deeds.counts.entry(fault.kind.name()).or_default().armed += 1;
        }
        let tasks: Vec<_> = faults
            .iter()
            .cloned()
            .map(|fault| {
                let nemesis = self.clone();
                rt::task::spawn(async move {
                    time::sleep_until(start + Duration::from_millis(fault.at_ms)).await;
                    nemesis.carry_out_one(&fault).await;
                })
            })
            .collect();
        for task in tasks {
            // A task of ours only stops with the whole simulation.
            let _ = task.await;
        }
    }

    async fn carry_out_one(&self, fault: &Fault) {
        let from_ns = self.world.now_ns();
        let pause = Duration::from_millis(fault.for_ms);
        let deed = if fault.kind.damages() && !self.is_permitted(fault) {
            Deed::default()
        } else {
            match fault.kind.family() {
                Family::Network => self.disturb_network(&fault.kind, pause).await,
                Family::Process => self.disturb_processes(&fault.kind, pause).await,
                Family::Disk => self.disturb_disk(&fault.kind, pause).await,
                Family::Clock => self.disturb_clock(&fault.kind, pause).await,
            }
        };
        self.count(fault.kind.name(), deed, from_ns);
    }

    /// Damage hits one machine, and only if the protocol promises to survive it now.
    fn is_permitted(&self, fault: &Fault) -> bool {
        let names = fault.kind.machines();
        let found = names.first().and_then(|name| self.resolved(name));
        let mut atlas = self.atlas.lock().unwrap_or_else(PoisonError::into_inner);
        found.is_some_and(|name| self.machines.contains_key(&name) && atlas.permit(&name))
    }

    fn count(&self, kind: &'static str, deed: Deed, from_ns: u64) {
        let name_of = |id: &MachineId| {
            let mut all = self.machines.iter().chain(&*self.clients);
            all.find(|(_, machine)| *machine == id).map(|(name, _)| name.clone())
        };
        let machines: Vec<String> = deed.hit.iter().filter_map(name_of).collect();
        let to_ns = self.world.now_ns();
        let mut state = self.state();
        let counts = state.deeds.counts.entry(kind).or_default();
        counts.fired += u64::from(!machines.is_empty());
        counts.bit += u64::from(deed.bit);
        if !deed.bit && !deed.injections.is_empty() {
            state.open.push((kind, deed.injections));
        }
        state.deeds.bands.push(Band { kind, machines, from_ns, to_ns });
    }

    fn resolved(&self, name: &str) -> Option<String> {
        if name.starts_with('@') { (self.resolve)(name) } else { Some(name.to_owned()) }
    }

    fn find(&self, name: &str) -> Option<MachineId> {
        let name = self.resolved(name)?;
        self.machines.get(&name).or_else(|| self.clients.get(&name)).copied()
    }

    fn find_all(&self, names: &[String]) -> Vec<MachineId> {
        names.iter().filter_map(|name| self.find(name)).collect()
    }

    fn hold_down(&self, machine: MachineId) {
        *self.state().down.entry(machine).or_default() += 1;
    }

    fn let_go(&self, machine: MachineId) {
        let last = {
            let mut state = self.state();
            let holders = state.down.entry(machine).or_default();
            *holders = holders.saturating_sub(1);
            *holders == 0
        };
        if last {
            self.world.start(machine);
        }
    }

    /// Waits, ends the injections, and tells what they came to.
    async fn for_a_while(&self, hit: Vec<MachineId>, injections: Vec<Injection>, pause: Duration) -> Deed {
        time::sleep(pause).await;
        for injection in &injections {
            self.world.mend(*injection);
        }
        Deed { hit, bit: false, injections }
    }
}
