//! Time from `kill -9` of a leader to the next acknowledged write, under 1,000 requests a second.
//!
//! Requests are due each millisecond, whatever becomes of the earlier ones, and go to the two that live on.
//! Only writes that were sent after the kill count: an older one may have been committed before it.

use super::cluster::Cluster;
use super::http::{Http, post};
use super::place::Place;
use super::table::{Bar, Row};
use super::{FiguresOptions, etcd, median, ours};
use anyhow::Context;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What is written.
pub(super) const KEY: &str = "failover";
/// Kills at least.
const KILLS: usize = 10;
const BAR_S: f64 = 1.2;
/// Load before the kill.
const BEFORE: Duration = Duration::from_secs(1);
/// Longest wait for a write after it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest life of one request.
const DEADLINE: Duration = Duration::from_secs(5);
/// Requests that may be under way.
const UNDER_WAY: usize = 4000;
/// Between the return of a killed one and the next kill: leaders settle.
const SETTLE: Duration = Duration::from_secs(4);

pub(super) fn measure(place: &Place, options: &FiguresOptions) -> anyhow::Result<Row> {
    println!();
    let mut ours = ours::start(place)?;
    let mut etcd = place.etcd.as_deref().map(|program| etcd::start(place, program)).transpose()?;
    let (mut of_ours, mut of_etcd) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds.max(KILLS) {
        of_ours.push(kill_leader(&mut ours, &place.http)?);
        print!("failover   kill {round}: ours {:.2} s", of_ours.last().copied().unwrap_or(f64::NAN));
        if let Some(etcd) = &mut etcd {
            of_etcd.push(kill_leader(etcd, &place.http)?);
            print!(", etcd {:.2} s", of_etcd.last().copied().unwrap_or(f64::NAN));
        }
        println!();
    }
    let worst = of_ours.iter().copied().fold(0.0, f64::max);
    println!("failover   worst of ours {worst:.2} s");
    Ok(Row {
        name: "failover, median",
        unit: "s",
        ours: median(of_ours),
        bar: Bar::LessThan(BAR_S),
        etcd: (!of_etcd.is_empty()).then(|| median(of_etcd)),
        peer: "etcd 3.4 on 2 cores: 1.56 s",
        spoiled: None,
    })
}

/// Seconds without an acknowledged write. Afterwards the killed one is back.
fn kill_leader(cluster: &mut Cluster, http: &Http) -> anyhow::Result<f64> {
    cluster.wait_ready(http)?;
    std::thread::sleep(SETTLE);
    let leader = cluster.wait_ready(http)?;
    let others = (0..cluster.members.len()).filter(|place| *place != leader);
    let others: Vec<String> = others.map(|place| cluster.members[place].api.clone()).collect();
    let (path, body) = cluster.kind.write.clone();
    let name = cluster.kind.name;
    let writes = Arc::new(Writes::default());
    let seconds = http.runtime().block_on(async {
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        let began = Instant::now();
        let mut killed: Option<Instant> = None;
        for number in 0.. {
            tick.tick().await;
            if killed.is_none() && began.elapsed() >= BEFORE {
                anyhow::ensure!(writes.good.load(Ordering::Relaxed) > 0, "{name} acknowledged nothing");
                let now = Instant::now();
                cluster.members[leader].kill();
                writes.killed.get_or_init(Instant::now);
                killed = Some(now);
            }
            if let Some(killed) = killed {
                if let Some(first) = writes.first_after.get() {
                    return Ok(first.duration_since(killed).as_secs_f64());
                }
                anyhow::ensure!(
                    killed.elapsed() < PATIENCE,
                    "{name}: no write for {PATIENCE:?} after a kill"
                );
            }
            if writes.under_way.load(Ordering::Relaxed) < UNDER_WAY {
                let request = post(path, body.clone())?;
                let host = others[number % others.len()].clone();
                tokio::spawn(Arc::clone(&writes).send(http.client(), host, request));
            }
        }
        anyhow::bail!("the load ended")
    })?;
    cluster.members[leader].start().context("starting the killed one again")?;
    cluster.wait_ready(http)?;
    Ok(seconds)
}

/// What the requests know of each other.
#[derive(Default)]
struct Writes {
    good: AtomicUsize,
    under_way: AtomicUsize,
    /// When the process was gone.
    killed: OnceLock<Instant>,
    /// First answer to a request sent after that.
    first_after: OnceLock<Instant>,
}

impl Writes {
    async fn send(
        self: Arc<Self>,
        client: rt::http::Client,
        host: String,
        request: ::http::Request<bytes::Bytes>,
    ) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let after = self.killed.get().is_some();
        let answer = client.send(&host, request, DEADLINE).await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            self.good.fetch_add(1, Ordering::Relaxed);
            if after {
                self.first_after.get_or_init(Instant::now);
            }
        }
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
