//! The figures that this project promises, measured in one run: how fast the simulation is and where its
//! time goes, what our sockets cost, whether seeds repeat, what load the real cluster carries, and how much
//! memory an idle node takes.

pub mod figures;
mod idle;
mod sockets;

use crate::determinism;
use crate::run::{Keep, run};
use crate::scenario::Scenario;
use crate::sweep::SweepOptions;
use anyhow::Context;
use loadgen::{Bars, LoadOptions};
use reports::model::SeedVerdict;
use reports::model::{LoadStep, Validity};
use rt::profile::Section;

/// Simulated seconds a wall second.
const TARGET: f64 = 150.0;
/// Requests a second.
const TARGET_RPS: f64 = 10_000.0;
/// Resident memory of an idle worker.
const TARGET_IDLE_MB: f64 = 60.0;

/// What to measure.
pub struct BenchOptions {
    /// Seeds for the speed.
    pub seeds: u64,
    /// Seeds that are run twice; 0 leaves this out.
    pub determinism: u64,
    /// The real cluster under load, and an idle one.
    pub real: bool,
    /// How the seeds that are run twice are swept.
    pub sweep: SweepOptions,
}

/// Measures what is asked for and prints it.
///
/// # Errors
/// If a seed does not hold, or a part cannot be started.
pub fn bench(options: &BenchOptions) -> anyhow::Result<Score> {
    let build = &options.sweep.build;
    println!(
        "build      commit {}, {} build, {} processors, {}",
        build.commit, build.profile, build.cpus, build.platform
    );
    let mut reached = speed(options.seeds)?;
    reached &= sockets::compare()?;
    let mut repeats = true;
    if options.determinism > 0 {
        let sweep = SweepOptions { seeds: options.determinism, ..options.sweep.clone() };
        let differences = determinism::check(&sweep, |_| {})?.len();
        println!("repeats    {} seeds run twice, {differences} differences", options.determinism);
        repeats = differences == 0;
    }
    if options.real {
        reached &= load()?;
        let idle = idle::resident_mb()?;
        println!(
            "idle       {idle:.1} MB resident, a worker of four processes (target {TARGET_IDLE_MB}: {})",
            word(idle < TARGET_IDLE_MB)
        );
        reached &= idle < TARGET_IDLE_MB;
    }
    Ok(Score { reached, repeats })
}

/// What the figures come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// Every figure was reached.
    pub reached: bool,
    /// Every seed repeated.
    pub repeats: bool,
}

fn word(reached: bool) -> &'static str {
    if reached { "reached" } else { "MISSED" }
}

fn load() -> anyhow::Result<bool> {
    let options = LoadOptions { rps: TARGET_RPS, ladder: false, ..LoadOptions::default() };
    let report = loadgen::run_embedded(options, &Bars::new()).context("the load run")?;
    let step = report.steps.last().context("no load step was run")?;
    let LoadStep { intended, service, sent_on_time, offered, .. } = step;
    let verdict = match &step.validity {
        Validity::Valid => word(step.carried).to_owned(),
        Validity::Invalid(reason) => format!("INVALID, says nothing about the cluster: {reason}"),
    };
    println!("load       {TARGET_RPS:.0} requests/s against {}: {verdict}", report.target);
    println!(
        "           {:.2} % sent within 10 ms of their due time, {} errors",
        *sent_on_time as f64 * 100.0 / (*offered).max(1) as f64,
        step.errors.iter().map(|e| e.count).sum::<u64>()
    );
    let ms = |us: u64| us as f64 / 1000.0;
    println!(
        "           intended p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms",
        ms(intended.p50_us),
        ms(intended.p99_us),
        ms(intended.p999_us)
    );
    println!(
        "           service  p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms",
        ms(service.p50_us),
        ms(service.p99_us),
        ms(service.p999_us)
    );
    println!(
        "           generator {:.2} processors, cluster {:.2}",
        step.client_cpus,
        step.cluster_cpus.unwrap_or(f64::NAN)
    );
    Ok(step.validity == Validity::Valid && step.carried)
}

/// Runs `seeds` seeds of the measured scenario, one after the other on one thread, and prints ratios of
/// this one run.
///
/// # Errors
/// If a seed does not hold: the speed of a broken run is no speed.
fn speed(seeds: u64) -> anyhow::Result<bool> {
    let scenario = Scenario::named("bench").context("the scenario `bench` is gone")?;
    let (mut simulated, mut wall, mut events, mut operations) = (0.0, 0.0, 0, 0);
    let mut ratios = Vec::new();
    for seed in 0..seeds {
        let result = run(scenario.plan(seed), Keep::default(), String::new())?.result;
        anyhow::ensure!(
            result.verdict == SeedVerdict::Held,
            "seed {seed} did not hold: {:?} {:?}",
            result.violations.first(),
            result.harness_fault
        );
        simulated += result.simulated_seconds;
        wall += result.wall_seconds;
        events += result.events;
        operations += result.operations.ok + result.operations.rejected + result.operations.unknown;
        ratios.push(result.simulated_seconds / result.wall_seconds);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or(0.0);
    println!("scenario   bench: {}", scenario.about);
    println!(
        "seeds      {seeds}, one thread, judges and faults on, {} build",
        crate::build_info::current().profile
    );
    println!(
        "speed      {:.0} simulated seconds a wall second (median of seeds {median:.0})",
        simulated / wall
    );
    println!(
        "           {:.0} operations and {:.0} events a wall second",
        operations as f64 / wall,
        events as f64 / wall
    );
    let reached = simulated / wall >= TARGET;
    println!("target     {TARGET:.0}: {}", word(reached));
    println!("where the wall time goes (measured in {PROFILED} further runs, which measuring slows down):");
    print_shares(scenario)?;
    Ok(reached)
}

/// Seeds that are measured by section.
const PROFILED: u64 = 3;

fn print_shares(scenario: Scenario) -> anyhow::Result<()> {
    let mut total = [0u64; 6];
    for seed in 0..PROFILED {
        let keep = Keep { profile: true, ..Keep::default() };
        let sections = run(scenario.plan(seed), keep, String::new())?.profile.unwrap_or_default();
        total.iter_mut().zip(sections).for_each(|(sum, ns)| *sum += ns);
    }
    let all = total.iter().sum::<u64>().max(1);
    for (section, ns) in Section::ALL.iter().zip(total) {
        println!("  {:<8} {:>5.1} %", section.name(), ns as f64 * 100.0 / all as f64);
    }
    Ok(())
}
