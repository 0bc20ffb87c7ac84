//! One seed: load under faults, heal, liveness, judgement.

use crate::aftermath::{Aftermath, RECOVERY, REPLACEMENT};
use crate::broker;
use crate::judging::{judge, report, timeline};
use crate::membership::Membership;
use crate::panics;
use crate::place::{place_clients, place_nodes, supervise, upgrade};
use crate::scenario::{Knobs, Scenario, TOKEN, api_of, client_names, machine_names};
use crate::system::{self, Deed, Seat, System};
use crate::watch::{Found, Sight, Watch};
use check::LivenessFacts;
use reports::model::{SeedResult, SeedVerdict, ViolationReport};
use rt::profile::Section;
use rt::sim::machine::MachineId;
use rt::sim::net::Latency;
use rt::sim::rng::{Purpose, Rng};
use rt::sim::sites::{Broken, SiteCount};
use rt::sim::trace::Event;
use rt::sim::{Options, Simulation, World};
use rt::time;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use world::nemesis::Deeds;
use world::{Atlas, Nemesis, Plan, PlanError};

/// How long a new cluster may take until it is ready.
pub(crate) const BOOT: Duration = Duration::from_secs(20);

/// The number of who looks in the end, beyond those of clients.
const AFTER: u32 = 1000;

/// What a rolling restart may take beyond its own time.
const MOST_ROLLING_MS: u64 = 60_000;

/// A seed that takes longer is given up and reported as a fault of the harness; most take a tenth of a
/// second.
const WALL_LIMIT: Duration = Duration::from_secs(60);

/// Everything a run leaves behind.
pub struct Outcomes {
    /// For the report.
    pub result: SeedResult,
    /// What clients did.
    pub operations: Vec<Deed>,
    /// The same in full, a line of JSON an operation, if events were kept.
    pub history: Vec<String>,
    /// Every event with its task's origin, if they were kept.
    pub events: Vec<(Event, String)>,
    /// The plan.
    pub plan: Plan,
    /// Wall nanoseconds by section, in the order of `rt::profile::Section::ALL`, if they were measured.
    pub profile: Option<[u64; 6]>,
}

/// What to keep of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// Every event, not only their hash.
    pub events: bool,
    /// The timeline, although nothing went wrong.
    pub timeline: bool,
    /// Where the wall time goes.
    pub profile: bool,
    /// Wall time after which the run is given up; `None`: a minute.
    pub wall_limit: Option<Duration>,
}

/// What is known when the simulation ends.
pub(crate) struct Facts {
    pub(crate) operations: Vec<Deed>,
    pub(crate) system: Arc<dyn System>,
    pub(crate) sight: Sight,
    pub(crate) deeds: Deeds,
    pub(crate) booted: bool,
    pub(crate) liveness: Option<LivenessFacts>,
    pub(crate) collected: bool,
    pub(crate) load_from_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) event_hash: u64,
    pub(crate) event_count: u64,
    pub(crate) events: Vec<(Event, String)>,
    pub(crate) machines: Vec<String>,
    pub(crate) profile: Option<[u64; 6]>,
    pub(crate) sites: Vec<SiteCount>,
    pub(crate) broken_laws: Vec<Broken>,
}

/// Runs `plan`. `replay` is the command that runs it again.
///
/// # Errors
/// [`PlanError`] if the plan cannot be carried out.
pub fn run(plan: Plan, keep: Keep, replay: String) -> Result<Outcomes, PlanError> {
    let knobs = Knobs::of(&plan)?;
    panics::install();
    let micros = Duration::from_micros;
    let options = Options {
        latency: Latency::Uniform {
            min: micros(plan.world.latency_us_min),
            max: micros(plan.world.latency_us_max),
        },
        short_io_chance: plan.world.short_io_percent as f64 / 100.0,
        disk_delay_min: micros(plan.world.disk_us_min),
        disk_delay_max: micros(plan.world.disk_us_max),
        buggify: plan.world.buggify,
        keep_events: keep.events,
        profile: keep.profile,
        wall_limit: keep.wall_limit.unwrap_or(WALL_LIMIT),
        ..Options::default()
    };
    let began = Instant::now();
    let seed = plan.seed;
    let carried = plan.clone();
    let found = Found::default();
    let watched = found.clone();
    let limit = simulated_limit(&plan);
    let ran = Simulation::run(seed, options, move |world| async move {
        time::timeout(limit, drive(world, carried, knobs, watched)).await
    });
    let mut result =
        SeedResult { seed, replay, wall_seconds: began.elapsed().as_secs_f64(), ..SeedResult::default() };
    result.violations = found.lock().unwrap_or_else(PoisonError::into_inner).iter().map(report).collect();
    let facts = match ran {
        Ok(Ok(facts)) => facts,
        other => {
            let error = match other {
                Err(error) => error.to_string(),
                Ok(_) => format!("simulated time limit: it did not end within {} s", limit.as_secs()),
            };
            failed(&mut result, panics::take(seed), &error);
            return Ok(Outcomes {
                result,
                operations: Vec::new(),
                history: Vec::new(),
                events: Vec::new(),
                plan,
                profile: None,
            });
        }
    };
    let judging = Instant::now();
    judge(&mut result, &facts);
    let profile = facts.profile.map(|sections| with_judging(sections, judging.elapsed()));
    if keep.timeline || result.verdict == SeedVerdict::Violated {
        result.timeline = Some(timeline(&facts));
    }
    // The judges' share of the work belongs to the time that a seed takes.
    result.wall_seconds = began.elapsed().as_secs_f64();
    let history = if keep.events { facts.system.history() } else { Vec::new() };
    Ok(Outcomes { result, operations: facts.operations, history, events: facts.events, plan, profile })
}

/// A run ends when the load, the faults, the recovery and the reading of every series have; twice that is
/// far too long.
fn simulated_limit(plan: &Plan) -> Duration {
    let faults = plan.faults.iter().map(|fault| fault.at_ms + fault.for_ms).max().unwrap_or(0);
    let load = Duration::from_millis(plan.duration_ms.max(faults) + MOST_ROLLING_MS);
    let series = u32::try_from(plan.knobs.get("series").copied().unwrap_or(6)).unwrap_or(u32::MAX);
    (BOOT + load + REPLACEMENT + RECOVERY * series.saturating_add(2)) * 2
}

fn with_judging(mut sections: [u64; 6], judging: Duration) -> [u64; 6] {
    if let Some(place) = Section::ALL.iter().position(|section| *section == Section::Judges) {
        sections[place] += u64::try_from(judging.as_nanos()).unwrap_or(u64::MAX);
    }
    sections
}

fn failed(result: &mut SeedResult, panic: Option<panics::Panic>, error: &str) {
    match panic {
        Some(panic) if !panic.in_harness => {
            result.verdict = SeedVerdict::Violated;
            let judge = "no-panic".into();
            result.violations.push(ViolationReport { judge, at_seconds: None, evidence: panic.text });
        }
        panic => {
            result.verdict = SeedVerdict::HarnessFault;
            result.harness_fault = Some(panic.map_or_else(|| error.to_owned(), |panic| panic.text));
        }
    }
}

async fn drive(world: Arc<World>, plan: Plan, knobs: Knobs, found: Found) -> Facts {
    let watch = Watch::new(world.clone(), found);
    let (machines, lives, endings) = place_nodes(&world, &knobs, &watch);
    let client_machines = place_clients(&world, &knobs);
    let broker = broker::place(&world, &knobs);
    let names: BTreeMap<u64, String> =
        knobs.nodes().into_iter().zip(machine_names(knobs.workers())).collect();
    let system = system::named(Scenario::system_of(&plan))(&world, &knobs);
    let aftermath = aftermath(&world, &plan, &knobs, &names);
    let mut facts = Facts {
        operations: Vec::new(),
        system: system.clone(),
        sight: Sight::default(),
        deeds: Deeds::default(),
        booted: false,
        liveness: None,
        collected: false,
        load_from_ns: 0,
        end_ns: 0,
        event_hash: 0,
        event_count: 0,
        events: Vec::new(),
        machines: machine_names(knobs.workers()),
        profile: None,
        sites: Vec::new(),
        broken_laws: Vec::new(),
    };
    let judge_machine = client_machines[0];
    let nemesis = nemesis(&world, &watch, machines.clone());
    let nemesis = nemesis.with_atlas(atlas(&world, &plan, &knobs, &aftermath, judge_machine));
    let clients = client_names(knobs.clients()).into_iter().zip(client_machines[1..].iter().copied());
    let broker = broker.map(|machine| (broker::MACHINE.to_owned(), machine));
    let nemesis = nemesis.with_clients(clients.chain(broker).collect());
    supervise(nemesis.clone(), watch.clone(), machines.clone(), endings);
    let booting = aftermath.clone();
    facts.booted =
        on(&world, judge_machine, async move { booting.wait_ready(BOOT).await }).await.unwrap_or(false);
    facts.load_from_ns = world.now_ns();
    if facts.booted {
        load(&world, &plan, &knobs, &client_machines, &*system, &nemesis).await;
        upgrade(&nemesis, &knobs, &machines, &lives).await;
        // The code has made enough trouble, too.
        world.stop_buggify();
        facts.liveness = on(&world, judge_machine, async move { aftermath.liveness().await }).await;
        let rng = Rng::numbered(plan.seed, Purpose::Workload, AFTER);
        let seat = Seat::new(&knobs, AFTER, rng, Arc::new(AtomicBool::new(true)));
        facts.collected = on(&world, judge_machine, system.collect(seat)).await.unwrap_or(false);
    }
    // At the very end: what lies hidden on a disk bites late.
    facts.deeds = nemesis.deeds();
    facts.operations = system.deeds();
    facts.sight = watch.sight(&names);
    facts.end_ns = world.now_ns();
    facts.profile = world.take_profile();
    facts.sites = world.site_counts();
    facts.broken_laws = world.broken_laws();
    let trace = world.trace();
    facts.event_hash = trace.hash();
    facts.event_count = trace.count();
    facts.events = trace.events().iter().map(|event| (*event, trace.task_origin(event.task))).collect();
    facts
}

/// Runs `future` on a machine; `None` if it was killed.
async fn on<T: Send + 'static>(
    world: &World,
    machine: MachineId,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    world.spawn_on(machine, future).await.ok()
}

fn aftermath(world: &Arc<World>, plan: &Plan, knobs: &Knobs, names: &BTreeMap<u64, String>) -> Aftermath {
    let partitions = u32::try_from(knobs.get("partitions", 4)).unwrap_or(4);
    // Groups may still be on their way to where regions want them.
    let moves = knobs.get("regions", 0) > 0 || plan.faults.iter().any(|fault| fault.kind.damages());
    let mut probes: BTreeMap<u64, String> = BTreeMap::new();
    for n in 0..1000 {
        let name = format!("probe-{n}");
        probes.entry(apps::partition::group_of(&name, partitions)).or_insert(name);
        if probes.len() == partitions as usize {
            break;
        }
    }
    Aftermath {
        world: world.clone(),
        endpoints: names.iter().map(|(id, name)| (name.clone(), api_of(*id))).collect(),
        token: TOKEN.into(),
        recovery: if moves { REPLACEMENT } else { RECOVERY },
        probes: probes.into_values().collect(),
    }
}

fn nemesis(world: &Arc<World>, watch: &Arc<Watch>, machines: BTreeMap<String, MachineId>) -> Nemesis {
    let watch = watch.clone();
    let resolve = move |selector: &str| {
        let group = selector.strip_prefix("@leader:")?.parse().ok()?;
        watch.machine_of(watch.leader(group)?)
    };
    Nemesis::new(world.clone(), machines, Arc::new(resolve))
}

/// Lets the nemesis damage a machine when all others are full members. Somebody has to look for that; who
/// plans no damage need not.
fn atlas(world: &Arc<World>, plan: &Plan, knobs: &Knobs, aftermath: &Aftermath, from: MachineId) -> Atlas {
    if knobs.is_alone() {
        return Atlas::without_copies();
    }
    let membership = Membership::default();
    if plan.faults.iter().any(|fault| fault.kind.damages()) {
        world.spawn_on(from, membership.clone().look(aftermath.clone()));
    }
    Atlas::new(Arc::new(move |machine| membership.of(machine)))
}

/// Clients work while the plan is carried out, and to its end.
async fn load(
    world: &Arc<World>,
    plan: &Plan,
    knobs: &Knobs,
    machines: &[MachineId],
    system: &dyn System,
    nemesis: &Nemesis,
) {
    let stop = Arc::new(AtomicBool::new(false));
    let running: Vec<_> = (0u32..)
        .zip(&machines[1..])
        .map(|(number, machine)| {
            let rng = Rng::numbered(plan.seed, Purpose::Workload, number);
            world.spawn_on(*machine, system.client(Seat::new(knobs, number, rng, stop.clone())))
        })
        .collect();
    let started = time::Instant::now();
    nemesis.carry_out(&plan.faults).await;
    time::sleep_until(started + Duration::from_millis(plan.duration_ms)).await;
    stop.store(true, Ordering::Relaxed);
    for client in running {
        // Client machines are never killed.
        let _ = client.await;
    }
}
