//! Many seeds: so many of them, or for so long.

use crate::artifacts;
use crate::build_info::replay_line;
use crate::campaign::{Seat, Task, Workers, resident_bytes};
use crate::run::{Keep, run};
use crate::scenario::Scenario;
use crate::system::is_foreign;
use reports::model::{BuildInfo, Expected, MemoryUse, SeedResult, SeedVerdict, SimulationReport};
use rt::sim::sites::{Kind, Site};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use world::Profile;

/// Held seeds that a report keeps one by one; more are only summed up, so that a campaign of a million
/// seeds fits into memory.
const KEPT_SEEDS: usize = 5_000;

/// Which seeds, and how.
#[derive(Clone)]
pub struct SweepOptions {
    /// The scenario.
    pub scenario: Scenario,
    /// First seed.
    pub first_seed: u64,
    /// Number of seeds.
    pub seeds: u64,
    /// Instead of a number: until this much wall time has passed.
    pub lasts: Option<Duration>,
    /// Seeds at a time.
    pub jobs: usize,
    /// Where they run.
    pub workers: Workers,
    /// Where failing seeds leave their files; `None`: nowhere.
    pub artifacts: Option<PathBuf>,
    /// Ends the sweep early.
    pub cancel: Arc<AtomicBool>,
    /// The program, for replay lines.
    pub build: BuildInfo,
}

/// What a job tells the sweep.
enum News {
    Done(Box<SeedResult>),
    Seat { peak_bytes: u64, last_bytes: u64, deaths: u64 },
}

/// Runs all seeds and calls `done` after each, in the order in which they end.
pub fn sweep(options: &SweepOptions, mut done: impl FnMut(&SeedResult)) -> SimulationReport {
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let (sender, results) = mpsc::channel();
    let mut report = SimulationReport {
        scenario: options.scenario.name.into(),
        first_seed: options.first_seed,
        seeds_requested: options.seeds,
        jobs: options.jobs,
        profile: options.scenario.faults.to_string(),
        expected: expected(&options.scenario),
        ..SimulationReport::default()
    };
    let mut memory = MemoryUse::default();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || job(options, began, next, &sender));
        }
        drop(sender);
        for news in results {
            let own = resident_bytes(std::process::id());
            memory.own_peak_bytes = memory.own_peak_bytes.max(own);
            memory.own_last_bytes = own;
            match news {
                News::Done(result) => {
                    done(&result);
                    report.add(*result, KEPT_SEEDS);
                }
                News::Seat { peak_bytes, last_bytes, deaths } => {
                    memory.worker_peak_bytes = memory.worker_peak_bytes.max(peak_bytes);
                    memory.worker_last_bytes = memory.worker_last_bytes.max(last_bytes);
                    memory.worker_deaths += deaths;
                }
            }
        }
    });
    report.seeds.sort_by_key(|result| result.seed);
    if options.lasts.is_some() {
        report.seeds_requested = report.ran();
    }
    report.memory = Some(memory);
    report.elapsed_seconds = began.elapsed().as_secs_f64();
    report
}

/// What a campaign of the scenario has to meet.
fn expected(scenario: &Scenario) -> Expected {
    let faults = scenario.kinds().into_iter().map(str::to_owned).collect();
    // What some kinds of faults never lead to is no fault of a campaign without the others.
    let all = scenario.faults == Profile::Swarm;
    let is_state = |site: &&Site| matches!(site.kind(), Kind::Sometimes | Kind::Reachable);
    let states = rt::sim::sites().into_iter().filter(|site| all && is_state(site));
    let states = states.filter(|site| !is_foreign(site.name(), scenario.system));
    Expected { faults, states: states.map(|site| site.name().to_owned()).collect() }
}

/// One seed after the other, until there are none left.
fn job(options: &SweepOptions, began: Instant, next: &AtomicU64, sender: &mpsc::Sender<News>) {
    let mut seat = match &options.workers {
        Workers::Threads => None,
        Workers::Processes { program, limits } => {
            Some(Seat::new(program.clone(), *limits, options.cancel.clone()))
        }
    };
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let over = match options.lasts {
            Some(lasts) => began.elapsed() >= lasts,
            None => number >= options.seeds,
        };
        if over || options.cancel.load(Ordering::Relaxed) {
            break;
        }
        let task = task(options, options.first_seed.wrapping_add(number), number == 0);
        let result = match &mut seat {
            None => run_task(task, None),
            Some(seat) => match seat.run(&task) {
                Ok(result) => result,
                Err(Some(reason)) => lost(&task, reason),
                // Cancelled in the middle: it says nothing.
                Err(None) => break,
            },
        };
        if sender.send(News::Done(Box::new(result))).is_err() {
            return;
        }
    }
    if let Some(Seat { peak_bytes, last_bytes, deaths, .. }) = seat {
        // Nobody listens any more: nothing is lost.
        let _ = sender.send(News::Seat { peak_bytes, last_bytes, deaths });
    }
}

fn task(options: &SweepOptions, seed: u64, timeline: bool) -> Task {
    Task {
        plan: options.scenario.plan(seed),
        replay: replay_line(&options.scenario, seed, &options.build),
        timeline,
        artifacts: options.artifacts.clone(),
        build: options.build.clone(),
    }
}

/// Runs one seed. A failing one is run again with all its events, to leave them behind.
pub fn run_task(task: Task, wall_limit: Option<Duration>) -> SeedResult {
    let Task { plan, replay, timeline, artifacts, build } = task;
    let keep = Keep { timeline, wall_limit, ..Keep::default() };
    let mut result = match run(plan.clone(), keep, replay.clone()) {
        Ok(outcomes) => outcomes.result,
        Err(error) => return harness_fault(plan.seed, replay, format!("the drawn plan is no plan: {error}")),
    };
    if result.verdict == SeedVerdict::Held {
        return result;
    }
    if let Some(folder) = &artifacts {
        match artifacts::keep(folder, plan, &replay, &build) {
            Ok(files) => result.artifacts = files,
            Err(error) => result.artifacts = vec![format!("not saved: {error}")],
        }
    }
    result
}

/// A seed whose worker is gone: its plan is all that there is to keep.
fn lost(task: &Task, reason: String) -> SeedResult {
    let mut result = harness_fault(task.plan.seed, task.replay.clone(), reason);
    if let Some(folder) = &task.artifacts {
        result.artifacts = match artifacts::keep_plan(folder, &task.plan, &task.build, &result) {
            Ok(file) => vec![file],
            Err(error) => vec![format!("not saved: {error}")],
        };
    }
    result
}

fn harness_fault(seed: u64, replay: String, reason: String) -> SeedResult {
    let verdict = SeedVerdict::HarnessFault;
    SeedResult { seed, replay, verdict, harness_fault: Some(reason), ..SeedResult::default() }
}
