//! Every error a request can meet, and the one place where errors become HTTP.

use super::rate_limit::RateLimit;
use crate::meta::Refused;
use axum::response::{IntoResponse, Response};
use client::problem::{MEDIA_TYPE, Problem};
use http::{HeaderValue, StatusCode, header};
use replica::{ReadError, WriteError};
use std::time::Duration;

/// Why a request is not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The request breaks a rule; the text says which, where, and what is allowed.
    #[error("{detail}")]
    Invalid {
        /// Kind for programs.
        code: &'static str,
        /// What was wrong.
        detail: String,
    },
    /// The body is larger than allowed.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The body did not come in time.
    #[error("the body did not come within {patience:?}")]
    SlowBody {
        /// The limit.
        patience: Duration,
    },
    /// The body is of a type that is not understood here.
    #[error("content type {found:?} is not understood here; send application/json")]
    ContentType {
        /// The type.
        found: String,
    },
    /// No or a wrong token.
    #[error("send the header `Authorization: Bearer <token>` with this cluster's token")]
    Unauthorized,
    /// The client is over its rate, or there is no room to count for one more client.
    #[error("one client may send {rate} here; try again in {} ms", retry_after.as_millis() + 1)]
    TooManyRequests {
        /// The limit.
        rate: RateLimit,
        /// How long it has to wait at least.
        retry_after: Duration,
    },
    /// No such metric.
    #[error("there is no metric named {0:?}")]
    UnknownMetric(String),
    /// No such path.
    #[error("there is nothing at {0:?}")]
    UnknownPath(String),
    /// The path exists, with other methods.
    #[error("{path:?} does not answer {method}")]
    Method {
        /// The path.
        path: String,
        /// The method.
        method: String,
    },
    /// A partition holds as many series as it may.
    #[error("the metric's partition holds {0} series already, and takes no new names")]
    TooManySeries(usize),
    /// The placement is not known yet.
    #[error("this node does not know the cluster's placement yet; try again in a moment")]
    NotReady,
    /// The node cannot work, and knows why.
    #[error("this node cannot take part: {0}")]
    Trouble(String),
    /// A change of the cluster's members was refused.
    #[error(transparent)]
    Members(#[from] Refused),
    /// The write was not done, or perhaps not.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The read was not done.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An app's own refusal.
    #[error("{}", .0.detail)]
    App(Box<Problem>),
    /// The node failed.
    #[error("the node could not read its own data")]
    Internal,
}

impl ApiError {
    /// A broken rule.
    pub fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        ApiError::Invalid { code, detail: detail.into() }
    }

    /// An app's own refusal: `status`, a `code` for programs, a `title` and a `detail` for people.
    pub fn app(status: StatusCode, code: &str, title: &str, detail: impl Into<String>) -> Self {
        ApiError::App(Box::new(Problem::new(status.as_u16(), code, title, detail)))
    }

    /// The same error with a field of the app's own beside the standard ones.
    #[must_use]
    pub fn with(self, field: &str, value: impl Into<serde_json::Value>) -> Self {
        let mut problem = self.to_problem();
        problem.extra.insert(field.into(), value.into());
        ApiError::App(Box::new(problem))
    }

    fn kind(&self) -> (StatusCode, &str, &str) {
        use StatusCode as S;
        match self {
            ApiError::Invalid { code, .. } => (S::BAD_REQUEST, code, "Invalid request"),
            ApiError::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large"),
            ApiError::SlowBody { .. } => (S::REQUEST_TIMEOUT, "body-slow", "Body too slow"),
            ApiError::ContentType { .. } => {
                (S::UNSUPPORTED_MEDIA_TYPE, "content-type", "Content type not understood")
            }
            ApiError::Unauthorized => (S::UNAUTHORIZED, "unauthorized", "Token missing or wrong"),
            ApiError::TooManyRequests { .. } => (S::TOO_MANY_REQUESTS, "rate-limit", "Too many requests"),
            ApiError::UnknownMetric(_) => (S::NOT_FOUND, "unknown-metric", "No such metric"),
            ApiError::UnknownPath(_) => (S::NOT_FOUND, "unknown-path", "No such path"),
            ApiError::Method { .. } => (S::METHOD_NOT_ALLOWED, "method", "Method not allowed"),
            ApiError::TooManySeries(_) => (S::UNPROCESSABLE_ENTITY, "too-many-series", "Too many series"),
            ApiError::NotReady => (S::SERVICE_UNAVAILABLE, "not-ready", "Not ready"),
            ApiError::Trouble(_) => (S::SERVICE_UNAVAILABLE, "trouble", "Node cannot take part"),
            ApiError::Members(error) => members_kind(*error),
            ApiError::Write(error) => write_kind(*error),
            ApiError::Read(error) => read_kind(*error),
            ApiError::App(problem) => {
                let status = S::from_u16(problem.status).unwrap_or(S::INTERNAL_SERVER_ERROR);
                (status, &problem.code, &problem.title)
            }
            ApiError::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Node failed"),
        }
    }

    /// The error as it is sent.
    pub fn to_problem(&self) -> Problem {
        if let ApiError::App(problem) = self {
            return (**problem).clone();
        }
        let (status, code, title) = self.kind();
        let problem = Problem::new(status.as_u16(), code, title, self.to_string());
        if *self == ApiError::Write(WriteError::Unknown) { problem.with_unknown_outcome() } else { problem }
    }
}

fn members_kind(error: Refused) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match error {
        Refused::TooEarly => (S::SERVICE_UNAVAILABLE, "too-early", "Members cannot change yet"),
        Refused::NoMember => (S::NOT_FOUND, "no-member", "No such member"),
        Refused::LastWorker => (S::CONFLICT, "last-worker", "Last worker"),
        Refused::LastNode => (S::CONFLICT, "last-node", "Last node"),
        Refused::OtherRole => (S::CONFLICT, "other-role", "Other role"),
        Refused::BadRegion => (S::UNPROCESSABLE_ENTITY, "bad-region", "No name for a region"),
    }
}

fn write_kind(error: WriteError) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match error {
        WriteError::Busy => (S::SERVICE_UNAVAILABLE, "busy", "Overloaded"),
        WriteError::Unavailable => (S::SERVICE_UNAVAILABLE, "no-leader", "No leader reached"),
        WriteError::Unknown => (S::GATEWAY_TIMEOUT, "outcome-unknown", "Outcome unknown"),
        WriteError::KeyReused => (S::UNPROCESSABLE_ENTITY, "key-reused", "Idempotency key reused"),
        WriteError::NoGroup => (S::SERVICE_UNAVAILABLE, "no-partition", "No such partition"),
    }
}

fn read_kind(error: ReadError) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match error {
        ReadError::Unavailable => (S::SERVICE_UNAVAILABLE, "no-leader", "No leader reached"),
        ReadError::Busy => (S::SERVICE_UNAVAILABLE, "busy", "Overloaded"),
        ReadError::NoGroup => (S::SERVICE_UNAVAILABLE, "no-partition", "No such partition"),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = self.to_problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Serialisation of plain data into memory has no way to fail.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        let headers = response.headers_mut();
        if let ApiError::TooManyRequests { retry_after, .. } = self {
            // Whole seconds, rounded up: who comes back then is let in.
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(self, ApiError::TooLarge { .. } | ApiError::SlowBody { .. }) {
            // What is left of the body stays unread, so no other request can follow it: say so.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
