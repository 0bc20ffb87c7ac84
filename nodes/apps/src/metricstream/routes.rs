//! MetricStream's part of `/metrics`: batches in, statistics out.

use super::APP;
use super::command::{Command, Counts, Reply};
use super::front::Front;
use super::ingest::{Sorted, sort};
use super::query::Query;
use super::queue;
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use crate::http::idempotency::key_of;
use crate::partition;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use client::metricstream::{BatchAnswer, Stats};
use client::{APPLIED_INDEX, Problem};
use futures::future::join_all;
use http::{HeaderMap, StatusCode};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use replica::frame::Consistency;
use replica::{GroupId, WriteError};
use std::collections::BTreeSet;

/// What became of the part of one group: numbers of the points that it refused.
type PartEnd = (GroupId, Result<Vec<u32>, ApiError>);

/// `POST /metrics` with a batch.
///
/// # Errors
/// [`ApiError`]; with `"outcome":"unknown"` if a part of the batch may be stored.
pub async fn batch(
    cluster: &Cluster,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Json<BatchAnswer>, ApiError> {
    let key = key_of(headers)?;
    let partitions = cluster.spread()?;
    let mut sorted = sort(body, partitions)?;
    if sorted.groups().next().is_none() {
        Front::of(cluster).count_invalid(sorted.rejected);
        let detail = format!("none of the {} metrics can be stored", sorted.count);
        let error = ApiError::app(StatusCode::UNPROCESSABLE_ENTITY, "invalid-batch", "Invalid batch", detail);
        return Err(with_counts(error, &sorted, 0));
    }
    let ends = send(cluster, &sorted, key, partitions).await;
    answer(&mut sorted, ends)
}

/// Sends each group its part. The group that stands for the batch counts it.
async fn send(cluster: &Cluster, sorted: &Sorted<'_>, key: Option<String>, partitions: u32) -> Vec<PartEnd> {
    let digest = if key.is_some() { sorted.digest() } else { 0 };
    let standing = match &key {
        // Always the same one, so that it tells another batch under the same key before any part is stored.
        Some(key) => partition::group_of(key, partitions),
        None => sorted.groups().next().unwrap_or(1),
    };
    let mut ends = Vec::new();
    let mut groups: BTreeSet<GroupId> = sorted.groups().collect();
    if key.is_some() {
        let end = send_part(cluster, sorted, standing, key.clone(), digest, standing).await;
        groups.remove(&standing);
        let failed = end.1.is_err();
        ends.push(end);
        if failed {
            // Whether the batch may go on is not known: nothing more of it is sent.
            ends.extend(groups.into_iter().map(|group| (group, Err(ApiError::NotReady))));
            return ends;
        }
    }
    let parts = groups.into_iter().map(|group| {
        let key = key.clone();
        async move { send_part(cluster, sorted, group, key, digest, standing).await }
    });
    ends.extend(join_all(parts).await);
    ends
}

async fn send_part(
    cluster: &Cluster,
    sorted: &Sorted<'_>,
    group: GroupId,
    key: Option<String>,
    digest: u64,
    standing: GroupId,
) -> PartEnd {
    let mut counts = Counts::default();
    if group == standing {
        (counts.batches, counts.invalid) = (1, sorted.rejected);
    }
    let command = Command::Ingest(sorted.part(group, digest, counts));
    let end = match cluster.command(&APP, group, key, &command).await {
        Ok(Reply::Done { refused }) => Ok(refused),
        Ok(Reply::Invalid | Reply::Elsewhere { .. }) => Err(ApiError::Internal),
        Err(error) => Err(error),
    };
    (group, end)
}

fn is_unknown(error: &ApiError) -> bool {
    *error == ApiError::Write(WriteError::Unknown)
}

/// What all parts together come to.
fn answer(sorted: &mut Sorted<'_>, ends: Vec<PartEnd>) -> Result<Json<BatchAnswer>, ApiError> {
    let (mut accepted, mut unknown, mut missing) = (0, 0, 0);
    let mut first_error = None;
    for (group, end) in ends {
        let count = sorted.count_of(group);
        match end {
            Ok(refused) => {
                accepted += count - (refused.len() as u64).min(count);
                let refused = refused.into_iter().filter_map(|point| sorted.metric(group, point));
                for metric in refused.collect::<Vec<_>>() {
                    let most = super::command::MAX_SERIES;
                    let text = format!("its partition holds {most} series already, and takes no new ones");
                    sorted.reject(metric, text);
                }
            }
            Err(error) => {
                if is_unknown(&error) {
                    unknown += count;
                } else {
                    missing += count;
                }
                // The one that says that nobody knows says the most.
                if first_error.is_none() || is_unknown(&error) {
                    first_error = Some(error);
                }
            }
        }
    }
    let Some(error) = first_error else {
        sorted.errors.sort_by_key(|error| error.index);
        let errors = std::mem::take(&mut sorted.errors);
        return Ok(Json(BatchAnswer { success: true, accepted, rejected: sorted.rejected, errors }));
    };
    if accepted == 0 && !is_unknown(&error) {
        return Err(with_counts(error, sorted, 0));
    }
    let detail = format!(
        "{accepted} metrics are stored, of {unknown} nobody knows, {missing} are not stored ({error}); \
         send the same batch again with the same `Idempotency-Key`, if it had one: then nothing is counted twice"
    );
    let status = StatusCode::GATEWAY_TIMEOUT.as_u16();
    let problem = Problem::new(status, "outcome-unknown", "Outcome unknown", detail).with_unknown_outcome();
    let error = with_counts(ApiError::App(Box::new(problem)), sorted, accepted);
    Err(error.with("unknown", unknown).with("not_stored", missing))
}

fn with_counts(error: ApiError, sorted: &Sorted<'_>, accepted: u64) -> ApiError {
    if let ApiError::TooManyRequests { .. } = error {
        return error;
    }
    // Serialisation of plain data into memory has no way to fail.
    let errors = serde_json::to_value(&sorted.errors).unwrap_or_default();
    error.with("accepted", accepted).with("rejected", sorted.rejected).with("errors", errors)
}

/// The counts of all partitions together, and the highest log index that they have seen.
async fn gather(cluster: &Cluster, consistency: Consistency) -> Result<(Counts, u64), ApiError> {
    let asked = cluster
        .partitions()
        .into_iter()
        .map(|group| async move { cluster.query::<Counts>(&APP, group, &Query::Counts, consistency).await });
    let (mut all, mut applied) = (Counts::default(), 0);
    let answers = join_all(asked).await;
    if answers.is_empty() {
        return Err(ApiError::NotReady);
    }
    for answer in answers {
        let (counts, index) = answer?;
        all.add(&counts);
        applied = applied.max(index);
    }
    Ok((all, applied))
}

fn stats_of(counts: &Counts) -> Stats {
    Stats {
        metrics_received: counts.received,
        batches_processed: counts.batches,
        validation_errors: counts.invalid,
        rate_limited_requests: counts.limited,
    }
}

/// `GET /stats`.
///
/// # Errors
/// [`ApiError`] if a partition has no answer: a part of the counts would look like all of them.
pub async fn stats(State(cluster): State<Cluster>) -> Result<Response, ApiError> {
    Front::of(&cluster).flush(&cluster).await?;
    let (counts, applied) = gather(&cluster, Consistency::Linearizable).await?;
    Ok(([(APPLIED_INDEX, applied.to_string())], Json(stats_of(&counts))).into_response())
}

/// Adds the counts to a scrape; left out while a partition has no answer.
pub async fn measure(cluster: &Cluster, registry: &mut Registry) {
    queue::measure(cluster, registry);
    let Ok((counts, _)) = gather(cluster, Consistency::Stale).await else { return };
    let stats = stats_of(&counts);
    let all = [
        ("metricstream_metrics_received", "Metrics accepted by the cluster", stats.metrics_received),
        ("metricstream_batches_processed", "Batches accepted by the cluster", stats.batches_processed),
        ("metricstream_validation_errors", "Metrics and bodies rejected", stats.validation_errors),
        ("metricstream_rate_limited_requests", "Requests answered with 429", stats.rate_limited_requests),
    ];
    for (name, help, value) in all {
        registry.register(name, help, ConstCounter::new(value));
    }
}
