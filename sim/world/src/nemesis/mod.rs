//! Carries a plan out, and counts what it did: *fired* when a fault began, *bit* when it changed
//! something that a node could observe.

use crate::plan::{Fault, FaultKind};
use rt::sim::World;
use rt::sim::machine::{Loss, MachineId};
use rt::time::{self, Instant};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Finds the machine that a selector such as `@leader:1` means now; `None` if there is none now.
pub type Resolve = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How often a kind of fault was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Begun.
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

/// Carries out faults on named machines.
#[derive(Clone)]
pub struct Nemesis {
    world: Arc<World>,
    machines: Arc<BTreeMap<String, MachineId>>,
    resolve: Resolve,
    deeds: Arc<Mutex<Deeds>>,
    /// How many faults want a machine down, so that overlapping ones do not start it too early.
    down: Arc<Mutex<BTreeMap<MachineId, u32>>>,
}

impl Nemesis {
    /// A nemesis for `machines`.
    pub fn new(world: Arc<World>, machines: BTreeMap<String, MachineId>, resolve: Resolve) -> Self {
        Nemesis { world, machines: Arc::new(machines), resolve, deeds: Arc::default(), down: Arc::default() }
    }

    /// What was done so far.
    pub fn deeds(&self) -> Deeds {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Carries out `faults` and returns when the last one has ended and everything runs again.
    pub async fn carry_out(&self, faults: &[Fault]) {
        let start = Instant::now();
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

    fn find(&self, name: &str) -> Option<MachineId> {
        let resolved = if name.starts_with('@') { (self.resolve)(name)? } else { name.to_owned() };
        self.machines.get(&resolved).copied()
    }

    fn find_all(&self, names: &[String]) -> Vec<MachineId> {
        names.iter().filter_map(|name| self.find(name)).collect()
    }

    async fn carry_out_one(&self, fault: &Fault) {
        let (from_ns, held) = (self.world.now_ns(), self.world.held_back());
        let pause = Duration::from_millis(fault.for_ms);
        let (hit, bit) = match &fault.kind {
            FaultKind::CutSymmetric { left, right } => {
                let (left, right) = (self.find_all(left), self.find_all(right));
                let mut links = pairs(&left, &right);
                links.extend(pairs(&right, &left));
                self.cut(&links, pause).await;
                ([left, right].concat(), self.world.held_back() > held)
            }
            FaultKind::CutOneWay { from, to } => {
                let (from, to) = (self.find_all(from), self.find_all(to));
                self.cut(&pairs(&from, &to), pause).await;
                ([from, to].concat(), self.world.held_back() > held)
            }
            FaultKind::Isolate { node } => {
                let one: Vec<MachineId> = self.find(node).into_iter().collect();
                let others: Vec<MachineId> =
                    self.machines.values().copied().filter(|m| !one.contains(m)).collect();
                let mut links = pairs(&one, &others);
                links.extend(pairs(&others, &one));
                self.cut(&links, pause).await;
                (one, self.world.held_back() > held)
            }
            FaultKind::Crash { nodes } => self.stop(&self.find_all(nodes), Loss::Crash, pause).await,
            FaultKind::PowerLoss { nodes } => self.stop(&self.find_all(nodes), Loss::Power, pause).await,
            FaultKind::PowerLossAtWrite { node, operations } => {
                self.stop_at_write(self.find(node), *operations, pause).await
            }
            FaultKind::Pause { node } => self.pause(self.find(node), pause).await,
        };
        self.count(fault.kind.name(), &hit, from_ns, bit);
    }

    fn count(&self, kind: &'static str, hit: &[MachineId], from_ns: u64, bit: bool) {
        let name_of =
            |id: &MachineId| self.machines.iter().find(|(_, m)| *m == id).map(|(name, _)| name.clone());
        let machines = hit.iter().filter_map(name_of).collect();
        let mut deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = deeds.counts.entry(kind).or_default();
        counts.fired += u64::from(!hit.is_empty());
        // What held something back while nobody was hit was another fault.
        counts.bit += u64::from(bit && !hit.is_empty());
        deeds.bands.push(Band { kind, machines, from_ns, to_ns: self.world.now_ns() });
    }

    async fn cut(&self, links: &[(MachineId, MachineId)], pause: Duration) {
        links.iter().for_each(|(from, to)| self.world.cut(*from, *to));
        time::sleep(pause).await;
        links.iter().for_each(|(from, to)| self.world.heal(*from, *to));
    }

    fn hold_down(&self, machine: MachineId) {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner).entry(machine).or_default() += 1;
    }

    fn let_go(&self, machine: MachineId) {
        let last = {
            let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
            let holders = down.entry(machine).or_default();
            *holders = holders.saturating_sub(1);
            *holders == 0
        };
        if last {
            self.world.start(machine);
        }
    }

    async fn stop(&self, machines: &[MachineId], loss: Loss, pause: Duration) -> (Vec<MachineId>, bool) {
        let mut bit = false;
        for &machine in machines {
            self.hold_down(machine);
            bit |= match loss {
                Loss::Crash => self.world.crash(machine),
                Loss::Power => self.world.power_loss(machine),
            };
        }
        time::sleep(pause).await;
        machines.iter().for_each(|machine| self.let_go(*machine));
        (machines.to_vec(), bit)
    }

    async fn stop_at_write(
        &self,
        machine: Option<MachineId>,
        operations: u64,
        pause: Duration,
    ) -> (Vec<MachineId>, bool) {
        let Some(machine) = machine.filter(|machine| self.world.is_running(*machine)) else {
            return (Vec::new(), false);
        };
        self.hold_down(machine);
        self.world.arm_crash_point(machine, operations, Loss::Power);
        time::sleep(pause).await;
        self.world.disarm_crash_point(machine);
        let bit = !self.world.is_running(machine);
        self.let_go(machine);
        (vec![machine], bit)
    }

    async fn pause(&self, machine: Option<MachineId>, pause: Duration) -> (Vec<MachineId>, bool) {
        let Some(machine) = machine else { return (Vec::new(), false) };
        let bit = self.world.pause(machine);
        time::sleep(pause).await;
        self.world.resume(machine);
        (vec![machine], bit)
    }
}

fn pairs(from: &[MachineId], to: &[MachineId]) -> Vec<(MachineId, MachineId)> {
    let links = from.iter().flat_map(|from| to.iter().map(|to| (*from, *to)));
    links.filter(|(from, to)| from != to).collect()
}
