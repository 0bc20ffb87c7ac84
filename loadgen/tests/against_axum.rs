//! The generator against a small server of known behaviour: that it sends what it says, measures what
//! happens, and blames the right side.
#![allow(clippy::disallowed_methods, reason = "runs outside the simulation")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use loadgen::{CancelToken, LoadOptions, Progress, Silent, run};
use reports::model::{ErrorCount, LoadReport, LoadSecond, LoadStep, Validity};
use serde_json::{Value, json};

/// How the server behaves, besides counting.
#[derive(Clone, Copy, Default)]
struct Behaviour {
    /// Every answer due in the first 300 ms after this moment waits until they are over.
    stall_at: Option<Duration>,
    /// Every so many writes, one is refused with 503.
    refuse_each: Option<u64>,
    /// Every so many writes, one is acknowledged and forgotten.
    lose_each: Option<u64>,
    /// Each answer takes this long.
    delay: Duration,
}

const STALL: Duration = Duration::from_millis(300);

#[derive(Clone)]
struct Server {
    behaviour: Behaviour,
    begin: Arc<Mutex<Option<Instant>>>,
    stored: Arc<Mutex<(u64, HashMap<String, u64>)>>,
}

impl Server {
    /// Serves on a thread of its own until the process ends.
    fn start(behaviour: Behaviour) -> String {
        let server = Self { behaviour, begin: Arc::default(), stored: Arc::default() };
        let app = Router::new()
            .route("/metrics", post(write))
            .route("/metrics/{name}/aggregate", get(read))
            .with_state(server);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("the socket is bound");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("node-test")
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                listener.set_nonblocking(true).expect("a fresh socket");
                let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime is there");
                axum::serve(listener, app).await.expect("the server runs as long as the process");
            });
        });
        format!("http://{address}")
    }

    /// What is left of the stall, counted from the first request.
    fn stall(&self) -> Duration {
        let Some(at) = self.behaviour.stall_at else { return Duration::ZERO };
        let mut begin = self.begin.lock().unwrap_or_else(PoisonError::into_inner);
        let since = begin.get_or_insert_with(Instant::now).elapsed();
        if since < at { Duration::ZERO } else { (at + STALL).saturating_sub(since) }
    }
}

async fn write(
    State(server): State<Server>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    assert_eq!(headers["authorization"], "Bearer local-dev-token-123");
    tokio::time::sleep(server.stall() + server.behaviour.delay).await;
    let name = body["metric_name"].as_str().expect("a metric name").to_owned();
    assert!(name.starts_with("load_") && body["value"].is_f64(), "{body}");
    let (all, series) = &mut *server.stored.lock().unwrap_or_else(PoisonError::into_inner);
    *all += 1;
    let hits = |each: Option<u64>| each.is_some_and(|each| *all % each == 0);
    if hits(server.behaviour.refuse_each) {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "success": false })));
    }
    if !hits(server.behaviour.lose_each) {
        *series.entry(name).or_default() += 1;
    }
    (StatusCode::OK, Json(json!({ "success": true, "message": "Metric recorded on worker 1" })))
}

async fn read(State(server): State<Server>, Path(name): Path<String>) -> (StatusCode, Json<Value>) {
    let stored = server.stored.lock().unwrap_or_else(PoisonError::into_inner);
    match stored.1.get(&name) {
        Some(count) => (StatusCode::OK, Json(json!({ "metric_name": name, "count": count }))),
        None => (StatusCode::NOT_FOUND, Json(json!({ "success": false }))),
    }
}

fn once(target: String, rps: f64, seconds: f64) -> LoadOptions {
    LoadOptions {
        targets: vec![target],
        rps,
        step_seconds: seconds,
        settle_seconds: 0.2,
        ladder: false,
        ..LoadOptions::default()
    }
}

fn drive(options: LoadOptions) -> LoadReport {
    run(options, &Silent).expect("the harness works")
}

#[test]
fn five_hundred_a_second_all_ok() {
    let report = drive(once(Server::start(Behaviour::default()), 500.0, 2.0));
    let step = &report.steps[0];
    assert_eq!((step.offered, step.sent, step.ok), (1_000, 1_000, 1_000));
    assert_eq!(step.errors, []);
    assert_eq!(step.validity, Validity::Valid);
    assert!(step.carried, "{:?}", step.missed);
    assert_eq!((step.intended.count, step.service.count, step.queue.count), (1_000, 1_000, 1_000));
    assert!(step.intended.p50_us >= step.service.p50_us);
    let ok: u64 = report.seconds.iter().map(|second| second.ok).sum();
    let offered: u64 = report.seconds.iter().map(|second| second.offered).sum();
    assert_eq!((ok, offered), (1_100, 1_100));
    let consistency = report.consistency.expect("the server can be read");
    assert_eq!((consistency.acknowledged, consistency.stored, consistency.unknown), (1_100, 1_100, 0));
    assert!(consistency.held);
    if cfg!(target_os = "linux") {
        assert!(step.client_cpus > 0.0);
        assert!(step.cluster_cpus.is_some_and(|cpus| cpus > 0.0));
    }
}

#[test]
fn a_stall_shows_from_the_due_time_and_not_in_the_median_of_service() {
    let behaviour = Behaviour { stall_at: Some(Duration::from_millis(800)), ..Behaviour::default() };
    let mut options = once(Server::start(behaviour), 500.0, 2.0);
    // So few users that most arrivals of the stall cannot even be sent: only the due time tells.
    options.users = Some(10);
    let step = drive(options).steps.remove(0);
    assert_eq!(step.ok, 1_000);
    assert!(step.intended.p99_us > 200_000, "{:?}", step.intended);
    assert!(step.service.p50_us < 50_000, "{:?}", step.service);
    assert!(step.service.p90_us < 50_000, "{:?}", step.service);
    // The generator kept its schedule; the cluster kept its users waiting.
    assert_eq!(step.validity, Validity::Valid);
    assert!(!step.carried);
    assert!(step.missed.as_ref().is_some_and(|reason| reason.contains("all 10 users")), "{:?}", step.missed);
}

#[test]
fn refusals_are_counted_by_class() {
    let behaviour = Behaviour { refuse_each: Some(10), ..Behaviour::default() };
    let report = drive(once(Server::start(behaviour), 200.0, 1.0));
    let step = &report.steps[0];
    assert_eq!((step.offered, step.ok), (200, 180));
    assert_eq!(step.errors, [ErrorCount { class: "status 503".to_owned(), count: 20 }]);
    assert!(!step.carried);
    // A 503 may have been stored, as far as anybody can tell.
    let consistency = report.consistency.expect("the server can be read");
    assert_eq!((consistency.acknowledged, consistency.unknown, consistency.stored), (216, 24, 216));
    assert!(consistency.held);
}

#[test]
fn a_lost_write_breaks_consistency() {
    let behaviour = Behaviour { lose_each: Some(40), ..Behaviour::default() };
    let report = drive(once(Server::start(behaviour), 200.0, 0.5));
    let consistency = report.consistency.expect("the server can be read");
    assert_eq!((consistency.acknowledged, consistency.stored), (140, 137));
    assert!(!consistency.held);
}

#[test]
fn nobody_there_fails_every_request_and_ends_in_time() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("the socket is bound");
    drop(free);
    let begin = Instant::now();
    let report = drive(once(format!("http://{address}"), 500.0, 1.0));
    let step = &report.steps[0];
    assert_eq!((step.offered, step.ok), (500, 0));
    assert_eq!(step.errors, [ErrorCount { class: "connect".to_owned(), count: 500 }]);
    assert!(step.missed.as_ref().is_some_and(|reason| reason.contains("connect")), "{:?}", step.missed);
    assert_eq!(report.consistency, None);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_server_too_slow_for_its_users_sheds_and_is_not_carried() {
    let behaviour = Behaviour { delay: Duration::from_millis(400), ..Behaviour::default() };
    let mut options = once(Server::start(behaviour), 3_000.0, 1.0);
    options.users = Some(20);
    options.request_timeout_seconds = 1.0;
    let step = drive(options).steps.remove(0);
    assert_eq!(step.offered, 3_000);
    assert_eq!(step.validity, Validity::Valid);
    assert!(!step.carried);
    let failed: u64 = step.errors.iter().map(|error| error.count).sum();
    assert_eq!(step.ok + failed, step.offered);
    assert!(step.errors.iter().any(|error| error.class == "never sent"), "{:?}", step.errors);
}

/// Cancels after the first step.
struct Impatient(CancelToken);

impl Progress for Impatient {
    fn step_started(&self, _number: usize, _of: usize, _rps: f64, _length: Duration) {}
    fn second(&self, _second: &LoadSecond) {}
    fn step_done(&self, _step: &LoadStep) {
        self.0.cancel();
    }
    fn note(&self, _text: &str) {}
}

#[test]
fn a_cancelled_ladder_returns_what_ran() {
    let mut options = once(Server::start(Behaviour::default()), 500.0, 0.5);
    options.ladder = true;
    let impatient = Impatient(options.cancel.clone());
    let report = run(options, &impatient).expect("the harness works");
    assert_eq!(report.steps.len(), 1);
    assert_eq!((report.steps[0].target_rps, report.target_rps), (200.0, 500.0));
    assert!(report.steps[0].carried);
}
