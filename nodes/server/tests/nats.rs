//! Message queues over a real NATS server: what is published to one cluster's `queue_in` comes out of its
//! `queue_out` and into another cluster, each point once and in order, whoever is killed on the way.

#![cfg(feature = "nats")]
#![allow(clippy::disallowed_methods, reason = "it starts and kills real processes")]

use http::Request;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const SERIES: u64 = 8;

/// One test at a time: each starts many processes.
static ALONE: Mutex<()> = Mutex::new(());

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A program that is killed when this is dropped.
struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    fn start(program: &Path, arguments: &[&str], log: PathBuf) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut process = Process { program: program.into(), arguments, log, child: None };
        process.again();
        process
    }

    /// `kill -9`.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn again(&mut self) {
        self.kill();
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_remove("SEEDSTORM_TOKEN").env("RUST_LOG", "info");
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A connection that speaks just enough of NATS' protocol.
struct Wire(BufReader<TcpStream>);

impl Wire {
    fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut wire = Wire(BufReader::new(stream));
        wire.line()?;
        wire.send(b"CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB answer 1\r\n")?;
        Ok(wire)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }

    /// The next answer.
    fn answer(&mut self) -> io::Result<Value> {
        loop {
            let line = self.line()?;
            if line.starts_with("PING") {
                self.send(b"PONG\r\n")?;
            }
            let Some(size) = line.strip_prefix("MSG ").and_then(|rest| rest.trim().rsplit(' ').next()) else {
                continue;
            };
            let mut body = vec![0; size.parse::<usize>().map_err(io::Error::other)? + 2];
            self.0.read_exact(&mut body)?;
            return serde_json::from_slice(&body).map_err(io::Error::other);
        }
    }

    fn ask(&mut self, subject: &str, body: &Value) -> io::Result<Value> {
        let body = body.to_string();
        self.send(format!("PUB {subject} answer {}\r\n{body}\r\n", body.len()).as_bytes())?;
        self.answer()
    }

    /// Publishes under an id, which the server takes once.
    fn publish(&mut self, subject: &str, id: u64, body: &str) -> io::Result<()> {
        let headers = format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n");
        let (head, all) = (headers.len(), headers.len() + body.len());
        self.send(format!("HPUB {subject} answer {head} {all}\r\n{headers}{body}\r\n").as_bytes())?;
        let told = self.answer()?;
        if told["seq"].is_u64() { Ok(()) } else { Err(io::Error::other(told.to_string())) }
    }
}

/// A NATS server.
struct Nats {
    address: String,
    process: Process,
}

impl Nats {
    fn start(folder: &Path) -> Self {
        let program = std::env::var("NATS_SERVER").unwrap_or_else(|_| "/usr/sbin/nats-server".into());
        let (address, data) = (free_address(), folder.join("nats").display().to_string());
        let port = address.rsplit(':').next().unwrap();
        let arguments = ["-js", "-sd", &data, "-a", "127.0.0.1", "-p", port];
        let process = Process::start(Path::new(&program), &arguments, folder.join("nats.log"));
        let nats = Nats { address, process };
        nats.wire();
        nats
    }

    /// A connection, as soon as there is one.
    fn wire(&self) -> Wire {
        let began = Instant::now();
        loop {
            let ready = Wire::connect(&self.address).and_then(|mut wire| {
                wire.ask("$JS.API.INFO", &json!({}))?;
                Ok(wire)
            });
            match ready {
                Ok(wire) => return wire,
                Err(error) => assert!(began.elapsed() < PATIENCE, "no NATS server: {error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn make_stream(&self, name: &str) {
        let config = json!({ "name": name, "subjects": [format!("{name}.>")], "num_replicas": 1,
            "retention": "limits", "storage": "file", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1,
            "max_age": 0, "discard": "old" });
        let told = self.wire().ask(&format!("$JS.API.STREAM.CREATE.{name}"), &config).unwrap();
        assert!(told["error"].is_null(), "{told}");
    }

    /// Publishes until it is acknowledged, which counts once.
    fn publish_for_certain(&self, wire: &mut Wire, subject: &str, id: u64, body: &str) {
        let began = Instant::now();
        while let Err(error) = wire.publish(subject, id, body) {
            assert!(began.elapsed() < PATIENCE, "not published: {error}");
            *wire = self.wire();
        }
    }
}

/// A cluster of equal nodes.
struct Cluster {
    nodes: Vec<Process>,
    hosts: Vec<String>,
    runtime: tokio::runtime::Runtime,
    http: rt::http::Client,
}

impl Cluster {
    fn start(folder: &Path, name: &str, settings: &str) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("node.toml");
        fs::write(&config, settings).unwrap();
        let peers: Vec<String> = (1..=3).map(|id| format!("{id}={}", free_address())).collect();
        let hosts: Vec<String> = (0..3).map(|_| free_address()).collect();
        let node = |(id, host): (usize, &String)| {
            let (data, number) = (folder.join(id.to_string()).display().to_string(), id.to_string());
            let arguments =
                ["run", "--role", "all", "--id", &number, "--peers", &peers.join(","), "--listen", host];
            let more = ["--data", &data, "--config", config.to_str().unwrap()];
            let log = folder.join(format!("{id}.log"));
            Process::start(Path::new(env!("CARGO_BIN_EXE_node")), &[&arguments[..], &more].concat(), log)
        };
        let nodes = (1..).zip(&hosts).map(node).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = rt::http::Client::new(rt::http::ClientOptions::default());
        let cluster = Cluster { nodes, hosts, runtime, http };
        (0..3).for_each(|node| cluster.wait_ready(node));
        cluster
    }

    fn get(&self, node: usize, path: &str) -> Option<String> {
        let request = Request::get(path).body(Default::default()).unwrap();
        let answer =
            self.runtime.block_on(self.http.send(&self.hosts[node], request, Duration::from_secs(5)));
        let answer = answer.ok().filter(|answer| answer.status() == 200)?;
        String::from_utf8(answer.into_body().to_vec()).ok()
    }

    fn wait_ready(&self, node: usize) {
        let began = Instant::now();
        while self.get(node, "/readyz").is_none() {
            assert!(began.elapsed() < PATIENCE, "not ready: {}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn logs(&self) -> String {
        let logs = self.nodes.iter().map(|node| fs::read_to_string(&node.log).unwrap_or_default());
        logs.collect::<Vec<_>>().join("\n---\n")
    }

    fn json(&self, path: &str) -> Value {
        let began = Instant::now();
        loop {
            if let Some(text) = (0..3).find_map(|node| self.get(node, path)) {
                return serde_json::from_str(&text).unwrap();
            }
            assert!(began.elapsed() < PATIENCE, "{path}: {}", self.logs());
        }
    }

    /// What each node counts under a name of the Prometheus text.
    fn counted(&self, name: &str) -> [u64; 3] {
        [0, 1, 2].map(|node| {
            let text = self.get(node, "/metrics").unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
        })
    }

    /// `kill -9` for the node whose count grows, and starts it again.
    fn kill_who_is_on_duty(&mut self, name: &str) {
        let (began, before) = (Instant::now(), self.counted(name));
        let victim = loop {
            let now = self.counted(name);
            if let Some(victim) = (0..3).find(|node| now[*node] > before[*node]) {
                break victim;
            }
            assert!(began.elapsed() < PATIENCE, "nobody moves {name}: {}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        };
        self.nodes[victim].kill();
        std::thread::sleep(Duration::from_millis(300));
        self.nodes[victim].again();
        self.wait_ready(victim);
    }

    /// All values of a series in the order of their arrival.
    fn values(&self, series: u64) -> Vec<u64> {
        let (mut after, mut values) = (0, Vec::new());
        loop {
            let page = self.json(&format!("/query?name=s{series}&limit=10000&after={after}"));
            for found in page["series"].as_array().unwrap() {
                let points = found["points"].as_array().unwrap();
                values.extend(points.iter().map(|point| point[1].as_f64().unwrap() as u64));
            }
            match page["next_after"].as_u64() {
                Some(next) => after = next,
                None => return values,
            }
        }
    }

    fn received(&self) -> u64 {
        self.json("/stats")["metrics_received"].as_u64().unwrap()
    }

    fn wait_received(&self, count: u64) {
        let began = Instant::now();
        while self.received() < count {
            assert!(began.elapsed() < PATIENCE, "{} of {count}: {}", self.received(), self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn body(values: std::ops::Range<u64>) -> String {
    let metric =
        |value: u64| format!(r#"{{"name":"s{}","value":{value},"tags":{{"n":"x"}}}}"#, value % SERIES);
    format!(r#"{{"metrics":[{}]}}"#, values.map(metric).collect::<Vec<_>>().join(","))
}

/// Two regions: messages come into the first cluster, and what it publishes into the second.
fn regions(folder: &Path, nats: &Nats) -> (Cluster, Cluster) {
    let url = format!("nats://{}", nats.address);
    let first = format!(
        "[apps.metricstream]\nqueue_in = {{ url = \"{url}\", stream = \"feed\" }}\n\
         queue_out = {{ url = \"{url}\", stream = \"eu\", subject = \"eu.points\" }}\n"
    );
    let second = format!("[apps.metricstream.queue_in]\nurl = \"{url}\"\nstream = \"eu\"\n");
    (Cluster::start(folder, "eu", &first), Cluster::start(folder, "us", &second))
}

#[test]
fn every_point_is_mirrored_once_while_feeders_and_the_broker_die() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let mut nats = Nats::start(folder.path());
    nats.make_stream("feed");
    let (mut first, mut second) = regions(folder.path(), &nats);
    let mut wire = nats.wire();
    let (mut next, mut id) = (0, 0);
    let mut publish = |nats: &Nats, messages: u64| {
        for _ in 0..messages {
            let many = 1 + id % 20;
            nats.publish_for_certain(&mut wire, "feed.x", id, &body(next..next + many));
            (next, id) = (next + many, id + 1);
        }
        next
    };
    publish(&nats, 50);
    for round in 0..3u64 {
        let stop = std::sync::atomic::AtomicBool::new(false);
        // Messages keep coming while nodes die.
        std::thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    publish(&nats, 10);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            match round {
                0 => first.kill_who_is_on_duty("metricstream_queue_in_messages_total"),
                1 => first.kill_who_is_on_duty("metricstream_queue_out_points_total"),
                _ => second.kill_who_is_on_duty("metricstream_queue_in_messages_total"),
            }
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
            publishing.join().unwrap();
        });
        publish(&nats, 100);
        nats.process.kill();
        std::thread::sleep(Duration::from_millis(300));
        nats.process.again();
    }
    nats.publish_for_certain(&mut nats.wire(), "feed.x", u64::MAX, r#"{"metrics":[{"name":"","value":1}]}"#);
    let total = publish(&nats, 50);
    first.wait_received(total);
    second.wait_received(total);
    // Time for what should not come any more.
    std::thread::sleep(Duration::from_secs(1));
    for series in 0..SERIES {
        let sent: Vec<u64> = (0..total).filter(|value| value % SERIES == series).collect();
        assert_eq!(first.values(series), sent, "series {series} of the first cluster");
        assert_eq!(second.values(series), sent, "series {series} of the second cluster");
    }
    let stats = |cluster: &Cluster| cluster.json("/stats");
    assert_eq!(stats(&first)["validation_errors"], 1, "the empty name, once");
    assert_eq!(stats(&second)["validation_errors"], 0);
    assert_eq!(stats(&first)["metrics_received"], total);
    assert_eq!(stats(&second)["metrics_received"], total);
    println!("{total} points came through while three nodes and the broker were killed");
}

/// Four messages come while nobody takes any; the first goes by a purge and the third alone. Gives how many
/// points of the others the cluster has then.
fn take_what_is_left(cluster: &mut Cluster, nats: &Nats, wire: &mut Wire) -> u64 {
    let before = cluster.received();
    cluster.nodes.iter_mut().for_each(Process::kill);
    for n in 0..4 {
        nats.publish_for_certain(wire, "feed.x", 5000 + n, &body(n * 10..n * 10 + 1 + n));
    }
    let last = wire.ask("$JS.API.STREAM.INFO.feed", &json!({})).unwrap();
    let last = last["state"]["last_seq"].as_u64().unwrap();
    let purged = wire.ask("$JS.API.STREAM.PURGE.feed", &json!({ "seq": last - 2 })).unwrap();
    assert_eq!(purged["success"], true, "{purged}");
    let deleted = wire.ask("$JS.API.STREAM.MSG.DELETE.feed", &json!({ "seq": last - 1 })).unwrap();
    assert_eq!(deleted["success"], true, "{deleted}");
    cluster.nodes.iter_mut().for_each(Process::again);
    (0..3).for_each(|node| cluster.wait_ready(node));
    cluster.wait_received(before + 2 + 4);
    assert!(cluster.logs().contains("dropped messages"), "{}", cluster.logs());
    2 + 4
}

#[test]
fn how_fast_a_mirror_is_and_what_it_says_of_strange_streams() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let nats = Nats::start(folder.path());
    nats.make_stream("feed");
    let (mut first, second) = regions(folder.path(), &nats);
    let mut wire = nats.wire();
    // A message of nearly a mebibyte: the largest that the broker takes.
    let text = "x".repeat(200);
    let large = format!(r#"{{"name":"large","value":1,"tags":{{"t":"{text}"}}}},"#).repeat(4200);
    let large = format!(r#"{{"metrics":[{}]}}"#, large.trim_end_matches(','));
    assert!((1_000_000..1_048_000).contains(&large.len()), "{}", large.len());
    nats.publish_for_certain(&mut wire, "feed.x", 0, &large);
    second.wait_received(4200);
    let (began, each, messages) = (Instant::now(), 1000, 100);
    for n in 0..messages {
        nats.publish_for_certain(&mut wire, "feed.x", n + 1, &body(n * each..(n + 1) * each));
    }
    let published = began.elapsed();
    first.wait_received(4200 + messages * each);
    let stored = began.elapsed();
    second.wait_received(4200 + messages * each);
    let mirrored = began.elapsed();
    println!(
        "{} points: published after {published:?}, stored after {stored:?}, mirrored after {mirrored:?}",
        messages * each
    );
    // What can be measured of it.
    let measured: BTreeMap<&str, u64> = [
        ("metricstream_queue_in_messages_total", 1 + messages),
        ("metricstream_queue_out_points_total", 4200 + messages * each),
        ("metricstream_queue_in_lag_messages", 0),
        ("metricstream_queue_out_lag_points", 0),
    ]
    .into();
    for (name, expected) in measured {
        let (began, sum) = (Instant::now(), || first.counted(name).iter().sum::<u64>());
        while sum() != expected {
            assert!(began.elapsed() < PATIENCE, "{name}: {} and not {expected}", sum());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let received = 4200 + messages * each + take_what_is_left(&mut first, &nats, &mut wire);
    second.wait_received(received);
    // Empty and then made anew: it is shorter than what was taken in, and nothing of it is taken.
    for request in ["DELETE", "INFO"] {
        let told = wire.ask(&format!("$JS.API.STREAM.{request}.feed"), &json!({})).unwrap();
        assert_eq!(told["success"] == true, request == "DELETE", "{told}");
    }
    nats.make_stream("feed");
    nats.publish_for_certain(&mut wire, "feed.x", 7777, &body(0..3));
    let began = Instant::now();
    while !first.logs().contains("made anew") {
        assert!(began.elapsed() < PATIENCE, "{}", first.logs());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((first.received(), second.received()), (received, received));
}

#[test]
fn settings_that_make_no_sense_keep_a_node_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    fs::write(&config, "[apps.metricstream.queue_in]\nurl = \"amqp://b\"\nstream = \"s\"\n").unwrap();
    let arguments =
        ["run", "--role", "all", "--id", "1", "--peers", "1=127.0.0.1:0", "--listen", "127.0.0.1:0"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command.args(arguments).arg("--config").arg(config).arg("--data").arg(folder.path().join("data"));
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("nats://HOST:4222"), "{said}");
}
