//! The command line of `storm`: what can be asked for. What is said about a single run is in `one`.

mod figures;
mod one;

use crate::build_info;
use crate::campaign::{Limits, MIB, Workers};
use crate::job::{self, JobOptions};
use crate::scenario::{SCENARIOS, Scenario};
use crate::sweep::SweepOptions;
use crate::{bench, determinism};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use loadgen::{CancelToken, LoadOptions};
use one::{run_replay, run_seed, say};
use reports::model::{BuildInfo, Report, SCHEMA_VERSION};
use reports::verdict::Verdict;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use world::Profile;

const EXAMPLES: &str = "\
Examples (cargo storm … is short for cargo run --release --features sim --bin storm -- …):
  cargo storm                                the main job: 100 seeds, then 200 to 10,000 requests/s
  cargo storm --seeds 1000                   more seeds
  cargo storm --seeds 200 --no-load          seeds only, with a report
  cargo storm sweep --seeds 200              seeds only, without a page
  cargo storm sweep --for 30m                half an hour of seeds
  cargo storm sweep --faults disk            only faults of disks; there are calm, swarm, disk, network,
                                             clock and upgrade
  cargo storm run --seed 17                  one seed
  cargo storm replay --seed 17 --trace --node worker-2 --from 3s --until 4s
  cargo storm replay reports/out/failures/seed-17/case.toml
  cargo storm plan --seed 17 > my-case.toml  a plan to edit, and
  cargo storm run --plan my-case.toml        to run
  cargo storm check-determinism --seeds 20   one seed, one history
  cargo storm bench                          speed, repeatability, load, memory
  cargo storm bench --figures                the cluster's speed, beside etcd
  cargo storm list                           the scenarios

Exit codes: 0 held; 1 a law was violated (before all others); 2 wrong usage or a fault of the harness;
3 load target missed, INVALID because of the generator, or a figure of `bench` missed.";

/// Does the cluster stay correct when everything goes wrong, and how much load does it carry?
#[derive(Parser)]
#[command(name = "storm", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    job: Job,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds and reports.
    #[command(after_help = EXAMPLES)]
    Sweep(Sweep),
    /// Runs one seed.
    #[command(after_help = EXAMPLES)]
    Run(RunSeed),
    /// Runs a seed or a case file again, with logs in simulated time on request.
    #[command(after_help = EXAMPLES)]
    Replay(Replay),
    /// Prints the plan of a seed as TOML, to be edited and replayed.
    #[command(after_help = EXAMPLES)]
    Plan(PlanOf),
    /// Runs seeds twice, in a sweep and in fresh processes, and compares every event.
    #[command(after_help = EXAMPLES)]
    CheckDeterminism(Determinism),
    /// Measures what this project promises: speed, repeatability, load, memory.
    #[command(after_help = figures::EXAMPLES)]
    Bench {
        /// Seeds for the speed of the simulation.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        /// Seeds that are run twice and compared; 0 leaves this out.
        #[arg(long, default_value_t = 100)]
        determinism: u64,
        /// Leaves out the real cluster: load and idle memory.
        #[arg(long)]
        no_real: bool,
        #[command(flatten)]
        figures: figures::Figures,
    },
    /// Runs a node; the same as the binary `node`.
    #[command(hide = true)]
    Node {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Lists the scenarios.
    #[command(after_help = EXAMPLES)]
    List,
    /// Runs seeds that a campaign hands over; see `storm::campaign`.
    #[command(hide = true)]
    Worker,
    /// Prints what must be equal in every run of a seed.
    #[command(hide = true)]
    Fingerprint {
        #[arg(long)]
        seed: u64,
        #[command(flatten)]
        which: Which,
        #[arg(long)]
        events: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Seeds {
    /// Number of seeds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// Seeds at a time, each in a process of its own; without it, one a processor.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Wall time that a seed may take before its process is killed.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    seed_wall_limit: Duration,
    /// Memory, in MiB, that a seed's process may hold before it is killed.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(32..))]
    seed_memory_limit_mib: u64,
    #[command(flatten)]
    which: Which,
}

/// Which cluster, and which weather.
#[derive(Args, Clone, Copy)]
struct Which {
    /// Scenario, see `storm list`.
    #[arg(long, default_value = "storm", value_parser = scenario)]
    scenario: Scenario,
    /// Faults to draw from: calm, swarm, disk, network, clock or upgrade; without it, the scenario's own.
    #[arg(long, value_parser = Profile::from_str)]
    faults: Option<Profile>,
}

impl Which {
    fn scenario(self) -> Scenario {
        self.faults.map_or(self.scenario, |faults| self.scenario.with_faults(faults))
    }
}

#[derive(Args)]
struct Job {
    #[command(flatten)]
    seeds: Seeds,
    /// Load that has to be carried, in requests a second.
    #[arg(long, default_value_t = 10_000.0)]
    rps: f64,
    /// Length of each load step.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Leaves the load out.
    #[arg(long)]
    no_load: bool,
    /// Folder for the report.
    #[arg(long, default_value = "reports/out")]
    out: PathBuf,
}

#[derive(Args)]
struct Sweep {
    #[command(flatten)]
    seeds: Seeds,
    /// Goes on for this long, instead of for a number of seeds.
    #[arg(long = "for", value_parser = humantime::parse_duration, conflicts_with = "seeds")]
    lasts: Option<Duration>,
    /// Writes the report as JSON to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Folder for failing seeds.
    #[arg(long, default_value = "reports/out")]
    out: PathBuf,
}

#[derive(Args)]
struct RunSeed {
    /// The seed; its plan is drawn from it.
    #[arg(long, required_unless_present = "plan")]
    seed: Option<u64>,
    /// A plan as `storm plan` prints it.
    #[arg(long, conflicts_with_all = ["seed", "scenario", "faults"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct PlanOf {
    /// The seed.
    #[arg(long)]
    seed: u64,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Replay {
    /// A case file.
    #[arg(conflicts_with = "seed", required_unless_present = "seed")]
    file: Option<PathBuf>,
    /// A seed.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    which: Which,
    /// Commit that the failure was found at; another one warns.
    #[arg(long)]
    commit: Option<String>,
    /// The failure was found with uncommitted changes.
    #[arg(long)]
    dirty: bool,
    /// Build profile that the failure was found with; another one warns.
    #[arg(long)]
    profile: Option<String>,
    /// Saves plan, history and every event in this folder.
    #[arg(long)]
    save: Option<PathBuf>,
    #[command(flatten)]
    trace: Trace,
}

#[derive(Args, Clone)]
pub(crate) struct Trace {
    /// Prints the nodes' logs in simulated time.
    #[arg(long)]
    trace: bool,
    /// Only of this node, for example worker-2.
    #[arg(long, requires = "trace")]
    node: Option<String>,
    /// Only from this simulated time on, for example 3s.
    #[arg(long, requires = "trace", value_parser = humantime::parse_duration)]
    from: Option<Duration>,
    /// Only until this simulated time.
    #[arg(long, requires = "trace", value_parser = humantime::parse_duration)]
    until: Option<Duration>,
}

#[derive(Args)]
struct Determinism {
    #[command(flatten)]
    seeds: Seeds,
}

fn scenario(name: &str) -> Result<Scenario, String> {
    let known = SCENARIOS.map(|scenario| scenario.name).join(", ");
    Scenario::named(name).ok_or_else(|| format!("there are {known}"))
}

/// Runs the command line.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nowhere is left to say that the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let result = match cli.command {
        None => main_job(cli.job),
        Some(Command::Sweep(sweep)) => run_sweep(sweep),
        Some(Command::Run(seed)) => run_seed(&seed),
        Some(Command::Replay(replay)) => run_replay(replay),
        Some(Command::Plan(seed)) => {
            say(&seed.which.scenario().plan(seed.seed).to_toml());
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::CheckDeterminism(check)) => check_determinism(&check),
        Some(Command::Bench { figures, .. }) if figures.asked() => figures.run(),
        Some(Command::Bench { seeds, determinism, no_real, .. }) => run_bench(seeds, determinism, !no_real),
        Some(Command::Node { arguments }) => {
            Ok(server::cli::run(std::iter::once(OsString::from("node")).chain(arguments)))
        }
        Some(Command::List) => {
            SCENARIOS.iter().for_each(|scenario| say(&format!("{:<12} {}\n", scenario.name, scenario.about)));
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Worker) => {
            let input = std::io::BufReader::new(std::io::stdin());
            crate::campaign::serve(input, std::io::stdout()).map(|()| ExitCode::SUCCESS)
        }
        Some(Command::Fingerprint { seed, which, events }) => {
            determinism::print_fingerprint(which.scenario(), seed, events.as_deref())
                .map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {}\nSee `storm --help` for examples.", server::cli::explain(&error));
        ExitCode::from(2)
    })
}

fn sweep_options(seeds: &Seeds, out: &std::path::Path, build: BuildInfo) -> SweepOptions {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    SweepOptions {
        scenario: seeds.which.scenario(),
        first_seed: seeds.first_seed,
        seeds: seeds.seeds,
        lasts: None,
        jobs: seeds.jobs.map_or(processors, usize::from),
        workers: workers(seeds),
        artifacts: Some(out.join("failures")),
        cancel: Arc::new(AtomicBool::new(false)),
        build,
    }
}

/// Processes of this program; threads if it cannot tell where it is.
fn workers(seeds: &Seeds) -> Workers {
    let limits = Limits { wall: seeds.seed_wall_limit, memory_bytes: seeds.seed_memory_limit_mib * MIB };
    match std::env::current_exe() {
        Ok(program) => Workers::Processes { program, limits },
        Err(_) => Workers::Threads,
    }
}

fn main_job(job: Job) -> anyhow::Result<ExitCode> {
    let cancel = CancelToken::on_ctrl_c();
    let load = LoadOptions {
        rps: job.rps,
        step_seconds: job.duration.as_secs_f64(),
        cancel: cancel.clone(),
        ..LoadOptions::default()
    };
    let sweep = sweep_options(&job.seeds, &job.out, build_info::current());
    job::run(JobOptions { sweep, load: (!job.no_load).then_some(load), out: job.out, cancel })
}

fn run_sweep(sweep: Sweep) -> anyhow::Result<ExitCode> {
    let cancel = CancelToken::on_ctrl_c();
    let began = Instant::now();
    let started_at = apps::http::timestamp::rfc3339(job::now_ms());
    let mut options = sweep_options(&sweep.seeds, &sweep.out, build_info::current());
    options.lasts = sweep.lasts;
    let simulation = job::sweep_with_progress(&options, &cancel);
    let report = Report {
        schema_version: SCHEMA_VERSION,
        build: options.build,
        started_at,
        elapsed_seconds: began.elapsed().as_secs_f64(),
        interrupted: cancel.is_cancelled(),
        simulation: Some(simulation),
        load: None,
    };
    if let Some(path) = &sweep.json {
        std::fs::write(path, reports::json::to_bytes(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    job::show(&report, None)?;
    Ok(ExitCode::from(Verdict::of(&report).exit_code()))
}

fn run_bench(seeds: u64, determinism: u64, real: bool) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::named("storm").context("the scenario `storm` is gone")?;
    let which = Which { scenario, faults: None };
    let Limits { wall: seed_wall_limit, .. } = Limits::default();
    let all = Seeds {
        seeds: determinism.max(1),
        first_seed: 0,
        jobs: None,
        seed_wall_limit,
        seed_memory_limit_mib: Limits::default().memory_bytes / MIB,
        which,
    };
    let sweep = SweepOptions {
        artifacts: None,
        ..sweep_options(&all, std::path::Path::new("."), build_info::current())
    };
    let score = bench::bench(&bench::BenchOptions { seeds, determinism, real, sweep })?;
    Ok(ExitCode::from(match score {
        bench::Score { repeats: false, .. } => 1,
        bench::Score { reached: false, .. } => 3,
        _ => 0,
    }))
}

fn check_determinism(check: &Determinism) -> anyhow::Result<ExitCode> {
    let options = SweepOptions {
        artifacts: None,
        ..sweep_options(&check.seeds, std::path::Path::new("."), build_info::current())
    };
    let bar = job::bar(options.seeds);
    let differences = determinism::check(&options, |_| bar.inc(1))?;
    bar.finish_and_clear();
    for difference in &differences {
        println!("seed {} is not deterministic: {}", difference.seed, difference.first);
    }
    println!("{} seeds run twice, {} differences", options.seeds, differences.len());
    Ok(ExitCode::from(u8::from(!differences.is_empty())))
}

impl Trace {
    pub(crate) fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    pub(crate) fn window_ns(&self) -> std::ops::RangeInclusive<u64> {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.from.map_or(0, nanos)..=self.until.map_or(u64::MAX, nanos)
    }
}
