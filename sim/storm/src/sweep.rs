//! Many seeds, over worker threads.

use crate::artifacts;
use crate::build_info::replay_line;
use crate::run::{Keep, run};
use crate::scenario::Scenario;
use reports::model::{BuildInfo, Expected, SeedResult, SeedVerdict, SimulationReport};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Which seeds, and how.
#[derive(Clone)]
pub struct SweepOptions {
    /// The scenario.
    pub scenario: Scenario,
    /// First seed.
    pub first_seed: u64,
    /// Number of seeds.
    pub seeds: u64,
    /// Worker threads.
    pub jobs: usize,
    /// Where failing seeds leave their files; `None`: nowhere.
    pub artifacts: Option<PathBuf>,
    /// Ends the sweep early.
    pub cancel: Arc<AtomicBool>,
    /// The program, for replay lines.
    pub build: BuildInfo,
}

/// Runs all seeds and calls `done` after each, in the order in which they end.
pub fn sweep(options: &SweepOptions, mut done: impl FnMut(&SeedResult)) -> SimulationReport {
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let (sender, results) = mpsc::channel();
    let mut seeds = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.seeds || options.cancel.load(Ordering::Relaxed) {
                        return;
                    }
                    let result = run_seed(options, options.first_seed.wrapping_add(number), number == 0);
                    if sender.send(result).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for result in results {
            done(&result);
            seeds.push(result);
        }
    });
    seeds.sort_by_key(|result| result.seed);
    SimulationReport {
        scenario: options.scenario.name.into(),
        first_seed: options.first_seed,
        seeds_requested: options.seeds,
        seeds,
        elapsed_seconds: began.elapsed().as_secs_f64(),
        jobs: options.jobs,
        profile: options.scenario.faults.to_string(),
        expected: expected(&options.scenario),
    }
}

/// What a campaign of the scenario has to meet.
fn expected(scenario: &Scenario) -> Expected {
    let faults = scenario.kinds().into_iter().map(str::to_owned).collect();
    Expected { faults, states: Vec::new() }
}

/// One seed of a sweep. A failing one is run again with all its events, to leave them behind.
fn run_seed(options: &SweepOptions, seed: u64, timeline: bool) -> SeedResult {
    let replay = replay_line(&options.scenario, seed, &options.build);
    let plan = options.scenario.plan(seed);
    let keep = Keep { timeline, ..Keep::default() };
    let mut result = match run(plan.clone(), keep, replay.clone()) {
        Ok(outcomes) => outcomes.result,
        Err(error) => return harness_fault(seed, replay, format!("the drawn plan is no plan: {error}")),
    };
    if result.verdict == SeedVerdict::Held {
        return result;
    }
    if let Some(folder) = &options.artifacts {
        match artifacts::keep(folder, plan, &replay, &options.build) {
            Ok(files) => result.artifacts = files,
            Err(error) => result.artifacts = vec![format!("not saved: {error}")],
        }
    }
    result
}

fn harness_fault(seed: u64, replay: String, reason: String) -> SeedResult {
    let verdict = SeedVerdict::HarnessFault;
    SeedResult { seed, replay, verdict, harness_fault: Some(reason), ..SeedResult::default() }
}
