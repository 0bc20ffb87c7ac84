//! RaftMetrics: a steady stream of recorded appends and reads over the cluster's own API.

use super::{Boxed, Deed, Seat, System, json_lines, keep};
use crate::aftermath::{PAUSE, RECOVERY};
use crate::scenario::Knobs;
use check::history::{Answer, Call, Outcome};
use check::{FinalState, SeriesFinal, Violation, judge_history};
use client::{CallError, Client, ClientOptions};
use rt::sim::World;
use rt::time::{self, Instant};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use world::Recorder;

/// Clients of RaftMetrics.
#[derive(Clone)]
pub struct RaftMetrics {
    recorder: Recorder,
    /// Names of the series.
    series: Vec<String>,
    /// Gives values, so that no two writes share one.
    next_value: Arc<AtomicU64>,
    stored: Arc<OnceLock<FinalState>>,
}

pub(super) fn make(world: &Arc<World>, knobs: &Knobs) -> Arc<dyn System> {
    Arc::new(RaftMetrics::new(world, knobs.get("series", 6)))
}

impl RaftMetrics {
    /// Clients that work on so many series.
    pub fn new(world: &Arc<World>, series: u64) -> Self {
        RaftMetrics {
            recorder: Recorder::new(world.clone()),
            series: (0..series).map(|n| format!("series-{n}")).collect(),
            next_value: Arc::new(AtomicU64::new(1)),
            stored: Arc::default(),
        }
    }
}

impl System for RaftMetrics {
    fn client(&self, seat: Seat) -> Boxed<()> {
        Box::pin(self.clone().run(seat))
    }

    fn collect(&self, seat: Seat) -> Boxed<bool> {
        keep(self.clone().final_state(seat), self.stored.clone())
    }

    fn judge(&self) -> Vec<Violation> {
        let state = self.stored.get();
        state.map_or_else(Vec::new, |state| judge_history(&self.recorder.history(), state))
    }

    fn history(&self) -> Vec<String> {
        json_lines(&self.recorder.history())
    }

    fn deeds(&self) -> Vec<Deed> {
        let is_write = |call: &Call| matches!(call, Call::Append { .. });
        self.recorder
            .history()
            .iter()
            .map(|operation| Deed::of(operation, is_write(&operation.call)))
            .collect()
    }
}

/// How long a client waits for an answer: longer than a node takes to say that it does not know.
const PATIENCE: Duration = Duration::from_secs(3);

impl RaftMetrics {
    async fn run(self, seat: Seat) {
        let Seat { number: client, mut endpoints, token, mut rng, pause, stop } = seat;
        let first = rng.below(endpoints.len() as u64) as usize;
        endpoints.rotate_left(first);
        let api = Client::new(ClientOptions { endpoints, token, deadline: PATIENCE });
        while !stop.load(Ordering::Relaxed) {
            // Between half and one and a half of the mean, in nanoseconds.
            time::sleep(rng.duration(pause / 2, pause * 3 / 2)).await;
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

    /// What is stored in every series; `None` if a series cannot be read in time.
    async fn final_state(self, seat: Seat) -> Option<FinalState> {
        let options =
            ClientOptions { endpoints: seat.endpoints, token: seat.token, deadline: Duration::from_secs(5) };
        let client = Client::new(options);
        let mut state = FinalState::default();
        for name in &self.series {
            let deadline = Instant::now() + RECOVERY;
            let found = loop {
                match read_series(&client, name).await {
                    Ok(found) => break found,
                    Err(_) if Instant::now() < deadline => time::sleep(PAUSE).await,
                    Err(_) => return None,
                }
            };
            if let Some(found) = found {
                state.series.insert(name.clone(), found);
            }
        }
        Some(state)
    }
}

async fn read_series(client: &Client, name: &str) -> Result<Option<SeriesFinal>, client::CallError> {
    // A write of unknown outcome may still arrive: what is read must have stood still.
    let before = client.aggregate(name, false).await?.answer;
    let values = client.values(name, false).await?.answer;
    let aggregate = client.aggregate(name, false).await?.answer;
    if before != aggregate {
        return Err(client::CallError::Unknown("it is still being written".into()));
    }
    Ok(values.zip(aggregate).map(|(values, aggregate)| SeriesFinal {
        values: values.values,
        count: aggregate.count,
        // The values of a run are far too small to overflow a sum.
        sum: aggregate.sum.unwrap_or(f64::NAN),
    }))
}

fn failed(error: &CallError) -> Outcome {
    match error {
        CallError::Rejected { .. } => Outcome::Rejected(error.to_string()),
        CallError::Unknown(_) => Outcome::Unknown(error.to_string()),
    }
}
