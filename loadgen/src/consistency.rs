//! After the load: is every acknowledged write stored?
//!
//! Each series is read back and its count compared with what was acknowledged. A write without an answer
//! may be stored or not, so it widens what is allowed; one that was refused for good does not.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use reports::model::LoadConsistency;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, StatusCode, Url};

use crate::executor::Executor;
use crate::options::Plan;
use crate::progress::Progress;
use crate::recorder::{Recorder, SeriesTally};
use crate::request::{Requests, bearer, join};

/// How long a reading is tried: the cluster may still be busy with what it was sent.
const PATIENCE: Duration = Duration::from_secs(5);
const BETWEEN_TRIES: Duration = Duration::from_millis(300);

/// Reads every series that was written to. `None` when nothing was written, or when a series could not be
/// read; then `progress` hears why.
pub(crate) fn check(
    plan: &Plan,
    executor: &Executor,
    requests: &Requests,
    recorder: &Recorder,
    progress: &dyn Progress,
) -> Option<LoadConsistency> {
    let result = executor.block_on(read_all(plan, executor.client(), requests, recorder));
    if let Err(reason) = &result {
        progress.note(&format!("acknowledged writes could not be compared with stored ones: {reason}"));
    }
    result.ok().filter(|found| found.acknowledged + found.unknown > 0)
}

async fn read_all(
    plan: &Plan,
    client: &Client,
    requests: &Requests,
    recorder: &Recorder,
) -> Result<LoadConsistency, String> {
    let bearer = bearer(&plan.token).map_err(|error| error.to_string())?;
    let mut all = LoadConsistency { held: true, ..LoadConsistency::default() };
    for (name, tally) in requests.names().iter().zip(&recorder.series) {
        let Written { acknowledged, unknown } = Written::of(tally);
        if acknowledged + unknown == 0 {
            continue;
        }
        let url = join(&plan.targets[0], &format!("metrics/{name}/aggregate")).map_err(|e| e.to_string())?;
        let stored = read(client, &url, &bearer).await.map_err(|reason| format!("{name}: {reason}"))?;
        all.acknowledged += acknowledged;
        all.unknown += unknown;
        all.stored += stored;
        all.held &= (acknowledged..=acknowledged + unknown).contains(&stored);
    }
    Ok(all)
}

/// What the writes to one series came to.
struct Written {
    acknowledged: u64,
    unknown: u64,
}

impl Written {
    fn of(tally: &SeriesTally) -> Self {
        let acknowledged = tally.acknowledged.load(Ordering::Relaxed);
        let without_effect = tally.without_effect.load(Ordering::Relaxed);
        // What was under way at the end has no answer either.
        let unknown = tally.sent.load(Ordering::Relaxed).saturating_sub(acknowledged + without_effect);
        Self { acknowledged, unknown }
    }
}

/// Reads one count. A series that the cluster does not know holds nothing.
async fn read(client: &Client, url: &Url, bearer: &HeaderValue) -> Result<u64, String> {
    #[derive(serde::Deserialize)]
    struct Aggregate {
        count: u64,
    }
    let give_up = Instant::now() + PATIENCE;
    loop {
        let reason = match client.get(url.clone()).header(AUTHORIZATION, bearer).send().await {
            Ok(answer) if answer.status() == StatusCode::NOT_FOUND => return Ok(0),
            Ok(answer) if answer.status() == StatusCode::OK => {
                let body = answer.bytes().await.map_err(|error| error.to_string())?;
                let aggregate: Aggregate = serde_json::from_slice(&body)
                    .map_err(|error| format!("no count in the answer: {error}"))?;
                return Ok(aggregate.count);
            }
            Ok(answer) => format!("status {}", answer.status().as_u16()),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= give_up {
            return Err(reason);
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_answered_is_unknown() {
        let tally = SeriesTally { sent: 10.into(), acknowledged: 6.into(), without_effect: 1.into() };
        let written = Written::of(&tally);
        assert_eq!((written.acknowledged, written.unknown), (6, 3));
    }
}
