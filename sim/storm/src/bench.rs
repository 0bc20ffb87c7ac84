//! How fast the simulation is, and where its time goes.

use crate::run::{Keep, run};
use crate::scenario::Scenario;
use anyhow::Context;
use reports::model::SeedVerdict;

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
    Ok(())
}
