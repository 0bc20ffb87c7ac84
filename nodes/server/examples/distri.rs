//! Distri from the command line: a node (`--mode server`, its own address first), a client that encrypts
//! images (`--mode client`), and both tests of its description on clouds of 4 and of 6 nodes (`--mode bench`).

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use client::distri::trial::{self, Images};
use client::distri::{Client, ClientOptions};
use server::{CloudNode, Cluster, EmbeddedOptions, Profile};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Client,
    Server,
    Bench,
}

#[derive(Parser)]
struct Arguments {
    #[arg(long, value_enum)]
    mode: Mode,
    /// Print every node's statistics at the end.
    #[arg(long)]
    report: bool,
    /// Addresses of the byte protocol.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:3000,127.0.0.1:3001,127.0.0.1:3002")]
    ips: Vec<String>,
    /// Images to encrypt: 1,000, or 25,000 with `--mode bench`.
    #[arg(long)]
    tasks: Option<u64>,
    /// Clients at once, each with ten images in sequence.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Bytes of an image.
    #[arg(long, default_value_t = 4_096)]
    bytes: usize,
    /// Folder of a server's data.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// The cluster's token, which nodes off loopback want.
    #[arg(long)]
    token: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.mode {
        Mode::Server => runtime.block_on(serve(&arguments)),
        Mode::Client => runtime.block_on(encrypt(&arguments, arguments.ips.clone(), 1_000)),
        Mode::Bench => [4, 6].into_iter().try_for_each(|nodes| bench(&runtime, &arguments, nodes)),
    }
}

async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let own = arguments.ips.first().context("a server needs an address")?;
    let data = arguments.data.join(format!("distri-{}", own.replace(':', "-")));
    let token = arguments.token.clone();
    let change = |options: &mut server::NodeOptions| options.token = token.unwrap_or(options.token.clone());
    let mut node = CloudNode::start_with(&arguments.ips, data, change).await?;
    println!("Listening on {own}");
    node.node().ended().await?;
    Ok(())
}

/// Encrypts images, and says how that went.
async fn encrypt(arguments: &Arguments, ips: Vec<String>, tasks: u64) -> anyhow::Result<()> {
    let options = ClientOptions { token: arguments.token.clone(), ..ClientOptions::new(ips) };
    let tasks = arguments.tasks.unwrap_or(tasks);
    let images = Images { tasks, each: 10, clients: arguments.clients, bytes: arguments.bytes };
    let outcome = trial::encrypt(&options, images).await;
    if arguments.report {
        for (address, stats) in Client::new(options).collect_stats().await {
            println!("Received response from {address}");
            println!("{}", stats.unwrap_or_else(|error| error.to_string()));
        }
    }
    println!("Test completed: Total failed tasks: {}", outcome.failed);
    println!("Avg response time: {:?}", outcome.average);
    println!("{tasks} tasks in {:.1?}", outcome.took);
    ensure!(outcome.failed == 0, "{} tasks failed", outcome.failed);
    Ok(())
}

/// Both tests on a cloud of so many nodes in this process.
fn bench(runtime: &tokio::runtime::Runtime, arguments: &Arguments, nodes: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("a folder for the data")?;
    let data = folder.path().to_path_buf();
    let settings = BTreeMap::from([("distri".to_owned(), serde_json::json!({ "listen": "127.0.0.1:3000" }))]);
    let (profile, equals, partitions) = (Profile::Distri, true, 1);
    let rest = EmbeddedOptions { data, profile, ..EmbeddedOptions::default() };
    let cluster = Cluster::start(EmbeddedOptions { workers: nodes, equals, partitions, settings, ..rest })?;
    let ips: Vec<String> = (0..nodes).map(|number| format!("127.0.0.1:{}", 3_000 + number)).collect();
    println!("{nodes} nodes, images");
    let encrypted = runtime.block_on(encrypt(arguments, ips.clone(), 25_000));
    let documents = runtime.block_on(trial::documents(&ClientOptions::new(ips), 1_000));
    cluster.stop();
    encrypted?;
    let documents = documents?;
    println!(
        "{nodes} nodes, {} documents in {:.1?}: {} wrong",
        documents.tasks, documents.took, documents.failed
    );
    ensure!(documents.failed == 0, "{} entries are wrong", documents.failed);
    Ok(())
}
