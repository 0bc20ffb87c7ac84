//! The simulated arm: one seed, one thread, one history.
//!
//! [`Simulation::run`] starts a madsim runtime on a fresh OS thread and hands out a [`World`], through
//! which `world` places machines and injures them. madsim gives the executor, virtual time and the life
//! of tasks; network ([`net`]), disks ([`disk`]), clocks ([`clock`]) and the event trace ([`trace`]) are
//! ours, each drawing from its own stream of the seed ([`rng`]).
//!
//! Leaves out: processor time; code takes none of the world's.

pub mod clock;
pub mod disk;
pub mod injection;
pub mod machine;
pub mod net;
pub mod rng;
mod running;
pub mod sites;
pub(crate) mod timer;
pub mod trace;

use disk::Disk;
use machine::{Machine, MachineId};
use rng::{Purpose, Rng};
pub use running::{Running, processors};
pub use sites::sites;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use trace::Trace;

thread_local! {
    /// The world of this thread's simulation. A thread runs one simulation in its life.
    static CURRENT: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// The world of the running simulation; `None` outside one.
pub(crate) fn current() -> Option<Arc<World>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Where and when the current task runs: number of its machine (0 for the supervisor) and simulated
/// nanoseconds. `None` outside a simulation. For log lines and filters.
pub fn whereabouts() -> Option<(u16, u64)> {
    let world = current()?;
    let machine = trace::here().machine.map_or(0, MachineId::number);
    Some((machine, world.now_ns()))
}

/// Fixed properties of a simulated world.
#[derive(Clone, Debug)]
pub struct Options {
    /// One-way latency between two machines.
    pub latency: net::Latency,
    /// Chance that a read or write on a connection moves fewer bytes than it could.
    pub short_io_chance: f64,
    /// A connection on which nothing that was sent is acknowledged for so long fails at its sender with
    /// `TimedOut`.
    pub retransmission_limit: Duration,
    /// Least duration of a piece of blocking disk work.
    pub disk_delay_min: Duration,
    /// Largest duration of a piece of blocking disk work.
    pub disk_delay_max: Duration,
    /// Let `buggify!` sites fire, see [`crate::sites`].
    pub buggify: bool,
    /// Keep every event, not only the hash over them.
    pub keep_events: bool,
    /// A simulation that has not ended after this much wall time is given up. Its thread cannot be
    /// stopped: it goes on for as long as the process does.
    pub wall_limit: Duration,
    /// Measure where the wall time goes, see [`crate::profile`].
    pub profile: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            latency: net::Latency::Uniform { min: Duration::from_micros(200), max: Duration::from_millis(2) },
            short_io_chance: 0.0,
            retransmission_limit: Duration::from_secs(60),
            disk_delay_min: Duration::from_micros(100),
            disk_delay_max: Duration::from_micros(800),
            buggify: false,
            keep_events: false,
            profile: false,
            wall_limit: Duration::from_secs(120),
        }
    }
}

/// Why a simulation gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// Something inside it panicked.
    #[error("panic inside the simulation: {0}")]
    Panicked(String),
    /// It did not end in time: a dead lock, or an endless loop.
    #[error("the simulation did not end within {0:?} of wall time")]
    Hung(Duration),
    /// The operating system gave no thread.
    #[error("no thread for the simulation: {0}")]
    NoThread(String),
}

/// Runs simulations.
pub struct Simulation;

impl Simulation {
    /// Runs `main` as the supervisor of a fresh world until it ends, on a thread of its own.
    ///
    /// ```
    /// use rt::sim::{Options, Simulation};
    /// use std::time::Duration;
    ///
    /// let hours = Simulation::run(7, Options::default(), |world| async move {
    ///     rt::time::sleep(Duration::from_secs(3 * 3600)).await;
    ///     world.now_ns() / 3_600_000_000_000
    /// });
    /// assert_eq!(hours, Ok(3));
    /// ```
    ///
    /// # Errors
    /// [`SimulationError`] if anything inside panics, or everything waits for ever.
    pub fn run<F, Fut, T>(seed: u64, options: Options, main: F) -> Result<T, SimulationError>
    where
        F: FnOnce(Arc<World>) -> Fut + Send + 'static,
        Fut: Future<Output = T>,
        T: Send + 'static,
    {
        Self::start(seed, options, main)?.wait()
    }

    /// The same without waiting for it, so that several run side by side.
    ///
    /// # Errors
    /// [`SimulationError::NoThread`].
    pub fn start<F, Fut, T>(seed: u64, options: Options, main: F) -> Result<Running<T>, SimulationError>
    where
        F: FnOnce(Arc<World>) -> Fut + Send + 'static,
        Fut: Future<Output = T>,
        T: Send + 'static,
    {
        let limit = options.wall_limit;
        let (sender, result) = std::sync::mpsc::channel();
        // A fresh thread: std's HashMap keys and hyper's date cache are seeded once a thread.
        #[allow(clippy::disallowed_methods, reason = "the thread is the simulation, not part of it")]
        let thread = std::thread::Builder::new()
            .name(format!("seed-{seed}"))
            .spawn(move || {
                let runtime = madsim::runtime::Runtime::with_seed_and_config(seed, madsim::Config::default());
                let output = runtime.block_on(async move {
                    if options.profile {
                        crate::profile::start();
                    }
                    let world = Arc::new(World::new(seed, options));
                    CURRENT.with(|current| *current.borrow_mut() = Some(world.clone()));
                    let output = main(world.clone()).await;
                    world.end().await;
                    output
                });
                drop(runtime);
                // Nobody waits for a simulation that was given up.
                let _ = sender.send(output);
            })
            .map_err(|error| SimulationError::NoThread(error.to_string()))?;
        Ok(Running::new(thread, result, limit))
    }
}

/// A simulated world: its machines, links, disks and clock.
pub struct World {
    clock: madsim::time::TimeHandle,
    /// `None` once the world has ended: tasks hold the world, and the handle holds tasks.
    handle: Mutex<Option<madsim::runtime::Handle>>,
    options: Options,
    state: Mutex<State>,
    trace: Mutex<Trace>,
}

pub(crate) struct State {
    machines: Vec<Machine>,
    net: net::Net,
    bites: injection::Bites,
    clocks: clock::Clocks,
    sites: sites::Sites,
    disk_rng: Rng,
    node_rng: Rng,
}

impl World {
    fn new(seed: u64, options: Options) -> Self {
        let clock = madsim::time::TimeHandle::current();
        let begin = clock.now_instant() - clock.elapsed();
        World {
            clock,
            handle: Mutex::new(Some(madsim::runtime::Handle::current())),
            state: Mutex::new(State {
                machines: Vec::new(),
                net: net::Net::new(seed, options.latency),
                bites: injection::Bites::default(),
                clocks: clock::Clocks::new(seed, begin),
                sites: sites::Sites::new(seed, options.buggify),
                disk_rng: Rng::new(seed, Purpose::Disk),
                node_rng: Rng::new(seed, Purpose::Node),
            }),
            trace: Mutex::new(Trace::new(options.keep_events)),
            options,
        }
    }

    pub(crate) fn handle(&self) -> madsim::runtime::Handle {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Nothing is placed or injured after the end.
        handle.unwrap_or_else(madsim::runtime::Handle::current)
    }

    /// Takes everything apart. Suspended tasks hold each other through their wakers and would never be
    /// freed: their machines are killed, and get a moment to drop them.
    async fn end(&self) {
        let ids: Vec<_> = (0..self.state().machines.len()).map(MachineId::from_index).collect();
        for id in ids {
            self.stop(id, machine::Loss::Crash);
        }
        timer::Sleep::new(self.clock.now_instant() + Duration::from_millis(1)).await;
        CURRENT.with(|current| *current.borrow_mut() = None);
        self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let machines = std::mem::take(&mut self.state().machines);
        drop(machines);
    }

    /// Simulated nanoseconds since the start.
    pub fn now_ns(&self) -> u64 {
        // 584 years of simulated time fit.
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn clock(&self) -> &madsim::time::TimeHandle {
        &self.clock
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // One thread runs the whole world: the lock is never contended, and a panic ends the world.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wall time by section so far, in nanoseconds and in the order of `Section::ALL`; ends the
    /// measurement. `None` if it was not asked for.
    pub fn take_profile(&self) -> Option<[u64; 6]> {
        crate::profile::taken()
    }

    /// The events so far.
    pub fn trace(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event of the current task to the trace.
    pub(crate) fn record(&self, node: u16, kind: &'static str, subject: u64, detail: u64) {
        self.trace().record(self.now_ns(), node, kind, subject, detail);
    }

    /// Adds an event from outside `rt` (a fault, an observation) to the trace. `node` is a machine's
    /// number, or 0 for the world itself.
    pub fn note(&self, node: u16, kind: &'static str, subject: u64, detail: u64) {
        self.record(node, kind, subject, detail);
    }

    pub(crate) fn fill_random(&self, bytes: &mut [u8]) {
        self.state().node_rng.fill(bytes);
    }

    /// The disk of the machine that the current task runs on.
    pub(crate) fn disk(&self) -> io::Result<Disk> {
        let machine = self.current_machine()?;
        let state = self.state();
        let machine = &state.machines[machine.index()];
        Ok(machine.disk.at(machine.incarnation))
    }

    /// The machine that the current task runs on.
    pub(crate) fn current_machine(&self) -> io::Result<MachineId> {
        let here = trace::here();
        let machine = here
            .machine
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "the supervisor is not a machine"))?;
        let state = self.state();
        match state.machines.get(machine.index()) {
            // Only destructors of a killed task can come here: they run after its machine's death.
            Some(known) if known.incarnation != here.incarnation => {
                Err(io::Error::other("the process of this task is dead"))
            }
            _ => Ok(machine),
        }
    }

    pub(crate) async fn blocking<T>(&self, work: impl FnOnce() -> T) -> T {
        let Ok(machine) = self.current_machine() else { return work() };
        let delay = {
            let (min, max) = (self.options.disk_delay_min, self.options.disk_delay_max);
            self.state().disk_rng.duration(min, max)
        };
        timer::Sleep::new(self.clock.now_instant() + delay).await;
        self.hold_disk_work(machine).await;
        let span = crate::profile::span(crate::profile::Section::Store);
        let output = work();
        drop(span);
        let crash = self.state().machines[machine.index()].disk.take_crash();
        let Some(loss) = crash else { return output };
        self.stop(machine, loss);
        std::future::pending().await
    }
}
