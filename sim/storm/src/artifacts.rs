//! What a failing seed leaves behind: its plan (a case file that `storm replay` takes), the history and
//! every event.

use crate::run::{Keep, Outcomes, run};
use reports::model::{BuildInfo, SeedResult};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use world::Plan;

/// Runs `plan` once more with all its events and saves what it leaves in a folder of its own below
/// `folder`. Gives the files.
///
/// # Errors
/// If a file cannot be written, or the run cannot be repeated.
pub fn keep(folder: &Path, plan: Plan, replay: &str, build: &BuildInfo) -> io::Result<Vec<String>> {
    let folder = folder.join(format!("seed-{}", plan.seed));
    let outcomes = run(plan, Keep { events: true, ..Keep::default() }, replay.to_owned());
    save(&folder, &outcomes.map_err(io::Error::other)?, build)
}

/// Saves only the plan of a run that left nothing else behind.
///
/// # Errors
/// If the file cannot be written.
pub fn keep_plan(folder: &Path, plan: &Plan, build: &BuildInfo, result: &SeedResult) -> io::Result<String> {
    let folder = folder.join(format!("seed-{}", plan.seed));
    fs::create_dir_all(&folder)?;
    let case = folder.join("case.toml");
    fs::write(&case, case_file(plan, result, build))?;
    Ok(case.display().to_string())
}

/// Saves plan, history and events in `folder`.
///
/// # Errors
/// If a file cannot be written.
pub fn save(folder: &Path, outcomes: &Outcomes, build: &BuildInfo) -> io::Result<Vec<String>> {
    fs::create_dir_all(folder)?;
    let case = folder.join("case.toml");
    fs::write(&case, case_file(&outcomes.plan, &outcomes.result, build))?;
    let history = folder.join("history.jsonl");
    let mut writer = BufWriter::new(fs::File::create(&history)?);
    for operation in &outcomes.history {
        writeln!(writer, "{operation}")?;
    }
    writer.flush()?;
    let events = folder.join("events.log");
    write_events(&events, outcomes)?;
    Ok([case, history, events].map(|path| path.display().to_string()).to_vec())
}

/// Writes one line an event.
///
/// # Errors
/// If the file cannot be written.
pub fn write_events(path: &Path, outcomes: &Outcomes) -> io::Result<()> {
    let mut writer = BufWriter::new(fs::File::create(path)?);
    for (event, origin) in &outcomes.events {
        writeln!(writer, "{event} {origin}")?;
    }
    writer.flush()
}

/// The plan, under comments that say where it comes from and what it broke.
fn case_file(plan: &Plan, result: &SeedResult, build: &BuildInfo) -> String {
    let mut text = String::new();
    let dirty = if build.dirty { ", with uncommitted changes" } else { "" };
    // Writing into a string has no way to fail.
    let _ = writeln!(text, "# Found at commit {}{dirty}, {} build.", build.commit, build.profile);
    for violation in result.violations.iter().take(3) {
        let _ = writeln!(text, "# {}: {}", violation.judge, violation.evidence.replace('\n', " "));
    }
    if let Some(fault) = &result.harness_fault {
        let _ = writeln!(text, "# harness fault: {}", fault.replace('\n', " "));
    }
    let _ = writeln!(text, "# Replay: cargo storm replay <this file>");
    text + &plan.to_toml()
}

/// Default folder for reports.
pub fn reports_folder() -> PathBuf {
    PathBuf::from("reports/out")
}
