//! MetricStream: batches over several series, some retried under a key, some partly wrong; counts, windows
//! and statistics read back.
//!
//! Judged: what is acknowledged is counted exactly once in its series, points and windows agree with each
//! other, the statistics are what the answers add up to, and where posts are limited nobody gets more. In
//! some seeds batches also come from a broker's stream, and points go out to one, see `queues`.

mod export;
mod judge;
mod limits;
mod queues;

use super::{Boxed, Deed, Seat, System, json_lines, keep};
use crate::aftermath::{PAUSE, RECOVERY};
use crate::scenario::Knobs;
use bytes::Bytes;
use check::Violation;
use check::history::Outcome;
use client::Problem;
use client::metricstream::{BatchAnswer, QueryAnswer, RollupAnswer, Stats, Value};
use http::{Method, Request};
use judge::Final;
use limits::Admissions;
use queues::Queues;
use rt::sim::World;
use rt::sim::rng::Rng;
use rt::time::{self, Instant};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use world::Recorder;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// A batch.
    Batch {
        /// Names and values of its good metrics; a value occurs once in a run.
        metrics: Vec<(String, u64)>,
        /// Metrics in it that break a rule.
        wrong: u64,
        /// Key under which it was sent until it was answered.
        key: Option<String>,
    },
    /// A message for the broker's stream.
    Put {
        /// Names and values of its good metrics.
        metrics: Vec<(String, u64)>,
        /// Metrics in it that break a rule, or 1 if it is no batch.
        wrong: u64,
    },
    /// How many points a series holds.
    Count {
        /// Name of the series.
        series: String,
    },
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Metrics accepted and rejected.
    Batch {
        /// Accepted.
        accepted: u64,
        /// Rejected.
        rejected: u64,
    },
    /// Points.
    Count(u64),
}

/// Clients of MetricStream.
#[derive(Clone)]
pub struct MetricStream {
    world: Arc<World>,
    recorder: Recorder<Call, Answer>,
    series: Vec<String>,
    next_value: Arc<AtomicU64>,
    found: Arc<OnceLock<Final>>,
    /// True if nodes write metrics.jsonl.
    exported: bool,
    admissions: Arc<Admissions>,
    queues: Arc<Queues>,
}

pub(super) fn make(world: &Arc<World>, knobs: &Knobs) -> Arc<dyn System> {
    Arc::new(MetricStream {
        world: world.clone(),
        exported: knobs.get("export", 0) == 1,
        recorder: Recorder::new(world.clone()),
        series: (0..knobs.get("series", 6)).map(|n| format!("stream-{n}")).collect(),
        next_value: Arc::new(AtomicU64::new(1)),
        found: Arc::default(),
        admissions: Admissions::new(world, knobs.get("posts_per_second", 0)),
        queues: Arc::new(Queues::of(knobs)),
    })
}

impl System for MetricStream {
    fn client(&self, seat: Seat) -> Boxed<()> {
        Box::pin(self.clone().run(seat))
    }

    fn collect(&self, seat: Seat) -> Boxed<bool> {
        let http = self.http(seat.endpoints, seat.token, seat.number);
        keep(self.clone().read_everything(http), self.found.clone())
    }

    fn judge(&self) -> Vec<Violation> {
        let found = self.found.get();
        let mut violations =
            found.map_or_else(Vec::new, |found| judge::judge(&self.recorder.history(), found));
        if let Some(found) = found.filter(|_| self.exported) {
            violations.extend(judge::exports(found));
        }
        violations.extend(found.map_or_else(Vec::new, queues::judge));
        violations.extend(self.admissions.judge());
        violations
    }

    fn deeds(&self) -> Vec<Deed> {
        let history = self.recorder.history();
        history.iter().map(|one| Deed::of(one, !matches!(one.call, Call::Count { .. }))).collect()
    }

    fn history(&self) -> Vec<String> {
        json_lines(&self.recorder.history())
    }
}

/// How long a client waits for an answer: longer than a node takes to say that it does not know.
const PATIENCE: Duration = Duration::from_secs(3);

impl MetricStream {
    fn http(&self, endpoints: Vec<String>, token: String, client: u32) -> Http {
        let http = rt::http::Client::new(rt::http::ClientOptions::default());
        let admissions = self.admissions.clone();
        Http { http, endpoints, token, next: AtomicU64::new(0), client, admissions }
    }

    async fn run(self, seat: Seat) {
        let Seat { number: client, mut endpoints, token, mut rng, pause, stop } = seat;
        let first = rng.below(endpoints.len() as u64) as usize;
        endpoints.rotate_left(first);
        let http = self.http(endpoints, token, client);
        while !stop.load(Ordering::Relaxed) {
            time::sleep(rng.duration(pause / 2, pause * 3 / 2)).await;
            if self.queues.into && rng.chance(0.3) {
                self.put(client, &mut rng).await;
            } else if rng.chance(0.7) {
                self.batch(client, &http, &mut rng).await;
            } else if let Some(series) = rng.pick(&self.series).cloned() {
                self.count(client, &http, series).await;
            }
        }
    }

    async fn batch(&self, client: u32, http: &Http, rng: &mut Rng) {
        let size = if rng.chance(0.1) { rng.between(200, 900) } else { rng.between(1, 12) };
        let mut metrics = Vec::new();
        for _ in 0..size {
            let Some(series) = rng.pick(&self.series).cloned() else { return };
            metrics.push((series, self.next_value.fetch_add(1, Ordering::Relaxed)));
        }
        let wrong = if rng.chance(0.2) { rng.between(1, 3) } else { 0 };
        let keyed = rng.chance(0.6);
        let key = keyed.then(|| format!("batch-{}", metrics.first().map_or(0, |metric| metric.1)));
        // Some tell the time themselves, so that windows get late points.
        let timestamp = rng.chance(0.3).then(|| rng.between(0, 100_000));
        let body = body_of(&metrics, wrong, timestamp);
        let call = self.recorder.call(client, Call::Batch { metrics, wrong, key: key.clone() });
        let outcome = match http.post(body, key.as_deref()).await {
            Ok(BatchAnswer { accepted, rejected, .. }) => Outcome::Ok(Answer::Batch { accepted, rejected }),
            Err(Failure::Refused(text)) => Outcome::Rejected(text),
            Err(Failure::Unknown(text)) => Outcome::Unknown(text),
        };
        self.recorder.answer(call, outcome);
    }

    async fn count(&self, client: u32, http: &Http, series: String) {
        let call = self.recorder.call(client, Call::Count { series: series.clone() });
        let found: Result<QueryAnswer, Failure> =
            http.get(&format!("/query?name={series}&agg=count&by="), PATIENCE).await;
        let outcome = match found {
            Ok(answer) => Outcome::Ok(Answer::Count(count_in(&answer))),
            // A read has no effect.
            Err(Failure::Refused(text) | Failure::Unknown(text)) => Outcome::Rejected(text),
        };
        self.recorder.answer(call, outcome);
    }

    /// Everything that is stored, and what lies in metrics.jsonl when one of them is complete, or should be.
    async fn read_everything(self, http: Http) -> Option<Final> {
        let mut found = self.read_all(http).await?;
        let deadline = Instant::now() + RECOVERY;
        if !self.exported {
            return Some(found);
        }
        loop {
            found.exports = export::read(&self.world).await;
            if judge::has_whole_export(&found) || Instant::now() >= deadline {
                return Some(found);
            }
            time::sleep(PAUSE).await;
        }
    }

    /// Everything that is stored; `None` if it cannot be read in time.
    async fn read_all(&self, http: Http) -> Option<Final> {
        let deadline = Instant::now() + RECOVERY;
        if self.queues.into {
            self.put_last(http.client, deadline).await;
        }
        loop {
            // A write of unknown outcome may still arrive: what is read must have stood still.
            let tried = async {
                let before: Stats = http.get("/stats", PATIENCE).await?;
                let mut found = Final { stats: before, ..Final::default() };
                for name in self.series.iter().chain(&self.queues.last_series) {
                    found.points.insert(name.clone(), points_of(&http, name).await?);
                    let path = format!("/rollups?name={name}&window=20s&by=");
                    let windows: RollupAnswer = http.get(&path, PATIENCE).await?;
                    let windows = windows.series.into_iter().flat_map(|series| series.windows);
                    let windows =
                        windows.map(|window| (window.start, window.count, window.sum.unwrap_or(0.0)));
                    found.windows.insert(name.clone(), windows.collect());
                }
                if self.queues.out {
                    found.published = queues::published().await;
                }
                let after: Stats = http.get("/stats", PATIENCE).await?;
                Ok::<_, Failure>((found, before == after))
            };
            match tried.await {
                // What has not come through when time is up is missing.
                Ok((found, true))
                    if queues::is_complete(&self.queues, &found)
                        || (Instant::now() >= deadline && self.queues.out == found.published.is_some()) =>
                {
                    return Some(found);
                }
                _ if Instant::now() >= deadline => return None,
                _ => time::sleep(PAUSE).await,
            }
        }
    }
}

fn body_of(metrics: &[(String, u64)], wrong: u64, timestamp: Option<u64>) -> Bytes {
    let time = timestamp.map_or(String::new(), |at| format!(",\"timestamp\":{at}"));
    let good = metrics.iter().map(|(name, value)| {
        let host = value % 3;
        format!(r#"{{"name":"{name}","value":{value},"type":"gauge","tags":{{"host":"h{host}"}}{time}}}"#)
    });
    let wrong = (0..wrong).map(|_| r#"{"name":"","value":1}"#.to_owned());
    let all: Vec<String> = good.chain(wrong).collect();
    Bytes::from(format!(r#"{{"metrics":[{}]}}"#, all.join(",")))
}

fn count_in(answer: &QueryAnswer) -> u64 {
    let points = answer.series.iter().flat_map(|series| &series.points);
    let counts = points.filter_map(|(_, value)| match value {
        // A count of a run is far below what a float holds exactly.
        Some(Value::Number(number)) => Some(*number as u64),
        _ => None,
    });
    counts.sum()
}

/// Times and values of all points of a series.
async fn points_of(http: &Http, name: &str) -> Result<Vec<(u64, u64)>, Failure> {
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page: QueryAnswer =
            http.get(&format!("/query?name={name}&limit=3000&after={after}"), PATIENCE).await?;
        for (at, value) in page.series.into_iter().flat_map(|series| series.points) {
            if let Some(Value::Number(value)) = value {
                found.push((at, value as u64));
            }
        }
        match page.next_after {
            Some(next) => after = next,
            None => return Ok(found),
        }
    }
}

/// Why there is no answer.
enum Failure {
    /// Certainly without effect.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
}

/// Requests to a cluster, its nodes in turn.
struct Http {
    http: rt::http::Client,
    endpoints: Vec<String>,
    token: String,
    next: AtomicU64,
    client: u32,
    admissions: Arc<Admissions>,
}

impl Http {
    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
        patience: Duration,
    ) -> Result<T, Failure> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) as usize;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(key) = key {
            request = request.header(client::IDEMPOTENCY_KEY, key);
        }
        let refused = |text: String| Failure::Refused(text);
        let request = request.body(body).map_err(|error| refused(error.to_string()))?;
        let host = &self.endpoints[turn % self.endpoints.len()];
        let posted = (request.method() == Method::POST).then(|| self.admissions.sent(self.client, host));
        let response = self.http.send(host, request, patience).await.map_err(|error| {
            if error.may_have_arrived() {
                Failure::Unknown(error.to_string())
            } else {
                refused(error.to_string())
            }
        })?;
        if response.status().is_success() {
            if let Some(posted) = posted {
                self.admissions.answered(posted);
            }
            return serde_json::from_slice(response.body())
                .map_err(|error| Failure::Unknown(error.to_string()));
        }
        match serde_json::from_slice::<Problem>(response.body()) {
            Ok(problem) if problem.is_outcome_unknown() => Err(Failure::Unknown(problem.detail)),
            Ok(problem) => Err(refused(format!("{}: {}", problem.code, problem.detail))),
            Err(error) => Err(Failure::Unknown(error.to_string())),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, patience: Duration) -> Result<T, Failure> {
        self.send(Method::GET, path, Bytes::new(), None, patience).await
    }

    /// A batch: with a key it is sent again until it is answered, without one it is sent once.
    async fn post(&self, body: Bytes, key: Option<&str>) -> Result<BatchAnswer, Failure> {
        let deadline = Instant::now() + PATIENCE * 2;
        let mut doubtful = false;
        loop {
            let failure = match self.send(Method::POST, "/metrics", body.clone(), key, PATIENCE).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            doubtful |= matches!(failure, Failure::Unknown(_));
            if key.is_none() || Instant::now() >= deadline {
                return Err(match failure {
                    Failure::Refused(text) if doubtful => Failure::Unknown(text),
                    failure => failure,
                });
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Sums by window of 20 s, as the judge works them out.
fn windows_of(points: &[(u64, u64)]) -> BTreeMap<u64, (u64, u64)> {
    let mut windows: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (at, value) in points {
        let window = windows.entry(at - at % 20_000).or_default();
        *window = (window.0 + 1, window.1 + value);
    }
    windows
}
