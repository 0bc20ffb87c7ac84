//! The main job: does it stay correct, and how much load does it carry? One report with both verdicts.

use crate::sweep::{SweepOptions, sweep};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadgen::{Bars, CancelToken, LoadOptions};
use reports::model::{Report, SCHEMA_VERSION, SeedResult, SeedVerdict, SimulationReport};
use reports::terminal;
use reports::verdict::Verdict;
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the main job is started with.
pub struct JobOptions {
    /// The sweep.
    pub sweep: SweepOptions,
    /// The load; `None` leaves this half out.
    pub load: Option<LoadOptions>,
    /// Folder for the report.
    pub out: PathBuf,
    /// Ctrl-C.
    pub cancel: CancelToken,
}

/// Runs both halves, writes the report and prints one screen.
///
/// # Errors
/// If the report cannot be written.
pub fn run(options: JobOptions) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let started_at = apps::http::timestamp::rfc3339(now_ms());
    let simulation = sweep_with_progress(&options.sweep, &options.cancel);
    let load = match options.load.filter(|_| !options.cancel.is_cancelled()) {
        Some(load) => Some(loadgen::run_embedded(load, &Bars::new()).context("the load run")?),
        None => None,
    };
    let report = Report {
        schema_version: SCHEMA_VERSION,
        build: options.sweep.build,
        started_at,
        elapsed_seconds: began.elapsed().as_secs_f64(),
        interrupted: options.cancel.is_cancelled(),
        simulation: Some(simulation),
        load,
    };
    let page = write(&report, &options.out)?;
    show(&report, Some(&page))?;
    Ok(ExitCode::from(Verdict::of(&report).exit_code()))
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Sweeps, with a bar on standard error.
pub fn sweep_with_progress(options: &SweepOptions, cancel: &CancelToken) -> SimulationReport {
    let bar = if options.lasts.is_some() { endless_bar() } else { bar(options.seeds) };
    let (mut violated, mut faults) = (0, 0);
    let mut done = |result: &SeedResult| {
        match result.verdict {
            SeedVerdict::Held => {}
            SeedVerdict::Violated => violated += 1,
            SeedVerdict::HarnessFault => faults += 1,
        }
        if let Some(first) = result.violations.first() {
            bar.println(format!("seed {} violated {}: {}", result.seed, first.judge, first.evidence));
        }
        bar.set_message(format!("{violated} violated, {faults} harness faults"));
        bar.inc(1);
        if cancel.is_cancelled() {
            options.cancel.store(true, Ordering::Relaxed);
        }
    };
    let report = sweep(options, &mut done);
    bar.finish_and_clear();
    report
}

/// A bar for so many seeds; silent where nobody looks.
pub fn bar(seeds: u64) -> ProgressBar {
    let template = "{msg:32} [{bar:40}] {pos}/{len} seeds, {per_sec}, {eta} left";
    // A template that did not parse would still count.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(seeds), target).with_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// A bar for as many seeds as there will be.
fn endless_bar() -> ProgressBar {
    let template = "{msg:32} {spinner} {pos} seeds in {elapsed}, {per_sec}";
    // A template that did not parse would still count.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar(0).with_style(style)
}

/// Writes the report in all forms; gives the page.
///
/// # Errors
/// If a file cannot be written.
pub fn write(report: &Report, out: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let put = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    put("report.json", &reports::json::to_bytes(report)?)?;
    put("junit.xml", &reports::junit::to_bytes(report)?)?;
    put("summary.md", reports::markdown::summary(report).as_bytes())?;
    put("index.html", reports::html::page(report).as_bytes())?;
    Ok(out.join("index.html"))
}

/// Prints one screen.
///
/// # Errors
/// If standard output is gone.
pub fn show(report: &Report, page: Option<&Path>) -> anyhow::Result<()> {
    let options = terminal::Options {
        colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        page: page.map(|page| page.display().to_string()),
        next: None,
    };
    std::io::stdout().write_all(terminal::screen(report, &options).as_bytes())?;
    Ok(())
}
