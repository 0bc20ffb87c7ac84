//! The command line of `node`.

mod merge;

use self::merge::{follow_the_file, here, merge, options_of, settings};
use crate::config::FileConfig;
use crate::embedded::{Cluster, EmbeddedOptions};
use crate::modes::Mode;
use crate::options::Role;
use crate::{distri, node};
use anyhow::{Context, bail};
use apps::http::rate_limit::RateLimit;
use apps::{Auth, Profile};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  node                                   a whole cluster, to try with curl (same as `node dev`)
  node dev --workers 5 --data ./data     with more workers, and data that stays
  node dev --workers 6 --regions eu,us,ap    in three regions, any one of which may be lost
  node run --role control --id 1 --listen 127.0.0.1:8080 --data ./data/1 \\
      --peers 1=127.0.0.1:9090,2=127.0.0.1:9091,3=127.0.0.1:9092,4=127.0.0.1:9093
  node run --role worker --id 2 --listen 127.0.0.1:8081 --data ./data/2 \\
      --peers 1=127.0.0.1:9090,2=127.0.0.1:9091,3=127.0.0.1:9092,4=127.0.0.1:9093
  node run --join 127.0.0.1:9090,127.0.0.1:9091 --role worker --data ./data/5 \\
      --peer 127.0.0.1:9094 --api 127.0.0.1:8084      a new worker joins the cluster while it serves
  node members --api 127.0.0.1:8080                   who belongs to the cluster
  node leave --api 127.0.0.1:8080 --id 3              a member gives its places to others and goes

Logs go to standard error; RUST_LOG=debug shows more.";

/// A node of the Seedstorm cluster, or a whole cluster in one process.
#[derive(Parser)]
#[command(name = "node", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a whole cluster in this process: one control node and some workers.
    #[command(after_help = EXAMPLES)]
    Dev(Dev),
    /// Runs one node.
    #[command(after_help = EXAMPLES)]
    Run(Box<Run>),
    /// Prints the cluster's members as JSON.
    #[command(after_help = EXAMPLES)]
    Members(Ask),
    /// Sends a member away: its places go to others, then it is removed.
    #[command(after_help = EXAMPLES)]
    Leave {
        #[command(flatten)]
        ask: Ask,
        /// The member.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        id: u64,
    },
}

/// Whom to ask.
#[derive(Args)]
struct Ask {
    /// API address of any node.
    #[arg(long, default_value = "127.0.0.1:8080")]
    api: String,
    /// Bearer token.
    #[arg(long, env = "SEEDSTORM_TOKEN", hide_env_values = true, default_value = client::DEV_TOKEN)]
    token: String,
}

#[derive(Args)]
struct Dev {
    /// Number of workers (of equal peers with the profiles raft3d and distri). Without it: the profile's.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=32))]
    workers: Option<u64>,
    /// Regions that the nodes live in, in turn: eu,us,ap
    #[arg(long, value_delimiter = ',')]
    regions: Vec<String>,
    /// Number of partitions of a new cluster.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    partitions: u32,
    /// Whose habits the listeners follow: unified, raftmetrics, analytics, metricstream, raft3d, distri.
    #[arg(long, default_value = "unified")]
    profile: Profile,
    /// API address of the first node; the others take the ports after it.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Peer address of the first node; the others take the ports after it. Without it: 127.0.0.1:9090
    /// where the profile's quick start says so, else free ports.
    #[arg(long)]
    peer_listen: Option<String>,
    /// Folder for the data. Without it: a temporary one that goes with the cluster.
    #[arg(long)]
    data: Option<PathBuf>,
    /// How the API is served: sequential (one request after the other), threads (a pool), async, each by a
    /// single node; or cluster.
    #[arg(long, default_value = "cluster")]
    mode: Mode,
    /// With the profile metricstream: folder of metrics.jsonl. Without it: where this was started.
    #[arg(long)]
    metrics_folder: Option<PathBuf>,
    /// What Distributed Analytics asks: columnar (the default), or duckdb, which also answers POST /sql.
    #[arg(long, value_parser = ["columnar", "duckdb"])]
    engine: Option<String>,
}

impl Default for Dev {
    fn default() -> Self {
        let listen = "127.0.0.1:8080".into();
        let profile = Profile::default();
        let mode = Mode::default();
        Dev {
            workers: None,
            regions: Vec::new(),
            partitions: 4,
            profile,
            listen,
            peer_listen: None,
            data: None,
            mode,
            metrics_folder: None,
            engine: None,
        }
    }
}

#[derive(Args, Clone, Default)]
struct Run {
    /// control, worker or all.
    #[arg(long)]
    role: Option<Role>,
    /// This node's id, 1 or more.
    #[arg(long)]
    id: Option<u64>,
    /// API address.
    #[arg(long, alias = "api")]
    listen: Option<String>,
    /// Peer addresses of members of a running cluster to join; it gives this node its id.
    #[arg(long, value_delimiter = ',', requires = "peer", conflicts_with_all = ["id", "peers", "control"])]
    join: Vec<String>,
    /// With --join: the peer address to listen on, at which the others reach this node.
    #[arg(long, requires = "join")]
    peer: Option<String>,
    /// Name, for people.
    #[arg(long)]
    name: Option<String>,
    /// What fails together with this node: a data centre, a rack. Copies are spread over regions.
    #[arg(long)]
    region: Option<String>,
    /// Peer address to listen on. Without it: this node's own in --peers.
    #[arg(long)]
    peer_listen: Option<String>,
    /// Peer addresses of all nodes, this one included: 1=host:port,2=host:port,…
    #[arg(long, value_delimiter = ',', value_parser = parse_peer)]
    peers: Vec<(u64, String)>,
    /// Ids of the control nodes.
    #[arg(long, value_delimiter = ',')]
    control: Vec<u64>,
    /// Folder for the data.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Whose habits the listener follows: unified, raftmetrics, analytics, metricstream, raft3d, distri.
    #[arg(long)]
    profile: Option<Profile>,
    /// Further API addresses with profiles of their own: raft3d=127.0.0.1:8180,distri=127.0.0.1:8280
    #[arg(long, value_delimiter = ',', value_parser = parse_listener)]
    listeners: Vec<(Profile, String)>,
    /// How the API is served: sequential, threads, async, each by a node alone; or cluster (the default).
    #[arg(long)]
    mode: Option<Mode>,
    /// With the profile metricstream: folder of metrics.jsonl. Without it: where the node was started.
    #[arg(long)]
    metrics_folder: Option<PathBuf>,
    /// What Distributed Analytics asks: columnar (the default), or duckdb, which also answers POST /sql.
    #[arg(long, value_parser = ["columnar", "duckdb"])]
    engine: Option<String>,
    /// Bearer token.
    #[arg(long, env = "SEEDSTORM_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Who is asked for the token: auto (everybody in the profile raftmetrics, in the others who does not
    /// come over loopback) or strict (everybody).
    #[arg(long)]
    auth: Option<Auth>,
    /// Allows the public development token on an address that is not loopback, because only friends reach
    /// it: then it is as open as a loopback address.
    #[arg(long)]
    allow_dev_token: bool,
    /// Partitions of a new cluster.
    #[arg(long)]
    partitions: Option<u32>,
    /// What one client (an IP address) may ask of this node: 100/s, 20/min, 5000/h. Without it: no limit.
    #[arg(long)]
    rate_limit: Option<RateLimit>,
    /// TOML file with the same keys; flags go before it.
    #[arg(long)]
    config: Option<PathBuf>,
}

fn parse_peer(text: &str) -> Result<(u64, String), String> {
    let wrong = || format!("{text:?} is not of the form ID=HOST:PORT, for example 2=127.0.0.1:9091");
    let (id, address) = text.split_once('=').ok_or_else(wrong)?;
    let id = id.trim().parse().map_err(|_| wrong())?;
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(wrong());
    }
    Ok((id, address.to_owned()))
}

fn parse_listener(text: &str) -> Result<(Profile, String), String> {
    let wrong =
        || format!("{text:?} is not of the form PROFILE=HOST:PORT, for example raft3d=127.0.0.1:8180");
    let (profile, address) = text.split_once('=').ok_or_else(wrong)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(wrong());
    }
    Ok((profile.trim().parse()?, address.to_owned()))
}

/// Whether `node` understands a command line; if not, why. Nothing is started.
///
/// # Errors
/// What is wrong, as it would be printed.
pub fn understands(arguments: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    match Cli::try_parse_from(arguments).map_err(|error| error.to_string())?.command {
        Some(Command::Run(run)) => {
            let options = merge(*run, FileConfig::default()).map_err(|error| explain(&error))?;
            options.check().map_err(|error| error.to_string())
        }
        _ => Ok(()),
    }
}

/// Runs the command line; the exit code is 0 after a requested end, 1 when the node must not go on, and
/// 2 when it cannot start.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    #[cfg(feature = "duckdb")]
    if let Some(code) = apps::column_store::store::serve_if_started_for_it() {
        return code;
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nowhere is left to say that the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    start_logging();
    let result = match cli.command.unwrap_or_else(|| Command::Dev(Dev::default())) {
        Command::Dev(dev) => run_dev(dev),
        Command::Run(run) => run_node(*run),
        Command::Members(ask) => ask_node(&ask, http::Method::GET, "/cluster/members"),
        Command::Leave { ask, id } => ask_node(&ask, http::Method::DELETE, &format!("/cluster/members/{id}")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {}\nSee `node --help` for examples.", explain(&error));
        ExitCode::from(2)
    })
}

/// An error with its causes, each said once: many of ours repeat their cause in their own text.
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let logging = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process keeps the first one's logging.
    let _ = if std::io::stderr().is_terminal() { logging.try_init() } else { logging.json().try_init() };
}

fn run_dev(dev: Dev) -> anyhow::Result<ExitCode> {
    let temporary = std::env::temp_dir().join(format!("seedstorm-dev-{}", std::process::id()));
    let data = dev.data.clone().unwrap_or_else(|| temporary.clone());
    let standard = EmbeddedOptions::of_profile(dev.profile);
    if dev.mode.is_alone() && dev.workers.is_some_and(|workers| workers > 1) {
        bail!("the mode cluster is the only one for more than one node");
    }
    let workers = if dev.mode.is_alone() { 1 } else { dev.workers.unwrap_or(standard.workers) };
    let own = distri::settings(dev.profile, &dev.listen);
    let options = EmbeddedOptions {
        workers,
        equals: standard.equals || dev.mode.is_alone(),
        mode: dev.mode,
        settings: settings(own, dev.metrics_folder.or(here(dev.profile)), dev.engine),
        regions: dev.regions,
        partitions: dev.partitions,
        data: data.clone(),
        listen: dev.listen,
        peer_listen: dev.peer_listen.unwrap_or(standard.peer_listen.clone()),
        ..standard
    };
    let ended = run_cluster(options, &data, dev.data.is_none());
    if dev.data.is_none() && temporary.exists() {
        #[allow(clippy::disallowed_methods, reason = "the binary cleans up after its nodes")]
        std::fs::remove_dir_all(&temporary).context("cannot remove the temporary data")?;
    }
    ended.map(|()| ExitCode::SUCCESS)
}

fn run_cluster(options: EmbeddedOptions, data: &std::path::Path, temporary: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut ending = runtime.block_on(async { Ending::listen() })?;
    let profile = options.profile;
    let cluster = Cluster::start(options)?;
    print_welcome(&cluster, profile, data, temporary);
    runtime.block_on(ending.asked());
    eprintln!("Ending …");
    cluster.stop();
    Ok(())
}

fn print_welcome(cluster: &Cluster, profile: Profile, data: &std::path::Path, temporary: bool) {
    let urls = cluster.api_urls();
    for (name, url) in cluster.names().iter().zip(&urls) {
        println!("{name:<10} {url}");
    }
    let kept = if temporary { "temporary, removed at the end" } else { "kept" };
    println!("data       {} ({kept})\n", data.display());
    let control = urls.first().map_or("", String::as_str);
    let token = cluster.token();
    println!("Try:");
    print!("{}", crate::welcome::first_steps(profile, control, token));
    println!("Ctrl-C ends it.");
}

/// Ctrl-C and the polite signal. Listened for before anything starts: who asks early is heard too, and
/// nothing is left lying about.
struct Ending {
    interrupt: Signal,
    terminate: Signal,
}

impl Ending {
    fn listen() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Ending { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits until the process is asked to end.
    async fn asked(&mut self) {
        rt::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn run_node(run: Run) -> anyhow::Result<ExitCode> {
    let options = options_of(&run)?;
    options.check()?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.thread_name("node-runtime").enable_all().build()?;
    runtime.block_on(async {
        let mut ending = Ending::listen()?;
        let mut node = rt::select! {
            node = node::start(options) => node?,
            () = ending.asked() => return Ok(ExitCode::SUCCESS),
        };
        println!("{} listens on http://{}", node.name(), node.local_addr());
        let reloader = node.reloader();
        let failed = rt::select! {
            ended = node.ended() => Some(ended),
            () = ending.asked() => None,
            error = follow_the_file(&run, &reloader) => return Err(error.into()),
        };
        match failed {
            None => {
                node.stop().await?;
                Ok(ExitCode::SUCCESS)
            }
            Some(Ok(())) => {
                eprintln!("this node was removed from the cluster");
                Ok(ExitCode::SUCCESS)
            }
            Some(Err(reason)) => {
                eprintln!("error: this node must not go on: {reason}");
                Ok(ExitCode::from(1))
            }
        }
    })
}

/// Sends a request to a node and prints what it says.
fn ask_node(ask: &Ask, method: http::Method, path: &str) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::AUTHORIZATION, format!("Bearer {}", ask.token))
            .body(bytes::Bytes::new())?;
        let client = rt::http::Client::new(rt::http::ClientOptions::default());
        let answer = client.send(&ask.api, request, Duration::from_secs(10)).await;
        let answer = answer.with_context(|| format!("cannot ask {}", ask.api))?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        if !answer.status().is_success() {
            bail!("{} answers {}: {text}", ask.api, answer.status());
        }
        println!("{}", if text.is_empty() { "accepted" } else { &text });
        Ok(ExitCode::SUCCESS)
    })
}
