//! One run: of a seed, of a plan, of a case file; and what is said about it.

use super::{Replay, RunSeed};
use crate::artifacts;
use crate::build_info::{self, replay_line};
use crate::run::{Keep, Outcomes};
use anyhow::Context;
use reports::model::{BuildInfo, SeedVerdict};
use std::io::Write;
use std::process::ExitCode;
use world::Plan;

pub(super) fn run_seed(seed: &RunSeed) -> anyhow::Result<ExitCode> {
    let (plan, line) = match (&seed.plan, seed.seed) {
        (Some(file), _) => (read_plan(file)?, format!("cargo storm run --plan {}", file.display())),
        (None, Some(number)) => {
            let scenario = seed.which.scenario();
            (scenario.plan(number), replay_line(&scenario, number, &build_info::current()))
        }
        (None, None) => anyhow::bail!("name a --seed or a --plan"),
    };
    Ok(print_outcome(&crate::run::run(plan, Keep::default(), line)?))
}

/// Reads a plan and refuses it with file and line if it cannot be carried out.
fn read_plan(file: &std::path::Path) -> anyhow::Result<Plan> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let refuse = |error: world::PlanError| anyhow::anyhow!(error.in_file(&name, &text));
    let plan = Plan::from_toml(&text).map_err(refuse)?;
    crate::scenario::Knobs::of(&plan).map_err(refuse)?;
    Ok(plan)
}

/// Prints; a reader that has gone away (`| head`) has seen enough.
pub(super) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn outcome_text(outcomes: &Outcomes) -> String {
    let result = &outcomes.result;
    let word = match result.verdict {
        SeedVerdict::Held => "held",
        SeedVerdict::Violated => "VIOLATED",
        SeedVerdict::HarnessFault => "HARNESS FAULT",
    };
    let reports::model::OperationCounts { ok, rejected, unknown } = result.operations;
    let mut lines = vec![
        format!("seed {} {word}", result.seed),
        format!("  {:.1} simulated seconds in {:.2} s", result.simulated_seconds, result.wall_seconds),
        format!("  {} events, hash {}", result.events, result.event_hash),
        format!(
            "  operations: {ok} ok, {rejected} rejected, {unknown} unknown; {} elections",
            result.elections
        ),
    ];
    lines.extend(
        result
            .faults
            .iter()
            .map(|f| format!("  {}: armed {}, fired {}, bit {}", f.kind, f.armed, f.fired, f.bit)),
    );
    lines.extend(result.violations.iter().map(|v| format!("  violated {}: {}", v.judge, v.evidence)));
    lines.extend(result.harness_fault.iter().map(|fault| format!("  {fault}")));
    if result.verdict != SeedVerdict::Held {
        lines.push(format!("  replay: {}", result.replay));
    }
    lines.join("\n") + "\n"
}

fn print_outcome(outcomes: &Outcomes) -> ExitCode {
    say(&outcome_text(outcomes));
    let result = &outcomes.result;
    ExitCode::from(match result.verdict {
        SeedVerdict::Held => 0,
        SeedVerdict::Violated => 1,
        SeedVerdict::HarnessFault => 2,
    })
}

pub(super) fn run_replay(replay: Replay) -> anyhow::Result<ExitCode> {
    let build = build_info::current();
    warn_if_another_program(&replay, &build);
    let plan = match (&replay.file, replay.seed) {
        (Some(file), _) => read_plan(file)?,
        (None, Some(seed)) => replay.which.scenario().plan(seed),
        (None, None) => anyhow::bail!("name a case file or --seed"),
    };
    if replay.trace.trace {
        crate::logs::install(&replay.trace, &plan)?;
    }
    let line = match &replay.file {
        Some(file) => format!("cargo storm replay {}", file.display()),
        None => replay_line(&replay.which.scenario(), plan.seed, &build),
    };
    let keep = Keep { events: replay.save.is_some(), ..Keep::default() };
    let outcomes = crate::run::run(plan, keep, line)?;
    if let Some(folder) = &replay.save {
        for file in artifacts::save(folder, &outcomes, &build)? {
            println!("saved {file}");
        }
    }
    Ok(print_outcome(&outcomes))
}

fn warn_if_another_program(replay: &Replay, build: &BuildInfo) {
    if let Some(commit) = replay.commit.as_ref().filter(|commit| **commit != build.commit) {
        eprintln!("warning: found at commit {commit}, this is {}: the run may go another way", build.commit);
    } else if replay.dirty || (replay.commit.is_some() && build.dirty) {
        eprintln!("warning: there were or are uncommitted changes: the run may go another way");
    }
    if let Some(profile) = replay.profile.as_ref().filter(|profile| **profile != build.profile) {
        eprintln!("warning: found with a {profile} build, this is a {} build", build.profile);
    }
}
