//! One seed, one history: each seed is run in the middle of a sweep over several threads and again in a
//! fresh process. Their event hashes must be equal; if not, both are run with all events, and the first
//! one that differs is named.

use crate::run::{Keep, run};
use crate::scenario::Scenario;
use crate::sweep::{SweepOptions, sweep};
use anyhow::{Context, bail};
use reports::model::SeedResult;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A seed whose two runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The seed.
    pub seed: u64,
    /// Where they part.
    pub first: String,
}

/// Runs every seed twice; calls `done` after each seed's second run.
///
/// # Errors
/// If this program cannot be started again.
pub fn check(options: &SweepOptions, done: impl Fn(u64) + Sync) -> anyhow::Result<Vec<Difference>> {
    let report = sweep(options, |_| {});
    let next = AtomicUsize::new(0);
    let differences = std::sync::Mutex::new(Vec::new());
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some(first) = report.seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match compare(options.scenario, first) {
                        Ok(None) => {}
                        Ok(Some(difference)) => push(&differences, difference),
                        Err(error) => push(&failures, error),
                    }
                    done(first.seed);
                }
            });
        }
    });
    if let Some(error) = failures.into_inner().unwrap_or_default().pop() {
        return Err(error);
    }
    let mut differences = differences.into_inner().unwrap_or_default();
    differences.sort_by_key(|difference| difference.seed);
    Ok(differences)
}

fn push<T>(list: &std::sync::Mutex<Vec<T>>, item: T) {
    list.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(item);
}

fn compare(scenario: Scenario, first: &SeedResult) -> anyhow::Result<Option<Difference>> {
    let second = fingerprint_in_fresh_process(scenario, first.seed, None)?;
    if second == fingerprint(first) {
        return Ok(None);
    }
    let seed = first.seed;
    let first = first_difference(scenario, seed)
        .unwrap_or_else(|error| format!("hashes differ; the events could not be compared: {error:#}"));
    Ok(Some(Difference { seed, first }))
}

/// What must be equal: seed, hash, number of events, operations, verdict.
pub fn fingerprint(result: &SeedResult) -> String {
    let SeedResult { seed, event_hash, events, operations, verdict, .. } = result;
    let reports::model::OperationCounts { ok, rejected, unknown } = operations;
    format!("{seed} {event_hash} {events} {ok}/{rejected}/{unknown} {verdict:?}")
}

/// Runs a seed in a process of its own; with `events`, all its events go to that file.
fn fingerprint_in_fresh_process(
    scenario: Scenario,
    seed: u64,
    events: Option<&Path>,
) -> anyhow::Result<String> {
    let program = std::env::current_exe().context("this program's own path")?;
    let mut command = Command::new(program);
    command.args(["fingerprint", "--seed", &seed.to_string()]).args(scenario.arguments());
    if let Some(events) = events {
        command.arg("--events").arg(events);
    }
    let output = command.output().context("starting this program again")?;
    if !output.status.success() {
        bail!("the fresh process ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What the fresh process does.
///
/// # Errors
/// If the plan or the file is no good.
pub fn print_fingerprint(scenario: Scenario, seed: u64, events: Option<&Path>) -> anyhow::Result<()> {
    let keep = Keep { events: events.is_some(), ..Keep::default() };
    let outcomes = run(scenario.plan(seed), keep, String::new())?;
    if let Some(path) = events {
        crate::artifacts::write_events(path, &outcomes)?;
    }
    println!("{}", fingerprint(&outcomes.result));
    Ok(())
}

fn first_difference(scenario: Scenario, seed: u64) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let (here, there) = (folder.path().join("here.log"), folder.path().join("there.log"));
    let outcomes = run(scenario.plan(seed), Keep { events: true, ..Keep::default() }, String::new())?;
    crate::artifacts::write_events(&here, &outcomes)?;
    fingerprint_in_fresh_process(scenario, seed, Some(&there))?;
    let lines = |path: &Path| -> anyhow::Result<_> { Ok(BufReader::new(fs::File::open(path)?).lines()) };
    let (mut here, mut there) = (lines(&here)?, lines(&there)?);
    for number in 1.. {
        match (here.next().transpose()?, there.next().transpose()?) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => {
                let line = |side: Option<String>| side.unwrap_or_else(|| "nothing: the run ended".into());
                return Ok(format!("event {number}: here {}; in a fresh process {}", line(a), line(b)));
            }
        }
    }
    Ok("hashes differ, but not when run again with all events: it depends on what ran before".into())
}
