//! The client.
//!
//! It never sends a write twice on its own unless the write carries an idempotency key. What became of a
//! write is one of three: done, refused ([`CallError::Rejected`]), or unknown.

use crate::problem::Problem;
use crate::raftmetrics::{Aggregate, Record, Recorded, Values};
use crate::{APPLIED_INDEX, IDEMPOTENCY_KEY};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use rt::http::RequestError;
use rt::time::{self, Instant};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// API addresses (`host:port`), used in turn.
    pub endpoints: Vec<String>,
    /// Bearer token.
    pub token: String,
    /// Longest wait for an answer, retries included.
    pub deadline: Duration,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Refused: certainly without effect.
    #[error("refused with status {status}: {}", problem.detail)]
    Rejected {
        /// HTTP status, 0 if no node was reached.
        status: u16,
        /// What was wrong.
        problem: Box<Problem>,
    },
    /// No answer: a write may have taken effect, or may yet.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// A read's answer and the log index that it has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<T> {
    /// The answer; `None` if there is no such metric or object.
    pub answer: Option<T>,
    /// Index in the log of the metric's partition.
    pub applied_index: Option<u64>,
}

/// What a 404 says of an object that is not there, as against a path that is wrong.
const ABSENT: [&str; 2] = ["unknown-metric", "unknown-object"];

/// A client of the cluster's API. Clones share connections.
#[derive(Clone)]
pub struct Client {
    http: rt::http::Client,
    options: Arc<ClientOptions>,
    next: Arc<AtomicUsize>,
}

impl Client {
    /// A client without connections yet.
    pub fn new(options: ClientOptions) -> Self {
        let http = rt::http::Client::new(rt::http::ClientOptions::default());
        Client { http, options: Arc::new(options), next: Arc::default() }
    }

    /// Records a value. With `key` it tries other endpoints until the deadline; without, it tries once.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn record(&self, name: &str, value: f64, key: Option<&str>) -> Result<Recorded, CallError> {
        let body = Record { metric_name: name.into(), value };
        // A number that JSON cannot hold becomes `null`, which the server refuses with a clear text.
        let body = Bytes::from(serde_json::to_vec(&body).unwrap_or_default());
        self.write(Method::POST, "/metrics", body, key).await
    }

    /// Writes. With `key` it tries other endpoints until the deadline; without, it tries once.
    pub(crate) async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
    ) -> Result<T, CallError> {
        let deadline = Instant::now() + self.options.deadline;
        let mut maybe_done = false;
        loop {
            let result = self.call(method.clone(), path, body.clone(), key, deadline).await;
            let error = match result {
                Ok((_, body)) => return parse(&body),
                Err(error) => error,
            };
            maybe_done |= matches!(error, CallError::Unknown(_));
            // 429 says nothing about an earlier try, and passes.
            let final_refusal = matches!(&error, CallError::Rejected { status, .. }
                if (400..500).contains(status) && *status != 429);
            if key.is_none() || final_refusal || Instant::now() >= deadline {
                // An earlier try may have been done, whatever the last one says.
                let doubtful = maybe_done && !final_refusal;
                return Err(if doubtful { CallError::Unknown(error.to_string()) } else { error });
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All values of a metric, page by page.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn values(&self, name: &str, stale: bool) -> Result<Read<Values>, CallError> {
        let mut all: Option<Values> = None;
        let mut after = 0;
        loop {
            let query = format!("after={after}&consistency={}", consistency(stale));
            let page: Read<Values> = self.read(&format!("/metrics/{}?{query}", encode(name))).await?;
            let Some(answer) = page.answer else { return Ok(Read { answer: all, ..page }) };
            let next = answer.next_after;
            match &mut all {
                None => all = Some(answer),
                Some(all) => all.values.extend(answer.values),
            }
            match next {
                Some(next) => after = next,
                None => return Ok(Read { answer: all, applied_index: page.applied_index }),
            }
        }
    }

    /// Count, exact sum and more of a metric.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn aggregate(&self, name: &str, stale: bool) -> Result<Read<Aggregate>, CallError> {
        let query = format!("raw=true&consistency={}", consistency(stale));
        self.read(&format!("/metrics/{}/aggregate?{query}", encode(name))).await
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<Read<T>, CallError> {
        let deadline = Instant::now() + self.options.deadline;
        match self.call(Method::GET, path, Bytes::new(), None, deadline).await {
            Ok((applied_index, body)) => Ok(Read { answer: Some(parse(&body)?), applied_index }),
            Err(CallError::Rejected { status: 404, problem }) if ABSENT.contains(&problem.code.as_str()) => {
                Ok(Read { answer: None, applied_index: None })
            }
            Err(error) => Err(error),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
        deadline: Instant,
    ) -> Result<(Option<u64>, Bytes), CallError> {
        let endpoints = &self.options.endpoints;
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let host = endpoints.get(turn % endpoints.len().max(1)).ok_or_else(|| unsent("no endpoints"))?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::AUTHORIZATION, format!("Bearer {}", self.options.token));
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        let request = request.body(body).map_err(|error| unsent(&error.to_string()))?;
        let patience = deadline.saturating_duration_since(Instant::now());
        match self.http.send(host, request, patience).await {
            Ok(response) => sort(response),
            Err(error) => Err(unanswered(&error)),
        }
    }
}

fn unsent(reason: &str) -> CallError {
    let problem = Problem::new(0, "unreachable", "No node reached", reason);
    CallError::Rejected { status: 0, problem: Box::new(problem) }
}

fn unanswered(error: &RequestError) -> CallError {
    if error.may_have_arrived() { CallError::Unknown(error.to_string()) } else { unsent(&error.to_string()) }
}

fn sort(response: http::Response<Bytes>) -> Result<(Option<u64>, Bytes), CallError> {
    let status = response.status();
    if status.is_success() {
        let index = response.headers().get(APPLIED_INDEX);
        let index = index.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        return Ok((index, response.into_body()));
    }
    let problem: Option<Problem> = serde_json::from_slice(response.body()).ok();
    let Some(problem) = problem else {
        let text = format!("status {status} without a problem body");
        // Without our own word for it, a failing server may have done anything.
        return Err(if status.is_server_error() {
            CallError::Unknown(text)
        } else {
            rejected(status, &text)
        });
    };
    if problem.is_outcome_unknown() {
        return Err(CallError::Unknown(problem.detail));
    }
    Err(CallError::Rejected { status: status.as_u16(), problem: Box::new(problem) })
}

fn rejected(status: StatusCode, detail: &str) -> CallError {
    let problem = Problem::new(status.as_u16(), "unexplained", "Refused", detail);
    CallError::Rejected { status: status.as_u16(), problem: Box::new(problem) }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|error| CallError::Unknown(format!("answer is not ours: {error}")))
}

fn consistency(stale: bool) -> &'static str {
    if stale { "stale" } else { "linearizable" }
}

/// Percent-encodes a path segment.
pub(crate) fn encode(segment: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode = |byte: u8| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    segment.bytes().map(encode).collect()
}
