//! A stage for systems of one's own: machines by name, clients, faults, randomness, and the verdict.
//!
//! It does by itself what every scenario needs and leaves the rest to the scenario: what the machines run,
//! what clients do, and what must hold. See [`mod@crate::run`] for how to put it on.

use crate::draw::{DrawInput, draw};
use crate::nemesis::{Deeds, Nemesis};
use crate::plan::{Fault, FaultKind};
use crate::record::Recorder;
use check::Violation;
use check::linearizability::Judgement;
use rt::sim::World;
use rt::sim::machine::MachineId;
use rt::sim::rng::{Purpose, Rng};
use rt::task::JoinHandle;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// A world with the machines, clients and faults of one run. Clones share it.
#[derive(Clone)]
pub struct Stage {
    seed: u64,
    world: Arc<World>,
    state: Arc<Mutex<State>>,
    nemesis: Arc<OnceLock<Nemesis>>,
}

#[derive(Default)]
struct State {
    machines: BTreeMap<String, MachineId>,
    clients: u8,
    /// What machines ended by themselves, and how.
    ended: Vec<String>,
}

impl Stage {
    pub(crate) fn new(seed: u64, world: Arc<World>) -> Self {
        Stage { seed, world, state: Arc::default(), nemesis: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seed, for what the scenario decides by itself.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The world beneath, for all that a stage has no word for.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Adds a machine and starts a process on it; after a crash or a power loss `start` is called again, on
    /// the same disk. The first machine has the address 10.0.0.1, the next one 10.0.0.2, and so on.
    /// A process that gives back an error is a violation: nothing but a fault may stop it. One that
    /// gives back `Ok` stays as it is: a service may start its server, and be done.
    ///
    /// # Panics
    /// If the name is taken, or 250 machines are there already.
    #[track_caller]
    pub fn machine<F, Fut, E>(&self, name: &str, start: F) -> MachineId
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + 'static,
    {
        let number = {
            let state = self.state();
            assert!(!state.machines.contains_key(name), "there is a machine {name:?} already");
            assert!(state.machines.len() < 250, "250 machines are the limit");
            state.machines.len() as u8 + 1
        };
        let (stage, called) = (self.clone(), name.to_owned());
        let process = move || {
            let (life, stage, called) = (start(), stage.clone(), called.clone());
            async move {
                if let Err(error) = life.await {
                    stage.state().ended.push(format!("{called} ended by itself: {error}"));
                }
                // What it started goes on for as long as its process lives.
                std::future::pending().await
            }
        };
        let id = self.world.add_machine(name, ip(0, number), process);
        self.state().machines.insert(name.to_owned(), id);
        id
    }

    /// The machines by name.
    pub fn machines(&self) -> BTreeMap<String, MachineId> {
        self.state().machines.clone()
    }

    /// Runs a client on a machine of its own (10.0.1.1 and on), which no fault hits, and gives what it
    /// gives.
    ///
    /// # Panics
    /// If 250 clients are there already.
    #[track_caller]
    pub fn client<T: Send + 'static>(
        &self,
        client: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let number = {
            let mut state = self.state();
            assert!(state.clients < 250, "250 clients are the limit");
            state.clients += 1;
            state.clients
        };
        let idle = std::future::pending::<()>;
        let machine = self.world.add_machine(&format!("client-{number}"), ip(1, number), idle);
        self.world.spawn_on(machine, client)
    }

    /// Randomness for what clients do: one stream for each `number`.
    pub fn rng(&self, number: u32) -> Rng {
        Rng::numbered(self.seed, Purpose::Workload, number)
    }

    /// An empty book for what clients do and see.
    pub fn recorder<C: Clone, A: Clone>(&self) -> Recorder<C, A> {
        Recorder::new(self.world.clone())
    }

    /// Faults drawn from the seed for a load of `duration`, on the machines placed so far: of these kinds
    /// (see [`crate::FaultKind::NAMES`]), and `at_most` so many.
    pub fn draw(&self, kinds: &[&str], duration: Duration, at_most: u64) -> Vec<Fault> {
        let mut machines: Vec<String> = self.state().machines.keys().cloned().collect();
        if let [one] = &machines[..] {
            // Drawing wants two sides. A cut between a machine and itself is none.
            machines.push(one.clone());
        }
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let kinds = FaultKind::NAMES.iter().copied().filter(|kind| kinds.contains(kind)).collect();
        let (clients, selectors) = (Vec::new(), Vec::new());
        draw(self.seed, &DrawInput { machines, clients, selectors, duration_ms, max_faults: at_most, kinds })
    }

    /// Who carries out faults on the machines: those that are placed when this is first called.
    pub fn nemesis(&self) -> Nemesis {
        let new = || Nemesis::new(self.world.clone(), self.machines(), Arc::new(|_| None));
        self.nemesis.get_or_init(new).clone()
    }

    /// What the nemesis did.
    pub(crate) fn deeds(&self) -> Deeds {
        self.nemesis.get().map(Nemesis::deeds).unwrap_or_default()
    }

    /// Processes that ended by themselves.
    pub(crate) fn ended(&self) -> Verdict {
        Verdict::violated_by(self.state().ended.clone())
    }
}

fn ip(network: u8, number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, network, number))
}

/// What came of a run. A scenario gives one back, or what can become one: a [`Judgement`], a list of
/// [`Violation`]s, or `Result<(), String>` for a law of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What must hold did.
    Held,
    /// A law was broken; the evidence.
    Violated(Vec<String>),
    /// It could not be judged; the reasons. Neither held nor violated.
    Undecided(Vec<String>),
    /// The run itself failed.
    Fault(String),
}

impl Verdict {
    fn violated_by(evidence: Vec<String>) -> Self {
        if evidence.is_empty() { Verdict::Held } else { Verdict::Violated(evidence) }
    }

    /// Both together: the worse one, with the evidence of both if they are alike.
    pub fn and(self, other: Verdict) -> Verdict {
        use Verdict::{Fault, Held, Undecided, Violated};
        match (self, other) {
            (Fault(reason), _) | (_, Fault(reason)) => Fault(reason),
            (Violated(mut one), Violated(other)) => {
                one.extend(other);
                Violated(one)
            }
            (Violated(evidence), _) | (_, Violated(evidence)) => Violated(evidence),
            (Undecided(mut one), Undecided(other)) => {
                one.extend(other);
                Undecided(one)
            }
            (Undecided(reasons), _) | (_, Undecided(reasons)) => Undecided(reasons),
            (Held, Held) => Held,
        }
    }
}

impl From<Vec<Violation>> for Verdict {
    fn from(violations: Vec<Violation>) -> Self {
        Verdict::violated_by(violations.iter().map(ToString::to_string).collect())
    }
}

impl From<Judgement> for Verdict {
    fn from(judgement: Judgement) -> Self {
        let reasons: Vec<String> = judgement.undecided.iter().map(ToString::to_string).collect();
        let undecided = if reasons.is_empty() { Verdict::Held } else { Verdict::Undecided(reasons) };
        Verdict::from(judgement.violations).and(undecided)
    }
}

impl From<Result<(), String>> for Verdict {
    fn from(result: Result<(), String>) -> Self {
        Verdict::violated_by(result.err().into_iter().collect())
    }
}
