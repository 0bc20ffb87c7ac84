//! Clients: a steady stream of recorded operations over the cluster's own API.

use check::history::{Answer, Call, Outcome};
use client::{CallError, Client, ClientOptions};
use rt::sim::rng::Rng;
use rt::time;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use world::Recorder;

/// What a client is started with.
#[derive(Clone)]
pub struct Workload {
    /// Takes down what happens.
    pub recorder: Recorder,
    /// API addresses of the nodes.
    pub endpoints: Vec<String>,
    /// Token.
    pub token: String,
    /// Names of the series.
    pub series: Vec<String>,
    /// Mean pause between two operations of one client.
    pub pause: Duration,
    /// Tells clients to stop.
    pub stop: Arc<AtomicBool>,
    /// Gives values, so that no two writes share one.
    pub next_value: Arc<AtomicU64>,
}

/// How long a client waits for an answer: longer than a node takes to say that it does not know.
const PATIENCE: Duration = Duration::from_secs(3);

impl Workload {
    /// Runs client number `client` until it is told to stop.
    pub async fn run(self, client: u32, mut rng: Rng) {
        let mut endpoints = self.endpoints.clone();
        let first = rng.below(endpoints.len() as u64) as usize;
        endpoints.rotate_left(first);
        let api = Client::new(ClientOptions { endpoints, token: self.token.clone(), deadline: PATIENCE });
        while !self.stop.load(Ordering::Relaxed) {
            // Between half and one and a half of the mean, in nanoseconds.
            time::sleep(rng.duration(self.pause / 2, self.pause * 3 / 2)).await;
            let Some(series) = rng.pick(&self.series).cloned() else { return };
            match rng.below(20) {
                0..10 => self.append(client, &api, series, rng.chance(0.5)).await,
                10..14 => self.read_values(client, &api, series, true).await,
                14..18 => self.read_aggregate(client, &api, series, true).await,
                18 => self.read_values(client, &api, series, false).await,
                _ => self.read_aggregate(client, &api, series, false).await,
            }
        }
    }

    async fn append(&self, client: u32, api: &Client, series: String, keyed: bool) {
        let number = self.next_value.fetch_add(1, Ordering::Relaxed);
        // Not a sum of few powers of two, so that sloppy sums show.
        let value = number as f64 + 0.1;
        let key = keyed.then(|| format!("key-{number}"));
        let call = Call::Append { series: series.clone(), value, key: key.clone() };
        let id = self.recorder.call(client, call);
        let outcome = match api.record(&series, value, key.as_deref()).await {
            Ok(recorded) => Outcome::Ok(Answer::Appended { message: recorded.message }),
            Err(error) => failed(&error),
        };
        self.recorder.answer(id, outcome);
    }

    async fn read_values(&self, client: u32, api: &Client, series: String, linearizable: bool) {
        let id = self.recorder.call(client, Call::ReadValues { series: series.clone(), linearizable });
        let outcome = match api.values(&series, !linearizable).await {
            Ok(read) => {
                Outcome::Ok(read.answer.map_or(Answer::Absent, |answer| Answer::Values(answer.values)))
            }
            Err(error) => failed(&error),
        };
        self.recorder.answer(id, outcome);
    }

    async fn read_aggregate(&self, client: u32, api: &Client, series: String, linearizable: bool) {
        let id = self.recorder.call(client, Call::ReadAggregate { series: series.clone(), linearizable });
        let outcome = match api.aggregate(&series, !linearizable).await {
            Ok(read) => Outcome::Ok(read.answer.map_or(Answer::Absent, |answer| Answer::Aggregate {
                count: answer.count,
                // The values of a run are far too small to overflow a sum.
                sum: answer.sum.unwrap_or(f64::NAN),
            })),
            Err(error) => failed(&error),
        };
        self.recorder.answer(id, outcome);
    }
}

fn failed(error: &CallError) -> Outcome {
    match error {
        CallError::Rejected { .. } => Outcome::Rejected(error.to_string()),
        CallError::Unknown(_) => Outcome::Unknown(error.to_string()),
    }
}
