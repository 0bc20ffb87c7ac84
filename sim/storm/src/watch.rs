//! Replicas' steps on their way to the judges, to the trace and to the timeline.

use check::RaftJudges;
use check::observation::{Observation, Step as Seen};
use replica::observe::{Observer, Step};
use replica::{GroupId, NodeId};
use reports::model::Leadership;
use rt::profile::{Section, span};
use rt::sim::World;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sees every step of every replica.
pub struct Watch {
    world: Arc<World>,
    state: Mutex<State>,
    /// What was found so far, for those outside: it survives a panic that ends the simulation.
    found: Found,
}

/// Violations found so far.
pub type Found = Arc<Mutex<Vec<check::Violation>>>;

#[derive(Default)]
struct State {
    judges: RaftJudges,
    leaders: BTreeMap<GroupId, Leader>,
    leaderships: Vec<Leadership>,
    elections: u64,
    snapshots_installed: u64,
    stops: Vec<String>,
    /// Number of each node's machine.
    machines: BTreeMap<NodeId, u16>,
}

#[derive(Clone, Copy)]
struct Leader {
    node: NodeId,
    term: u64,
    since_ns: u64,
}

/// What was seen.
#[derive(Default)]
pub struct Sight {
    /// Who led when.
    pub leaderships: Vec<Leadership>,
    /// Leaders elected.
    pub elections: u64,
    /// Snapshots installed.
    pub snapshots_installed: u64,
    /// Nodes that ended by themselves, and why.
    pub stops: Vec<String>,
}

impl Watch {
    /// Has seen nothing yet.
    pub fn new(world: Arc<World>, found: Found) -> Arc<Self> {
        Arc::new(Watch { world, state: Mutex::default(), found })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine that leads a group now, as far as elections tell.
    pub fn leader(&self, group: GroupId) -> Option<NodeId> {
        self.lock().leaders.get(&group).map(|leader| leader.node)
    }

    /// Name of the machine that a node lives on. A machine whose disk was lost gets another node.
    pub fn machine_of(&self, node: NodeId) -> Option<String> {
        let number = self.lock().machines.get(&node).copied()?;
        self.world.machine_names().get(usize::from(number).checked_sub(1)?).cloned()
    }

    /// A node ended by itself.
    pub fn node_stopped(&self, node: NodeId, reason: String) {
        let at = self.world.now_ns() as f64 / 1e9;
        self.lock().stops.push(format!("node {node} stopped by itself at t={at:.3} s: {reason}"));
    }

    /// Everything seen; leaderships that last end now.
    pub fn sight(&self, names: &BTreeMap<NodeId, String>) -> Sight {
        let now = self.world.now_ns();
        let machines = self.world.machine_names();
        let mut state = self.lock();
        let place = |number: &u16| machines.get(usize::from(*number).checked_sub(1)?).cloned();
        let newcomers: BTreeMap<NodeId, String> =
            state.machines.iter().filter_map(|(node, number)| Some((*node, place(number)?))).collect();
        for (group, leader) in std::mem::take(&mut state.leaders) {
            state.leaderships.push(leadership(group, leader, now));
        }
        for leadership in &mut state.leaderships {
            let name = leadership.node.parse().ok();
            let name = name.and_then(|id: NodeId| names.get(&id).or(newcomers.get(&id)));
            leadership.node = name.cloned().unwrap_or_else(|| leadership.node.clone());
        }
        Sight {
            leaderships: std::mem::take(&mut state.leaderships),
            elections: state.elections,
            snapshots_installed: state.snapshots_installed,
            stops: std::mem::take(&mut state.stops),
        }
    }
}

fn leadership(group: GroupId, leader: Leader, until_ns: u64) -> Leadership {
    Leadership {
        node: leader.node.to_string(),
        group,
        term: leader.term,
        from_seconds: leader.since_ns as f64 / 1e9,
        to_seconds: until_ns as f64 / 1e9,
    }
}

impl State {
    fn leads(&mut self, node: NodeId, group: GroupId, term: u64, now: u64) {
        self.elections += 1;
        let leader = Leader { node, term, since_ns: now };
        // A leader of an older term may not know yet that it is none any more.
        if self.leaders.get(&group).is_none_or(|known| known.term < term)
            && let Some(old) = self.leaders.insert(group, leader)
        {
            self.leaderships.push(self::leadership(group, old, now));
        }
    }

    fn leads_no_more(&mut self, node: NodeId, group: GroupId, now: u64) {
        if self.leaders.get(&group).is_some_and(|known| known.node == node)
            && let Some(old) = self.leaders.remove(&group)
        {
            self.leaderships.push(self::leadership(group, old, now));
        }
    }
}

impl Observer for Watch {
    fn observe(&self, node: NodeId, group: GroupId, step: Step) {
        let _span = span(Section::Judges);
        let at_ns = self.world.now_ns();
        let (kind, detail) = in_trace(step);
        let machine = rt::sim::whereabouts().map_or(0, |(machine, _)| machine);
        self.world.note(machine, kind, group, detail);
        let mut state = self.lock();
        match step {
            Step::BecameLeader { term } => state.leads(node, group, term, at_ns),
            Step::Started { .. } => {
                state.machines.insert(node, machine);
                state.leads_no_more(node, group, at_ns);
            }
            Step::SteppedDown { .. } | Step::Removed => state.leads_no_more(node, group, at_ns),
            Step::SnapshotInstalled { .. } => state.snapshots_installed += 1,
            _ => {}
        }
        let known = state.judges.violations().len();
        state.judges.observe(&Observation { at_ns, node, group, step: seen(step) });
        let new = &state.judges.violations()[known..];
        self.found.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(new);
    }
}

fn in_trace(step: Step) -> (&'static str, u64) {
    let mix = |a: u64, b: u64| a.rotate_left(32) ^ b;
    match step {
        Step::Started { term, last_index, .. } => ("raft_started", mix(term, last_index)),
        Step::HardState { term, vote, commit } => ("raft_hard_state", mix(mix(term, vote), commit)),
        Step::BecameLeader { term } => ("raft_leader", term),
        Step::SteppedDown { term } => ("raft_stepped_down", term),
        Step::Appended { index, term, hash } => ("raft_appended", mix(mix(index, term), hash)),
        Step::Applied { index, term, hash } => ("raft_applied", mix(mix(index, term), hash)),
        Step::SnapshotInstalled { index, term } => ("raft_snapshot", mix(index, term)),
        Step::Removed => ("raft_removed", 0),
        Step::StateHash { index, hash } => ("raft_state", mix(index, hash)),
    }
}

fn seen(step: Step) -> Seen {
    match step {
        Step::Started { term, vote, commit, applied, last_index } => {
            Seen::Started { term, vote, commit, applied, last_index }
        }
        Step::HardState { term, vote, commit } => Seen::HardState { term, vote, commit },
        Step::BecameLeader { term } => Seen::BecameLeader { term },
        Step::SteppedDown { term } => Seen::SteppedDown { term },
        Step::Appended { index, term, hash } => Seen::Appended { index, term, hash },
        Step::Applied { index, term, hash } => Seen::Applied { index, term, hash },
        Step::SnapshotInstalled { index, term } => Seen::SnapshotInstalled { index, term },
        Step::Removed => Seen::Removed,
        Step::StateHash { index, hash } => Seen::StateHash { index, hash },
    }
}
