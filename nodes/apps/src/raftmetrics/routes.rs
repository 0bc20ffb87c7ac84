//! RaftMetrics over HTTP.

use super::command::{Command, MAX_NAME_BYTES, MAX_SERIES, Reply};
use super::query::{MAX_PAGE, Page, Query, Summary, decode};
use crate::cluster::Cluster;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::idempotency::key_of;
use crate::http::timestamp::rfc3339;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use client::APPLIED_INDEX;
use client::raftmetrics::{Aggregate, Record, Recorded, Values};
use http::HeaderMap;
use replica::Envelope;
use replica::frame::Consistency;
use serde::Deserialize;

/// The routes.
pub fn routes() -> Router<Cluster> {
    Router::new().route("/metrics/{name}", get(values)).route("/metrics/{name}/aggregate", get(aggregate))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = format!("allowed are 1 to {MAX_NAME_BYTES} bytes of UTF-8 without control characters");
    if name.is_empty() {
        return Err(ApiError::invalid("invalid-name", format!("`metric_name` is empty; {allowed}")));
    }
    if name.len() > MAX_NAME_BYTES {
        let text = format!("`metric_name` has {} bytes; {allowed}", name.len());
        return Err(ApiError::invalid("invalid-name", text));
    }
    if let Some(found) = name.chars().find(|c| c.is_control()) {
        let text = format!("`metric_name` holds the control character {found:?}; {allowed}");
        return Err(ApiError::invalid("invalid-name", text));
    }
    Ok(())
}

/// `POST /metrics` with one metric.
///
/// # Errors
/// [`ApiError`].
pub async fn record(cluster: &Cluster, headers: &HeaderMap, body: &[u8]) -> Result<Json<Recorded>, ApiError> {
    let Record { metric_name, value } = body::parse(headers, body)?;
    check_name(&metric_name)?;
    if !value.is_finite() {
        return Err(ApiError::invalid("invalid-value", "`value` must be a finite number"));
    }
    let group = cluster.group_of(&metric_name)?;
    // -0 and 0 are one number to users, and one pattern of bits to replicas.
    let value = if value == 0.0 { 0.0 } else { value };
    let payload = Command::Record { name: metric_name, value }.encode();
    let written = cluster.write(group, Envelope { key: key_of(headers)?, payload }).await?;
    match Reply::decode(&written.answer) {
        Reply::Recorded(_) => {
            let message = format!("Metric recorded on worker {}", cluster.home_worker(group));
            Ok(Json(Recorded { success: true, message }))
        }
        Reply::TooManySeries => Err(ApiError::TooManySeries(MAX_SERIES)),
        Reply::Invalid => Err(ApiError::Internal),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadOptions {
    #[serde(default)]
    consistency: ConsistencyOption,
    after: Option<u64>,
    limit: Option<u64>,
    #[serde(default)]
    raw: bool,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ConsistencyOption {
    #[default]
    Linearizable,
    Stale,
}

impl ReadOptions {
    fn consistency(&self) -> Consistency {
        match self.consistency {
            ConsistencyOption::Linearizable => Consistency::Linearizable,
            ConsistencyOption::Stale => Consistency::Stale,
        }
    }
}

type Options = Result<UrlQuery<ReadOptions>, axum::extract::rejection::QueryRejection>;
type Name = Result<Path<String>, axum::extract::rejection::PathRejection>;

fn options(options: Options) -> Result<ReadOptions, ApiError> {
    let UrlQuery(options) = options.map_err(|error| {
        let allowed = "allowed are consistency=linearizable|stale, after=N, limit=N, raw=true|false";
        ApiError::invalid("invalid-query", format!("{}; {allowed}", error.body_text()))
    })?;
    if options.limit.is_some_and(|limit| !(1..=MAX_PAGE).contains(&limit)) {
        return Err(ApiError::invalid("invalid-query", format!("`limit` must lie in 1..={MAX_PAGE}")));
    }
    Ok(options)
}

fn name(name: Name) -> Result<String, ApiError> {
    let Path(name) = name.map_err(|error| ApiError::invalid("invalid-name", error.body_text()))?;
    check_name(&name)?;
    Ok(name)
}

/// `GET /metrics/{name}`.
async fn values(State(cluster): State<Cluster>, path: Name, query: Options) -> Result<Response, ApiError> {
    let (metric_name, options) = (name(path)?, options(query)?);
    let group = cluster.group_of(&metric_name)?;
    let (after, limit) = (options.after.unwrap_or(0), options.limit.unwrap_or(MAX_PAGE));
    let query = Query::Values { name: metric_name.clone(), after, limit };
    let answer = cluster.read(group, query.encode(), options.consistency()).await?;
    let page: Option<Page> = decode(&answer.answer).ok_or(ApiError::Internal)?;
    let page = page.ok_or_else(|| ApiError::UnknownMetric(metric_name.clone()))?;
    let end = after + page.values.len() as u64;
    let values = Values {
        metric_name,
        next_after: (!page.values.is_empty() && end < page.count).then_some(end),
        values: page.values,
        timestamp: rfc3339(page.last_ms),
    };
    Ok(([(APPLIED_INDEX, answer.applied.to_string())], Json(values)).into_response())
}

/// `GET /metrics/{name}/aggregate`.
async fn aggregate(State(cluster): State<Cluster>, path: Name, query: Options) -> Result<Response, ApiError> {
    let (metric_name, options) = (name(path)?, options(query)?);
    let group = cluster.group_of(&metric_name)?;
    let query = Query::Aggregate { name: metric_name.clone() };
    let answer = cluster.read(group, query.encode(), options.consistency()).await?;
    let summary: Option<Summary> = decode(&answer.answer).ok_or(ApiError::Internal)?;
    let summary = summary.ok_or_else(|| ApiError::UnknownMetric(metric_name.clone()))?;
    let mean = summary.sum / summary.count as f64;
    let mean = if options.raw { mean } else { round_to_cents(mean) };
    let [p50, p95, p99] = summary.quantiles;
    let aggregate = Aggregate {
        metric_name,
        count: summary.count,
        sum: Some(summary.sum).filter(|sum| sum.is_finite()),
        mean: Some(mean).filter(|mean| mean.is_finite()),
        min: summary.min,
        max: summary.max,
        p50,
        p95,
        p99,
        timestamp: rfc3339(summary.last_ms),
    };
    Ok(([(APPLIED_INDEX, answer.applied.to_string())], Json(aggregate)).into_response())
}

/// Two places, as RaftMetrics shows its mean; numbers too large to have places stay as they are.
fn round_to_cents(mean: f64) -> f64 {
    let scaled = mean * 100.0;
    if scaled.is_finite() { scaled.round() / 100.0 } else { mean }
}
