//! Command lines that the systems' quick starts name, told in the words of `node`.
//!
//! Each thin binary (`nodes/server/src/bin`) is nothing but such a translation: what it starts is what `node`
//! with these arguments starts.

use apps::Profile;
use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// API port of the control node.
const API: u16 = 8080;
/// Peer port of the control node.
const PEER: u16 = 9090;
/// Workers that the cluster is configured with; further ones join.
const CONFIGURED: u16 = 2;

/// The control node of the Distributed Analytics System, on 127.0.0.1:8080 (peers: 127.0.0.1:9090).
///
/// It serves as soon as its two workers run: `worker --id 1 --port 8081`, `worker --id 2 --port 8082`. Logs go
/// to standard error; RUST_LOG=debug shows more.
#[derive(Parser)]
#[command(name = "distributed_analytics_system", version)]
pub struct Control {
    /// Whose habits the listener follows.
    #[arg(long, default_value = "analytics")]
    profile: Profile,
    /// Folder for the data.
    #[arg(long, default_value = "data/analytics/control")]
    data: PathBuf,
    /// columnar, or duckdb, which also answers POST /sql.
    #[arg(long, default_value = "columnar", value_parser = ["columnar", "duckdb"])]
    engine: String,
    #[command(subcommand)]
    other: Option<Other>,
}

#[derive(clap::Subcommand)]
enum Other {
    /// A worker, as the binary `worker` starts it.
    Worker(Worker),
}

/// A worker beside `distributed_analytics_system`.
///
/// Workers 1 and 2 belong to the cluster from the beginning. A further one (`--id 3 --port 8083`, or `--id
/// auto --port 8083`) joins the running cluster, is a learner first, and takes its share of the partitions
/// when it has caught up; the id that it gets is kept in its data folder.
#[derive(Parser)]
#[command(name = "worker", version)]
pub struct Worker {
    /// 1, 2, a further number, or `auto`.
    #[arg(long, value_parser = parse_id)]
    id: WorkerId,
    /// API port, from 8081 on: the peer port is 1010 more.
    #[arg(long, value_parser = clap::value_parser!(u16).range(8081..=9079))]
    port: u16,
    /// Whose habits the listener follows.
    #[arg(long, default_value = "analytics")]
    profile: Profile,
    /// Folder for the data. Without it: data/analytics/worker-PORT.
    #[arg(long)]
    data: Option<PathBuf>,
    /// What fails together with this node: a data centre, a rack.
    #[arg(long)]
    region: Option<String>,
    /// columnar, or duckdb, which also answers POST /sql.
    #[arg(long, default_value = "columnar", value_parser = ["columnar", "duckdb"])]
    engine: String,
}

/// MetricStream in one process: three replicas, on 127.0.0.1.
#[derive(Parser)]
#[command(name = "metricstream_server", version)]
pub struct MetricStream {
    /// API port.
    #[arg(default_value_t = API, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    port: u16,
    /// Folder for the data.
    #[arg(long, default_value = "data/metricstream")]
    data: PathBuf,
    /// columnar, or duckdb, which also answers POST /sql.
    #[arg(long, default_value = "columnar", value_parser = ["columnar", "duckdb"])]
    engine: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WorkerId {
    Configured(u16),
    Joins,
}

fn parse_id(text: &str) -> Result<WorkerId, String> {
    match text.parse::<u16>() {
        _ if text == "auto" => Ok(WorkerId::Joins),
        Ok(id @ 1..=CONFIGURED) => Ok(WorkerId::Configured(id)),
        Ok(1..) => Ok(WorkerId::Joins),
        _ => Err(format!("{text:?} is no worker's id; allowed are 1, 2, … and auto")),
    }
}

/// A command line that stands for one of `node`.
pub trait Thin: Parser {
    /// The arguments of `node`, without its name.
    fn arguments(self) -> Vec<OsString>;
}

/// Runs `node` with the arguments that the process's own stand for.
pub fn run<T: Thin>() -> ExitCode {
    #[cfg(feature = "duckdb")]
    if let Some(code) = apps::column_store::store::serve_if_started_for_it() {
        return code;
    }
    match T::try_parse() {
        Ok(thin) => crate::cli::run(std::iter::once("node".into()).chain(thin.arguments())),
        Err(error) => {
            // Nowhere is left to say that the terminal is gone.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

/// Nothing for what is the default anyway.
fn engine_of(engine: &str) -> String {
    if engine == "columnar" { String::new() } else { format!(" --engine {engine}") }
}

fn words(text: String, data: PathBuf) -> Vec<OsString> {
    let words = text.split_whitespace().map(OsString::from);
    words.chain(["--data".into(), data.into()]).collect()
}

fn peers() -> String {
    let peer = |number| format!("{}=127.0.0.1:{}", number + 1, PEER + number);
    (0..=CONFIGURED).map(peer).collect::<Vec<_>>().join(",")
}

impl Thin for Control {
    fn arguments(self) -> Vec<OsString> {
        let Control { profile, data, engine, other } = self;
        if let Some(Other::Worker(worker)) = other {
            return worker.arguments();
        }
        let text = format!(
            "run --role control --id 1 --listen 127.0.0.1:{API} --profile {profile} --peers {}",
            peers()
        );
        words(text + &engine_of(&engine), data)
    }
}

impl Thin for Worker {
    fn arguments(self) -> Vec<OsString> {
        let Worker { id, port, profile, data, engine, region } = self;
        let data = data.unwrap_or_else(|| format!("data/analytics/worker-{port}").into());
        let listen = format!("--listen 127.0.0.1:{port} --profile {profile}");
        let region = region.into_iter().flat_map(|region| ["--region".into(), region.into()]);
        let text = match id {
            WorkerId::Configured(id) => {
                format!("run --role worker --id {} {listen} --peers {}", id + 1, peers())
            }
            WorkerId::Joins => {
                let members: Vec<_> = (0..=CONFIGURED).map(|n| format!("127.0.0.1:{}", PEER + n)).collect();
                let (members, peer) = (members.join(","), port - API + PEER);
                format!("run --role worker {listen} --join {members} --peer 127.0.0.1:{peer}")
            }
        };
        words(text + &engine_of(&engine), data).into_iter().chain(region).collect()
    }
}

impl Thin for MetricStream {
    fn arguments(self) -> Vec<OsString> {
        let port = self.port;
        let line = format!("dev --profile metricstream --listen 127.0.0.1:{port} --metrics-folder .");
        words(line + &engine_of(&self.engine), self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T: Thin>(line: &str) -> String {
        let words = T::try_parse_from(line.split_whitespace()).unwrap().arguments();
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn quick_starts_are_told_in_words_of_node() {
        let peers = "--peers 1=127.0.0.1:9090,2=127.0.0.1:9091,3=127.0.0.1:9092";
        assert_eq!(
            told::<Control>("distributed_analytics_system"),
            format!(
                "run --role control --id 1 --listen 127.0.0.1:8080 --profile analytics {peers} --data data/analytics/control"
            )
        );
        assert_eq!(
            told::<Worker>("worker --id 2 --port 8082"),
            format!(
                "run --role worker --id 3 --listen 127.0.0.1:8082 --profile analytics {peers} --data data/analytics/worker-8082"
            )
        );
        assert_eq!(
            told::<Control>("distributed_analytics_system worker --id 2 --port 8082"),
            told::<Worker>("worker --id 2 --port 8082")
        );
        assert_eq!(
            told::<Control>("distributed_analytics_system --engine duckdb"),
            format!(
                "run --role control --id 1 --listen 127.0.0.1:8080 --profile analytics {peers} --engine duckdb --data data/analytics/control"
            )
        );
        assert!(told::<Worker>("worker --id 2 --port 8082 --region eu").ends_with(" --region eu"));
        for id in ["3", "auto"] {
            assert_eq!(
                told::<Worker>(&format!("worker --id {id} --port 8083 --data d")),
                "run --role worker --listen 127.0.0.1:8083 --profile analytics \
                 --join 127.0.0.1:9090,127.0.0.1:9091,127.0.0.1:9092 --peer 127.0.0.1:9093 --data d"
            );
        }
        assert_eq!(
            told::<MetricStream>("metricstream_server 8085"),
            "dev --profile metricstream --listen 127.0.0.1:8085 --metrics-folder . --data data/metricstream"
        );
    }

    #[test]
    fn what_node_is_told_it_understands() {
        let lines = [
            Control::try_parse_from(["c"]).unwrap().arguments(),
            Worker::try_parse_from(["w", "--id", "1", "--port", "8081"]).unwrap().arguments(),
            Worker::try_parse_from(["w", "--id", "auto", "--port", "8084"]).unwrap().arguments(),
            MetricStream::try_parse_from(["m"]).unwrap().arguments(),
        ];
        for line in lines {
            assert_eq!(crate::cli::understands(std::iter::once("node".into()).chain(line)), Ok(()));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["worker --id 0 --port 8081", "worker --id x --port 8081", "worker --id 1 --port 80"] {
            assert!(Worker::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }
}
