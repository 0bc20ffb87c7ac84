//! How fast the simulation is, and where its time goes.

use crate::run::{Keep, run};
use crate::scenario::Scenario;
use anyhow::Context;
use reports::model::SeedVerdict;
use rt::profile::Section;

/// What the issue asks for.
const TARGET: f64 = 100.0;

/// Runs `seeds` seeds of the measured scenario, one after the other on one thread, and prints ratios of
/// this one run.
///
/// # Errors
/// If a seed does not hold: the speed of a broken run is no speed.
pub fn bench(seeds: u64) -> anyhow::Result<()> {
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
    let verdict = if simulated / wall >= TARGET { "reached" } else { "MISSED" };
    println!("target     {TARGET:.0}: {verdict}");
    println!("where the wall time goes (measured in {PROFILED} further runs, which measuring slows down):");
    print_shares(scenario)
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
