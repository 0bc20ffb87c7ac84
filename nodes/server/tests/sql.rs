//! `POST /sql` of real nodes with DuckDB: what it sees, what it refuses, and that losing the engine loses
//! nothing.

#![cfg(feature = "duckdb")]
#![allow(clippy::disallowed_methods, reason = "it starts and kills real processes")]

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster in a process, which is killed when this is dropped.
struct Dev {
    child: Child,
    hosts: Vec<String>,
    runtime: tokio::runtime::Runtime,
    http: rt::http::Client,
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Dev {
    fn start(data: &Path) -> Self {
        Dev::start_as("analytics", data)
    }

    fn start_as(profile: &str, data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
        command.args(["dev", "--profile", profile, "--engine", "duckdb", "--listen", "127.0.0.1:0"]);
        let mut child = command
            .args(["--peer-listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .arg("--metrics-folder")
            .arg(data)
            .env_remove("SEEDSTORM_TOKEN")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let hosts: Vec<String> = lines
            .take_while(|line| !line.starts_with("Ctrl-C"))
            .filter(|line| line.starts_with("control") || line.starts_with("worker"))
            .filter_map(|line| Some(line.split_once("http://")?.1.to_owned()))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = rt::http::Client::new(rt::http::ClientOptions::default());
        let dev = Dev { child, hosts, runtime, http };
        assert!(dev.hosts.len() >= 3, "{:?}", dev.hosts);
        let began = Instant::now();
        for node in 0..dev.hosts.len() {
            while !dev.send(node, Request::get("/readyz"), "").is_ok_and(|answer| answer.status() == 200) {
                assert!(began.elapsed() < PATIENCE, "not ready");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        dev
    }

    fn send(
        &self,
        node: usize,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Result<Response<Bytes>, String> {
        let request = request.body(body.into()).unwrap();
        let answer = self.runtime.block_on(self.http.send(&self.hosts[node], request, PATIENCE));
        answer.map_err(|error| error.to_string())
    }

    fn insert(&self, node: usize, key: &str, value: f64) {
        let request = Request::post("/insert").header("Content-Type", "application/json");
        let body = json!({ "partition_key": key, "value": value }).to_string();
        let answer = self.send(node, request, body).unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
    }

    fn sql(&self, node: usize, text: &str) -> (u16, Value) {
        let answer = self.send(node, Request::post("/sql"), text.to_owned()).unwrap();
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    fn rows(&self, node: usize, text: &str) -> Value {
        let (status, mut answer) = self.sql(node, text);
        assert_eq!((status, &answer["is_partial"]), (200, &json!(false)), "{text}: {answer}");
        answer["rows"].take()
    }

    fn becomes(&self, node: usize, text: &str, rows: &Value) {
        let began = Instant::now();
        while &self.sql(node, text).1["rows"] != rows {
            assert!(began.elapsed() < PATIENCE, "{:?} and not {rows}", self.sql(node, text));
        }
    }

    fn batch(&self, node: usize, metrics: &[Value]) {
        let request = Request::post("/metrics").header("Content-Type", "application/json");
        let answer = self.send(node, request, json!({ "metrics": metrics }).to_string()).unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
    }

    /// What `/query` says of each series: its tag `host`, and its points.
    fn query(&self, node: usize, text: &str) -> Vec<(Value, Value)> {
        let answer = self.send(node, Request::get(format!("/query?{text}")), "").unwrap();
        assert_eq!(answer.status(), 200, "{text}: {:?}", answer.body());
        let mut answer: Value = serde_json::from_slice(answer.body()).unwrap();
        let series = answer["series"].as_array_mut().unwrap();
        series.iter_mut().map(|series| (series["tags"]["host"].take(), series["points"].take())).collect()
    }

    fn average(&self) -> Value {
        let request = Request::get("/analytics").header("Accept", "application/json");
        let answer = self.send(1, request, "").unwrap();
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(answer["is_partial"], false);
        answer["average"].clone()
    }

    /// Process ids of the engines: they are the node's only children.
    fn engines(&self) -> Vec<String> {
        let node = self.child.id().to_string();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().into_string().ok());
        ids.filter(|id| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let rest = stat.rsplit(") ").next().unwrap_or_default();
            rest.split(' ').nth(1) == Some(&node)
        })
        .collect()
    }
}

fn kill(id: &str) {
    // It may have ended by itself since it was listed.
    let _ = Command::new("kill").args(["-9", id]).stderr(Stdio::null()).status();
}

#[test]
fn it_sees_what_was_acknowledged_and_comes_back_from_anything() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let mut sum = 0.0;
    for n in 0..60u32 {
        dev.insert(n as usize % 3, &format!("sensor-{}", n % 7), f64::from(n));
        sum += f64::from(n);
        // At once, and on another node.
        let text = "SELECT count(*) AS n, sum(value) AS total FROM rows";
        assert_eq!(dev.rows((n as usize + 1) % 3, text), json!([[n + 1, sum]]));
    }
    let request = Request::post("/sql").header("Content-Type", "application/json");
    let query = "SELECT partition_key, avg(value) AS a FROM rows GROUP BY 1 ORDER BY 1 LIMIT 1";
    let answer = dev.send(0, request, json!({ "query": query }).to_string()).unwrap();
    assert_eq!(
        std::str::from_utf8(answer.body()).unwrap(),
        r#"{"columns":[{"name":"partition_key","type":"VARCHAR"},{"name":"a","type":"DOUBLE"}],"rows":[["sensor-0",28.0]],"truncated":false,"is_partial":false}"#
    );
    assert_eq!(dev.average(), 29.5);

    // The engines are killed, again and again, in the middle of inserts.
    assert_eq!(dev.engines().len(), 3);
    for round in 0..10 {
        dev.engines().iter().for_each(|id| kill(id));
        dev.insert(round % 3, "killed", 29.5);
        assert_eq!(dev.average(), 29.5, "the columns answer meanwhile");
    }
    for node in 0..3 {
        dev.becomes(node, "SELECT count(*), count(DISTINCT (part, seq)) FROM rows", &json!([[70, 70]]));
    }
    drop(dev);

    // A node that is killed takes its engine with it; both begin where they were.
    let dev = Dev::start(folder.path());
    assert_eq!(dev.rows(0, "SELECT count(*), sum(value) FROM rows"), json!([[70, sum + 295.0]]));
}

fn metric(n: u64, begin: u64) -> Value {
    let (host, at) = (format!("h{}", n % 3), begin + n * 1000);
    match n % 4 {
        0 => {
            json!({ "name": "users", "type": "set", "value": format!("user {}'s", n % 12), "timestamp": at })
        }
        1 => json!({ "name": "plain", "value": n, "timestamp": at }),
        _ => {
            json!({ "name": "load", "value": n as f64 / 4.0, "tags": { "host": host, "dc": "x" }, "timestamp": at })
        }
    }
}

#[test]
fn metrics_are_seen_as_they_are_stored() {
    const BATCHES: u64 = 30;
    const SIZE: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start_as("metricstream", folder.path());
    let begin = rt::time::wall_ms() / 1000 * 1000 - 3_600_000;
    for batch in 0..BATCHES {
        let metrics: Vec<Value> = (batch * SIZE..(batch + 1) * SIZE).map(|n| metric(n, begin)).collect();
        dev.batch(batch as usize % 3, &metrics);
        // At once, and on another node.
        let text = "SELECT count(*), count(DISTINCT (part, seq)) FROM metrics";
        let stored = (batch + 1) * SIZE;
        assert_eq!(dev.rows((batch as usize + 1) % 3, text), json!([[stored, stored]]));
    }
    // The same as `/query` says: points, sums by a tag, and different members.
    for (host, points) in dev.query(1, "name=load&from=0&to=now&limit=10000") {
        let host = host.as_str().unwrap();
        let text = format!(
            "SELECT at_ms, value FROM metrics WHERE name = 'load' AND tags['host'] = '{host}' ORDER BY part, seq"
        );
        assert!(points.as_array().unwrap().len() as u64 > BATCHES * SIZE / 10, "{points}");
        assert_eq!(dev.rows(2, &text), points, "{host}");
    }
    let mut sums = dev.query(0, "name=load&from=0&to=now&agg=sum&step=1d&by=host");
    sums.sort_by_key(|(host, _)| host.to_string());
    let day = "SELECT tags['host'] AS host, at_ms // 86400000 * 86400000 AS day, sum(value)
               FROM metrics WHERE name = 'load' GROUP BY ALL ORDER BY ALL";
    let rows = dev.rows(0, day);
    let sums: Vec<Value> = sums
        .into_iter()
        .flat_map(|(host, points)| {
            let points = points.as_array().unwrap().clone().into_iter();
            points.map(move |point| json!([host.clone(), point[0], point[1]]))
        })
        .collect();
    assert_eq!(rows, json!(sums));
    let text =
        "SELECT type, count(DISTINCT member), count(value) FROM metrics WHERE name = 'users' GROUP BY 1";
    assert_eq!(dev.rows(1, text), json!([["set", 3, 0]]));
    let text = "SELECT name, type, cardinality(tags), epoch_ms(min(at_ms)::BIGINT)::VARCHAR LIKE '20%'
                FROM metrics GROUP BY ALL ORDER BY ALL";
    let expected =
        json!([["load", "gauge", 2, true], ["plain", "gauge", 0, true], ["users", "set", 0, true]]);
    assert_eq!(dev.rows(1, text), expected);

    // The engines are killed, again and again, in the middle of batches.
    for round in 0..10 {
        dev.engines().iter().for_each(|id| kill(id));
        dev.batch(round % 3, &[metric(1, begin), metric(2, begin)]);
    }
    let stored = BATCHES * SIZE + 20;
    let text = "SELECT count(*), count(DISTINCT (part, seq)) FROM metrics";
    (0..3).for_each(|node| dev.becomes(node, text, &json!([[stored, stored]])));
    drop(dev);
    let dev = Dev::start_as("metricstream", folder.path());
    dev.becomes(2, text, &json!([[stored, stored]]));
    drop(dev);

    // The folder of a cluster that is no more, with points of its own.
    for node in fs::read_dir(folder.path()).unwrap().flatten().filter(|node| node.path().is_dir()) {
        for entry in fs::read_dir(node.path()).unwrap().flatten() {
            if entry.file_name() != "duckdb" && entry.path().is_file() {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    let dev = Dev::start_as("metricstream", folder.path());
    // More than the old one had, at once: numbers alone do not tell them apart.
    let metrics: Vec<Value> = (0..4000).map(|n| metric(n, begin + 1)).collect();
    dev.batch(0, &metrics);
    let text = "SELECT count(*), count_if(at_ms % 1000 = 1) FROM metrics";
    (0..3).for_each(|node| dev.becomes(node, text, &json!([[4000, 4000]])));
}

#[test]
fn a_folder_of_another_cluster_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    (0..200).for_each(|n| dev.insert(1, "sensor-0", f64::from(n)));
    dev.becomes(0, "SELECT count(*) FROM rows", &json!([[200]]));
    drop(dev);
    for node in ["control", "worker-1", "worker-2"] {
        for entry in fs::read_dir(folder.path().join(node)).unwrap().flatten() {
            if entry.file_name() != "duckdb" && entry.path().is_file() {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    let dev = Dev::start(folder.path());
    for count in [20, 300] {
        (0..count).for_each(|_| dev.insert(1, "sensor-0", 1.5));
        let whole: Value = json!([[if count == 20 { 20 } else { 320 }, 1.5]]);
        dev.becomes(0, "SELECT count(*), max(value) FROM rows", &whole);
    }
}

#[test]
fn it_refuses_what_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    dev.insert(0, "k", 1.0);
    for text in [
        "INSERT INTO rows VALUES (1, 1, 'x', 1, 1)",
        "DROP TABLE rows",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY rows TO '/tmp/rows.csv'",
        "ATTACH '/tmp/x.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 4",
        "PRAGMA database_list",
        "SELECT 1; DROP TABLE rows",
        "",
        "SELEKT",
    ] {
        let (status, problem) = dev.sql(1, text);
        assert_eq!((status, &problem["code"]), (400, &json!("sql-refused")), "{text}: {problem}");
        assert_eq!(problem["success"], false);
    }
    let (status, answer) = dev.sql(0, "SELECT * FROM range(20000)");
    assert_eq!((status, answer["rows"].as_array().unwrap().len()), (200, 10_000));
    assert_eq!((&answer["truncated"], &answer["truncated_by"]), (&json!(true), &json!("rows")));
    let (status, problem) = dev.sql(0, "SELECT count(*) FROM range(1000000000) a, range(1000000000) b");
    assert_eq!((status, &problem["code"]), (422, &json!("sql-timeout")), "{problem}");
    let (status, problem) = dev.sql(0, "SELECT length(repeat('x', 4000000000))");
    assert_eq!((status, &problem["code"]), (422, &json!("sql-memory")), "{problem}");
    dev.becomes(0, "SELECT count(*) FROM rows", &json!([[1]]));

    let post = || Request::post("/sql");
    let json = || post().header("Content-Type", "application/json");
    for (request, body, status, code) in [
        (json(), Bytes::from("{"), 400, "invalid-json"),
        (json(), r#"{"sql":"SELECT 1"}"#.into(), 400, "invalid-value"),
        (json(), r#"{"query":1}"#.into(), 400, "invalid-value"),
        (post(), Bytes::from_static(b"\xff\xfe"), 400, "invalid-query"),
        (post(), " ".repeat(20_000).into(), 400, "invalid-query"),
        (post(), " ".repeat(100_000).into(), 413, "body-too-large"),
        (post().header("Content-Type", "image/png"), Bytes::from("SELECT 1"), 415, "content-type"),
        (Request::get("/sql"), Bytes::new(), 405, "method"),
    ] {
        let answer = dev.send(2, request, body).unwrap();
        let problem: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!((answer.status().as_u16(), problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
}
