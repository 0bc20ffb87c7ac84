//! One seed: load under faults, heal, liveness, judgement.

use crate::aftermath::Aftermath;
use crate::panics;
use crate::scenario::{Knobs, TOKEN, api_of, client_ip, ip_of, machine_names};
use crate::watch::{Found, Sight, Watch};
use crate::workload::Workload;
use check::history::{Call, Operation, Outcome};
use check::{FinalState, LivenessFacts, Violation};
use reports::model::{
    FaultBand, FaultCount, OperationCounts, OperationDot, SeedResult, SeedVerdict, Timeline, ViolationReport,
};
use rt::profile::Section;
use rt::sim::machine::MachineId;
use rt::sim::net::Latency;
use rt::sim::rng::{Purpose, Rng};
use rt::sim::trace::Event;
use rt::sim::{Options, Simulation, World};
use rt::time;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use world::nemesis::Deeds;
use world::{Nemesis, Plan, PlanError, Recorder};

/// How long a new cluster may take until it is ready.
const BOOT: Duration = Duration::from_secs(20);

/// A seed that takes longer is given up and reported as a fault of the harness; most take a tenth of a
/// second.
const WALL_LIMIT: Duration = Duration::from_secs(60);

/// Everything a run leaves behind.
pub struct Outcomes {
    /// For the report.
    pub result: SeedResult,
    /// What clients did and saw.
    pub history: Vec<Operation>,
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
}

/// What is known when the simulation ends.
struct Facts {
    history: Vec<Operation>,
    sight: Sight,
    deeds: Deeds,
    booted: bool,
    liveness: Option<LivenessFacts>,
    final_state: Option<FinalState>,
    load_from_ns: u64,
    end_ns: u64,
    event_hash: u64,
    event_count: u64,
    events: Vec<(Event, String)>,
    machines: Vec<String>,
    profile: Option<[u64; 6]>,
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
        disk_delay_min: micros(plan.world.disk_us_min),
        disk_delay_max: micros(plan.world.disk_us_max),
        keep_events: keep.events,
        profile: keep.profile,
        wall_limit: WALL_LIMIT,
        ..Options::default()
    };
    let began = Instant::now();
    let seed = plan.seed;
    let carried = plan.clone();
    let found = Found::default();
    let watched = found.clone();
    let ran = Simulation::run(seed, options, move |world| drive(world, carried, knobs, watched));
    let mut result =
        SeedResult { seed, replay, wall_seconds: began.elapsed().as_secs_f64(), ..SeedResult::default() };
    result.violations = found.lock().unwrap_or_else(PoisonError::into_inner).iter().map(report).collect();
    let facts = match ran {
        Ok(facts) => facts,
        Err(error) => {
            failed(&mut result, panics::take(seed), &error.to_string());
            return Ok(Outcomes { result, history: Vec::new(), events: Vec::new(), plan, profile: None });
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
    Ok(Outcomes { result, history: facts.history, events: facts.events, plan, profile })
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
    let machines = place_nodes(&world, &knobs, &watch);
    let client_machines = place_clients(&world, &knobs);
    let names: BTreeMap<u64, String> =
        knobs.nodes().into_iter().zip(machine_names(knobs.workers())).collect();
    let recorder = Recorder::new(world.clone());
    let aftermath = aftermath(&world, &knobs, &names);
    let mut facts = Facts {
        history: Vec::new(),
        sight: Sight::default(),
        deeds: Deeds::default(),
        booted: false,
        liveness: None,
        final_state: None,
        load_from_ns: 0,
        end_ns: 0,
        event_hash: 0,
        event_count: 0,
        events: Vec::new(),
        machines: machine_names(knobs.workers()),
        profile: None,
    };
    let judge_machine = client_machines[0];
    let booting = aftermath.clone();
    facts.booted =
        on(&world, judge_machine, async move { booting.wait_ready(BOOT).await }).await.unwrap_or(false);
    facts.load_from_ns = world.now_ns();
    if facts.booted {
        let nemesis = nemesis(&world, &watch, &names, machines);
        load(&world, &plan, &knobs, &client_machines, &recorder, &nemesis).await;
        facts.deeds = nemesis.deeds();
        let after = aftermath.clone();
        facts.liveness = on(&world, judge_machine, async move { after.liveness().await }).await;
        facts.final_state =
            on(&world, judge_machine, async move { aftermath.final_state().await }).await.flatten();
    }
    facts.history = recorder.history();
    facts.sight = watch.sight(&names);
    facts.end_ns = world.now_ns();
    facts.profile = world.take_profile();
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

fn place_nodes(world: &Arc<World>, knobs: &Knobs, watch: &Arc<Watch>) -> BTreeMap<String, MachineId> {
    let names = machine_names(knobs.workers());
    let place = |(id, name): (u64, String)| {
        let mut options = knobs.node_options(id);
        options.observer = Some(watch.clone());
        let watch = watch.clone();
        let machine = world.add_machine(&name, ip_of(id), move || node(options.clone(), watch.clone()));
        (name, machine)
    };
    knobs.nodes().into_iter().zip(names).map(place).collect()
}

/// A node's life: it ends only when it must not go on, which nothing here gives it a reason for.
async fn node(options: server::NodeOptions, watch: Arc<Watch>) {
    let id = options.id;
    let reason = match server::start(options).await {
        Err(error) => error.to_string(),
        Ok(mut node) => node.ended().await.err().map_or_else(|| "its driver ended".into(), |e| e.to_string()),
    };
    watch.node_stopped(id, reason);
}

fn place_clients(world: &Arc<World>, knobs: &Knobs) -> Vec<MachineId> {
    // The first machine is for looking at the aftermath; it takes no part in the load.
    let count = u32::try_from(knobs.get("clients", 3)).unwrap_or(3) + 1;
    let place = |client| {
        world.add_machine(&format!("client-{client}"), client_ip(client), std::future::pending::<()>)
    };
    (0..count).map(place).collect()
}

fn series(knobs: &Knobs) -> Vec<String> {
    (0..knobs.get("series", 6)).map(|n| format!("series-{n}")).collect()
}

fn aftermath(world: &Arc<World>, knobs: &Knobs, names: &BTreeMap<u64, String>) -> Aftermath {
    let partitions = u32::try_from(knobs.get("partitions", 4)).unwrap_or(4);
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
        series: series(knobs),
        probes: probes.into_values().collect(),
    }
}

fn nemesis(
    world: &Arc<World>,
    watch: &Arc<Watch>,
    names: &BTreeMap<u64, String>,
    machines: BTreeMap<String, MachineId>,
) -> Nemesis {
    let (watch, names) = (watch.clone(), names.clone());
    let resolve = move |selector: &str| {
        let group = selector.strip_prefix("@leader:")?.parse().ok()?;
        names.get(&watch.leader(group)?).cloned()
    };
    Nemesis::new(world.clone(), machines, Arc::new(resolve))
}

/// Clients work while the plan is carried out, and to its end.
async fn load(
    world: &Arc<World>,
    plan: &Plan,
    knobs: &Knobs,
    machines: &[MachineId],
    recorder: &Recorder,
    nemesis: &Nemesis,
) {
    let clients = &machines[1..];
    let rate = knobs.get("operations_per_second", 50).max(1);
    let workload = Workload {
        recorder: recorder.clone(),
        endpoints: knobs.nodes().into_iter().map(api_of).collect(),
        token: TOKEN.into(),
        series: series(knobs),
        pause: Duration::from_secs(1) * clients.len() as u32 / u32::try_from(rate).unwrap_or(u32::MAX),
        stop: Arc::new(AtomicBool::new(false)),
        next_value: Arc::new(AtomicU64::new(1)),
    };
    let running: Vec<_> = (0u32..)
        .zip(clients)
        .map(|(number, machine)| {
            let rng = Rng::numbered(plan.seed, Purpose::Workload, number);
            world.spawn_on(*machine, workload.clone().run(number, rng))
        })
        .collect();
    let started = time::Instant::now();
    nemesis.carry_out(&plan.faults).await;
    time::sleep_until(started + Duration::from_millis(plan.duration_ms)).await;
    workload.stop.store(true, Ordering::Relaxed);
    for client in running {
        // Client machines are never killed.
        let _ = client.await;
    }
}

fn judge(result: &mut SeedResult, facts: &Facts) {
    let mut violations = std::mem::take(&mut result.violations);
    let own =
        |judge: &str, evidence: String| ViolationReport { judge: judge.into(), at_seconds: None, evidence };
    violations.extend(facts.sight.stops.iter().map(|stop| own("no-stop", stop.clone())));
    if !facts.booted {
        let text =
            format!("the cluster was not ready {} s after its start, without any fault", BOOT.as_secs());
        violations.push(own("liveness", text));
    }
    if let Some(liveness) = &facts.liveness {
        violations.extend(check::judge_liveness(liveness).iter().map(report));
    }
    match &facts.final_state {
        Some(state) => violations.extend(check::judge_history(&facts.history, state).iter().map(report)),
        None if facts.booted => {
            violations.push(own("liveness", "a series could not be read after everything was healed".into()));
        }
        None => {}
    }
    result.verdict = if violations.is_empty() { SeedVerdict::Held } else { SeedVerdict::Violated };
    result.violations = violations;
    result.simulated_seconds = facts.end_ns as f64 / 1e9;
    result.event_hash = format!("{:016x}", facts.event_hash);
    result.events = facts.event_count;
    result.elections = facts.sight.elections;
    result.operations = count(&facts.history);
    let fault = |(kind, counts): (&&str, &world::nemesis::Counts)| FaultCount {
        kind: (*kind).to_owned(),
        fired: counts.fired,
        bit: counts.bit,
    };
    result.faults = facts.deeds.counts.iter().map(fault).collect();
}

fn report(violation: &Violation) -> ViolationReport {
    ViolationReport {
        judge: violation.judge.to_string(),
        at_seconds: violation.at_ns.map(|ns| ns as f64 / 1e9),
        evidence: violation.evidence.clone(),
    }
}

fn count(history: &[Operation]) -> OperationCounts {
    let mut counts = OperationCounts::default();
    for operation in history {
        match operation.outcome {
            Outcome::Ok(_) => counts.ok += 1,
            Outcome::Rejected(_) => counts.rejected += 1,
            Outcome::Unknown(_) => counts.unknown += 1,
        }
    }
    counts
}

fn timeline(facts: &Facts) -> Timeline {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let faults = facts.deeds.bands.iter().map(|band| FaultBand {
        kind: band.kind.into(),
        nodes: band.machines.clone(),
        from_seconds: seconds(band.from_ns),
        to_seconds: seconds(band.to_ns),
    });
    let operations = facts.history.iter().map(|operation| {
        let outcome = match operation.outcome {
            Outcome::Ok(_) => "ok",
            Outcome::Rejected(_) => "rejected",
            Outcome::Unknown(_) => "unknown",
        };
        let end = operation.end_ns.unwrap_or(facts.end_ns);
        OperationDot {
            at_seconds: seconds(operation.begin_ns),
            latency_ms: end.saturating_sub(operation.begin_ns) as f64 / 1e6,
            outcome: outcome.into(),
            write: matches!(operation.call, Call::Append { .. }),
        }
    });
    Timeline {
        end_seconds: seconds(facts.end_ns),
        nodes: facts.machines.clone(),
        faults: faults.collect(),
        leaderships: facts.sight.leaderships.clone(),
        operations: operations.collect(),
    }
}
