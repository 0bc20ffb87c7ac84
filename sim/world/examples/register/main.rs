//! Bring your own node: a replicated register, for real and in the simulated world.
//!
//! | file | what it holds | knows the simulation |
//! |---|---|---|
//! | `service` | the service, an axum router on `rt` | no |
//! | `scenario` | machines, clients, faults, and what must hold | yes |
//!
//! The README walks through it.

#[cfg(feature = "sim")]
mod scenario;
mod service;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// A replicated register, for real (--serve) and in the simulated world.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  cargo run -p world --features sim --example register                         100 seeds
  cargo run -p world --features sim --example register -- --bug early-answer   finds the bug
  cargo run -p world --features sim --example register -- --seed 17            one seed, twice, compared
  cargo run -p world --example register -- --serve 127.0.0.1:8080              for real

Exit codes: 0 all held; 1 a law was broken; 2 it could not be started or judged")]
struct Arguments {
    /// Runs the service for real on this address (port 0: any free one), and no simulation
    #[arg(long, value_name = "ADDRESS")]
    serve: Option<String>,
    /// The other nodes of the real service, with commas between them
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', requires = "serve")]
    peers: Vec<String>,
    /// Folder of the real service
    #[arg(long, value_name = "FOLDER", default_value = "register-data", requires = "serve")]
    data: PathBuf,
    /// Puts a bug into the service
    #[arg(long)]
    bug: Option<service::Bug>,
    /// How many seeds
    #[arg(long, default_value_t = 100, conflicts_with = "serve")]
    seeds: u64,
    /// Runs only this seed, twice, and compares the two runs event by event
    #[arg(long, conflicts_with_all = ["serve", "seeds"])]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let Arguments { serve, peers, data, bug, seeds, seed } = Arguments::parse();
    match serve {
        Some(listen) => for_real(service::Options { listen, peers, data, bug }),
        None => simulated(seeds, seed, bug),
    }
}

fn for_real(options: service::Options) -> ExitCode {
    let serving = async {
        let server = service::start(options).await?;
        println!("listens on http://{}", server.local_addr());
        std::future::pending::<std::io::Result<()>>().await
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let Err(error) = runtime.and_then(|runtime| runtime.block_on(serving)) else { return ExitCode::SUCCESS };
    eprintln!("register: {error}");
    ExitCode::from(2)
}

#[cfg(feature = "sim")]
fn simulated(seeds: u64, seed: Option<u64>, bug: Option<service::Bug>) -> ExitCode {
    use clap::ValueEnum;
    let scenario = move |stage| scenario::play(stage, bug);
    let bug = bug.and_then(|bug| bug.to_possible_value());
    let bug = bug.map_or(String::new(), |bug| format!(" --bug {}", bug.get_name()));
    let replay = format!("cargo run -p world --features sim --example register --{bug} --seed {{seed}}");
    let world = scenario::slow_world();
    let sweep = match seed {
        Some(seed) => match world::check_determinism_with(seed, world, scenario) {
            Ok(run) => world::Sweep::from(run),
            Err(difference) => {
                eprintln!("register: two runs of one seed differ: {difference}");
                return ExitCode::from(2);
            }
        },
        None => world::sweep_with(0..seeds, &world, scenario),
    };
    let sweep = sweep.replayed_by(&replay);
    println!("{sweep}");
    ExitCode::from(sweep.exit_code())
}

#[cfg(not(feature = "sim"))]
fn simulated(_: u64, _: Option<u64>, _: Option<service::Bug>) -> ExitCode {
    eprintln!("register: built without the simulation; add `--features sim`, or see --help for --serve");
    ExitCode::from(2)
}
