//! The command line of `loadgen`: from arguments to options, and from the report to an exit code.
//!
//! Leaves out judging and drawing: `reports` holds the verdict, the exit codes and the screen.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use clap::Parser;
use reports::model::{BuildInfo, LoadReport, Report, SCHEMA_VERSION};
use reports::terminal::{self, Options as Screen};
use reports::verdict::Verdict;

use crate::{Bars, CancelToken, LoadError, LoadOptions, Progress, Silent, os, run, run_embedded};

/// Usage is wrong, or the harness failed.
const FAULT: u8 = 2;

const EXAMPLES: &str = "Examples:
  loadgen                                    climb from 200 to 10,000 requests/s against a cluster
                                             in this process: 1 control node and 3 workers
  loadgen --rps 2000 --once                  only 2,000 requests/s
  loadgen --target http://10.0.0.1:8080 --token \"$TOKEN\" --duration 30s
                                             a cluster that already runs, half a minute a step
  loadgen --rps 500 --duration 3s --json load.json --quiet
                                             figures into a file

Exit codes: 0 the target was carried; 1 acknowledged writes are lost; 2 wrong usage, a fault of the
harness, or interrupted before anything was shown; 3 the target was missed, or the generator could not
offer it (INVALID: then the figures say nothing about the cluster).";

/// How much load does it carry? Open-loop writes at a constant rate, step by step up to a target.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, after_help = EXAMPLES)]
struct Arguments {
    /// Rate that has to hold, in requests a second
    #[arg(long, value_name = "RATE", default_value_t = 10_000.0)]
    rps: f64,

    /// Base address of a node, plain http; several take turns. Without it: a cluster in this process
    #[arg(long, value_name = "URL", num_args = 1..)]
    target: Vec<String>,

    /// Length of each step's measured part, for example `10s` or `1m`
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,

    /// Window before it whose figures do not count
    #[arg(long, value_name = "TIME", default_value = "1500ms", value_parser = humantime::parse_duration)]
    settle: Duration,

    /// Drive only the target rate, without climbing to it
    #[arg(long)]
    once: bool,

    /// First rung of the ladder, in requests a second
    #[arg(long, value_name = "RATE", default_value_t = 200.0, conflicts_with = "once")]
    first_rps: f64,

    /// How long an answer may take
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    timeout: Duration,

    /// Sent as `Authorization: Bearer <TOKEN>`
    #[arg(long, env = "LOADGEN_TOKEN", default_value = "local-dev-token-123", hide_env_values = true)]
    token: String,

    /// Requests that can be under way at once [default: a tenth of the rate, 64 to 2000]
    #[arg(long, value_name = "COUNT")]
    users: Option<usize>,

    /// Metrics that the writes spread over
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    series: usize,

    /// Worker nodes of the cluster in this process
    #[arg(long, value_name = "COUNT", default_value_t = 3, conflicts_with = "target")]
    workers: usize,

    /// Folder for the data of the cluster in this process [default: a temporary one]
    #[arg(long, value_name = "FOLDER", conflicts_with = "target")]
    data: Option<PathBuf>,

    /// Send to every node of the cluster in this process in turn, not to the control node alone
    #[arg(long, conflicts_with = "target")]
    spread: bool,

    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

impl Arguments {
    fn options(&self, cancel: CancelToken) -> LoadOptions {
        LoadOptions {
            targets: self.target.clone(),
            token: self.token.clone(),
            rps: self.rps,
            step_seconds: self.duration.as_secs_f64(),
            settle_seconds: self.settle.as_secs_f64(),
            users: self.users,
            first_rps: self.first_rps,
            series: self.series,
            ladder: !self.once,
            request_timeout_seconds: self.timeout.as_secs_f64(),
            cancel,
            workers: self.workers,
            data: self.data.clone(),
            spread: self.spread,
        }
    }
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    run_with_args(std::env::args_os())
}

/// Runs with these arguments, the program's name first.
pub fn run_with_args<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(message) => {
            // Nothing is left to do about a closed terminal.
            let _printed = message.print();
            return ExitCode::from(if message.use_stderr() { FAULT } else { 0 });
        }
    };
    match load(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("loadgen: {error:#}");
            ExitCode::from(FAULT)
        }
    }
}

fn load(arguments: &Arguments) -> anyhow::Result<u8> {
    let cancel = CancelToken::on_ctrl_c();
    let options = arguments.options(cancel.clone());
    let progress: Box<dyn Progress> = if arguments.quiet { Box::new(Silent) } else { Box::new(Bars::new()) };
    let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let begin = Instant::now();
    let load = drive(options, progress.as_ref())?;
    let report = Report {
        schema_version: SCHEMA_VERSION,
        build: build_info(),
        started_at,
        elapsed_seconds: begin.elapsed().as_secs_f64(),
        interrupted: cancel.is_cancelled(),
        simulation: None,
        load: Some(load),
    };
    if let Some(path) = &arguments.json {
        let bytes = reports::json::to_bytes(&report)?;
        std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !arguments.quiet {
        let mut out = std::io::stdout();
        let screen = Screen { colour: out.is_terminal(), ..Screen::default() };
        out.write_all(terminal::screen(&report, &screen).as_bytes())?;
    }
    Ok(Verdict::of(&report).exit_code())
}

fn drive(options: LoadOptions, progress: &dyn Progress) -> Result<LoadReport, LoadError> {
    if options.targets.is_empty() { run_embedded(options, progress) } else { run(options, progress) }
}

/// What is known of this build. The commit comes from the one who builds, as `SEEDSTORM_COMMIT`.
fn build_info() -> BuildInfo {
    BuildInfo {
        commit: option_env!("SEEDSTORM_COMMIT").unwrap_or("unknown").to_owned(),
        dirty: false,
        profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        features: if cfg!(feature = "sim") { vec!["sim".to_owned()] } else { Vec::new() },
        cpus: os::cpus(),
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn arguments_become_options() {
        let arguments =
            ["loadgen", "--rps", "500", "--duration", "3s", "--once", "--target", "http://a", "http://b"];
        let options = Arguments::parse_from(arguments).options(CancelToken::new());
        assert_eq!((options.rps, options.step_seconds, options.ladder), (500.0, 3.0, false));
        assert_eq!(options.targets, ["http://a", "http://b"]);
        let defaults = Arguments::parse_from(["loadgen"]).options(CancelToken::new());
        assert_eq!(format!("{defaults:?}"), format!("{:?}", LoadOptions::default()));
    }

    #[test]
    fn wrong_usage_is_exit_code_two() {
        let two = format!("{:?}", ExitCode::from(FAULT));
        for wrong in [
            ["--rps", "zero"],
            ["--rps", "0"],
            ["--duration", "0s"],
            ["--duration", "10"],
            ["--target", "https://secure"],
            ["--no-such", "1"],
        ] {
            let code = run_with_args(["loadgen", "--quiet"].iter().chain(&wrong));
            assert_eq!(format!("{code:?}"), two, "{wrong:?}");
        }
        assert_eq!(format!("{:?}", run_with_args(["loadgen", "--help"])), format!("{:?}", ExitCode::SUCCESS));
    }
}
