//! Distributed Analytics: inserts in all three forms, some retried under a key, and averages by key.
//!
//! A key gets few values, drawn with all their digits, so that an average tells which of them are stored.

mod judge;

use super::{Boxed, Deed, Seat, System, json_lines};
use crate::aftermath::{PAUSE, RECOVERY};
use crate::scenario::Knobs;
use bytes::Bytes;
use check::Violation;
use check::history::Outcome;
use client::Problem;
use client::analytics::{Analytics as Answered, AnalyticsQuery, Bincode, Insert};
use http::{Method, Request, Response};
use judge::Final;
use rt::sim::World;
use rt::sim::rng::Rng;
use rt::time::{self, Instant};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use world::Recorder;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// A row.
    Insert {
        /// Its partition key.
        key: String,
        /// Its value: no two of a key are alike.
        value: f64,
    },
    /// The average of a key.
    Average {
        /// The key.
        key: String,
    },
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The row is stored.
    Inserted,
    /// An average.
    Average {
        /// 0 of no rows.
        average: f64,
        /// True if partitions are missing from it.
        is_partial: bool,
        /// Workers that answered, and all.
        nodes: (u32, u32),
    },
}

/// Values that a key gets.
const VALUES_OF_A_KEY: u64 = 5;

/// Clients of Distributed Analytics.
#[derive(Clone)]
pub struct Analytics {
    recorder: Recorder<Call, Answer>,
    next_value: Arc<AtomicU64>,
    found: Arc<OnceLock<Final>>,
}

pub(super) fn make(world: &Arc<World>, _knobs: &Knobs) -> Arc<dyn System> {
    Arc::new(Analytics {
        recorder: Recorder::new(world.clone()),
        next_value: Arc::default(),
        found: Arc::default(),
    })
}

impl System for Analytics {
    fn client(&self, seat: Seat) -> Boxed<()> {
        Box::pin(self.clone().run(seat))
    }

    fn collect(&self, seat: Seat) -> Boxed<bool> {
        let system = self.clone();
        Box::pin(async move {
            let http = Http::new(seat.endpoints, seat.token);
            let Some(found) = system.read_all(&http).await else { return false };
            system.found.set(found).is_ok()
        })
    }

    fn judge(&self) -> Vec<Violation> {
        let found = self.found.get();
        found.map_or_else(Vec::new, |found| judge::judge(&self.recorder.history(), found))
    }

    fn deeds(&self) -> Vec<Deed> {
        let history = self.recorder.history();
        history.iter().map(|one| Deed::of(one, matches!(one.call, Call::Insert { .. }))).collect()
    }

    fn history(&self) -> Vec<String> {
        json_lines(&self.recorder.history())
    }
}

/// How long a client waits for an answer: longer than a node takes to say that it does not know.
const PATIENCE: Duration = Duration::from_secs(3);

/// The key that a value goes to. It ends, so that none begins with another.
fn key_of(number: u64) -> String {
    format!("key-{}.", number / VALUES_OF_A_KEY)
}

impl Analytics {
    async fn run(self, seat: Seat) {
        let Seat { number: client, mut endpoints, token, mut rng, pause, stop } = seat;
        let first = rng.below(endpoints.len() as u64) as usize;
        endpoints.rotate_left(first);
        let http = Http::new(endpoints, token);
        while !stop.load(Ordering::Relaxed) {
            time::sleep(rng.duration(pause / 2, pause * 3 / 2)).await;
            if rng.chance(0.7) {
                self.insert(client, &http, &mut rng).await;
            } else {
                // One of the newest keys: there is something going on there.
                let newest = self.next_value.load(Ordering::Relaxed);
                let number = newest.saturating_sub(rng.below(4 * VALUES_OF_A_KEY));
                self.average(client, &http, key_of(number)).await;
            }
        }
    }

    async fn insert(&self, client: u32, http: &Http, rng: &mut Rng) {
        let number = self.next_value.fetch_add(1, Ordering::Relaxed);
        // Of all its digits, so that sloppy sums show, and no two sets of values have the same average.
        let value = rng.below(1 << 53) as f64 / 1e13;
        let insert = Insert { partition_key: key_of(number), value };
        let keyed = rng.chance(0.5).then(|| format!("insert-{number}"));
        let (form, body) = match rng.below(3) {
            0 => (BINCODE, insert.to_bincode()),
            1 => ("application/x-protobuf", prost::Message::encode_to_vec(&insert)),
            _ => ("application/json", serde_json::to_vec(&insert).unwrap_or_default()),
        };
        let Insert { partition_key, value } = insert;
        let call = self.recorder.call(client, Call::Insert { key: partition_key, value });
        let outcome = match http.insert(form, body.into(), keyed.as_deref()).await {
            Ok(()) => Outcome::Ok(Answer::Inserted),
            Err(Failure::Refused(text)) => Outcome::Rejected(text),
            Err(Failure::Unknown(text)) => Outcome::Unknown(text),
        };
        self.recorder.answer(call, outcome);
    }

    async fn average(&self, client: u32, http: &Http, key: String) {
        let call = self.recorder.call(client, Call::Average { key: key.clone() });
        let outcome = match http.average(&key).await {
            Ok(answer) => Outcome::Ok(Answer::Average {
                average: answer.average,
                is_partial: answer.is_partial,
                nodes: (answer.responding_nodes, answer.total_nodes),
            }),
            // A read has no effect.
            Err(Failure::Refused(text) | Failure::Unknown(text)) => Outcome::Rejected(text),
        };
        self.recorder.answer(call, outcome);
    }

    /// The average of every key and of all; `None` if it cannot be read in time.
    async fn read_all(&self, http: &Http) -> Option<Final> {
        let deadline = Instant::now() + RECOVERY;
        loop {
            // A write of unknown outcome may still arrive: what is read must have stood still.
            let tried = async {
                let before = http.whole("").await?;
                let mut found = Final { all: before, ..Final::default() };
                for number in (0..self.next_value.load(Ordering::Relaxed)).step_by(VALUES_OF_A_KEY as usize) {
                    let key = key_of(number);
                    let average = http.whole(&key).await?;
                    found.keys.insert(key, average);
                }
                Ok::<_, Failure>((http.whole("").await? == before, found))
            };
            match tried.await {
                Ok((true, found)) => return Some(found),
                _ if Instant::now() >= deadline => return None,
                _ => time::sleep(PAUSE).await,
            }
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

const BINCODE: &str = "application/octet-stream";

/// Requests to a cluster, its nodes in turn.
struct Http {
    http: rt::http::Client,
    endpoints: Vec<String>,
    token: String,
    next: AtomicU64,
}

impl Http {
    fn new(endpoints: Vec<String>, token: String) -> Self {
        let http = rt::http::Client::new(rt::http::ClientOptions::default());
        Http { http, endpoints, token, next: AtomicU64::new(0) }
    }

    async fn send(
        &self,
        (method, path): (Method, &str),
        form: &str,
        body: Bytes,
        key: Option<&str>,
    ) -> Result<Response<Bytes>, Failure> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) as usize;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, form)
            .header(http::header::AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(key) = key {
            request = request.header(client::IDEMPOTENCY_KEY, key);
        }
        let request = request.body(body).map_err(|error| Failure::Refused(error.to_string()))?;
        let host = &self.endpoints[turn % self.endpoints.len()];
        let response = self.http.send(host, request, PATIENCE).await.map_err(|error| {
            let text = error.to_string();
            if error.may_have_arrived() { Failure::Unknown(text) } else { Failure::Refused(text) }
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        match serde_json::from_slice::<Problem>(response.body()) {
            Ok(problem) if problem.is_outcome_unknown() => Err(Failure::Unknown(problem.detail)),
            Ok(problem) => Err(Failure::Refused(format!("{}: {}", problem.code, problem.detail))),
            Err(error) => Err(Failure::Unknown(error.to_string())),
        }
    }

    /// An insert: with a key it is sent again until it is answered, without one it is sent once.
    async fn insert(&self, form: &str, body: Bytes, key: Option<&str>) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE * 2;
        let mut doubtful = false;
        loop {
            let failure = match self.send((Method::POST, "/insert"), form, body.clone(), key).await {
                Ok(_) => return Ok(()),
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

    async fn average(&self, prefix: &str) -> Result<Answered, Failure> {
        let query = AnalyticsQuery { key_prefix: Some(prefix.into()), from_ms: None, to_ms: None };
        let body = query.to_bincode().into();
        let response = self.send((Method::GET, "/analytics"), BINCODE, body, None).await?;
        let strange = || Failure::Unknown("an answer that is no message".into());
        Answered::from_bincode(response.body()).ok_or_else(strange)
    }

    /// An average that lacks nothing.
    async fn whole(&self, prefix: &str) -> Result<f64, Failure> {
        let answer = self.average(prefix).await?;
        if answer.is_partial {
            return Err(Failure::Refused("partitions are missing".into()));
        }
        Ok(answer.average)
    }
}
