//! Distributed Analytics over HTTP.

use super::APP;
use super::command::{Command, MAX_KEY_BYTES, Reply};
use super::gather::gather;
use super::wire::{Form, base64url};
use crate::cluster::Cluster;
use crate::column_store::sql;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::idempotency::key_of;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use client::analytics::{AnalyticsQuery, Insert, Inserted};
use engine::Filter;
use http::{HeaderMap, StatusCode};

/// What an insert that is stored is answered.
pub const MESSAGE: &str = "Data inserted successfully";

/// The routes.
pub fn routes() -> Router<Cluster> {
    Router::new()
        .route("/insert", post(insert))
        .route("/analytics", get(analytics))
        .route("/sql", post(sql::answer))
}

/// Reads a body within the cluster's limits.
async fn read(cluster: &Cluster, request: Request) -> Result<(HeaderMap, Option<String>, Vec<u8>), ApiError> {
    let (headers, query) = (request.headers().clone(), request.uri().query().map(str::to_owned));
    let options = cluster.options();
    let bytes = body::read(request, options.max_body_bytes, options.deadline).await?;
    Ok((headers, query, bytes))
}

async fn insert(State(cluster): State<Cluster>, request: Request) -> Response {
    let wanted = Form::accepted(request.headers());
    match (try_insert(&cluster, request, &wanted).await, wanted) {
        (Ok(answer), _) => answer,
        // Who asks for binary answers by name gets them for errors too.
        (Err(error), Ok(Some(form @ (Form::Bincode | Form::Protobuf)))) => {
            let mut response = error.clone().into_response();
            let message = Inserted { success: false, message: error.to_problem().detail };
            let (parts, body) = form.answer(response.status(), &message).into_parts();
            response.headers_mut().extend(parts.headers);
            *response.body_mut() = body;
            response
        }
        (Err(error), _) => {
            let detail = error.to_problem().detail;
            with_message(error, detail)
        }
    }
}

fn with_message(error: ApiError, message: String) -> Response {
    let mut response = error.clone().into_response();
    let (parts, body) = error.with("message", message).into_response().into_parts();
    response.headers_mut().extend(parts.headers);
    *response.body_mut() = body;
    response
}

async fn try_insert(
    cluster: &Cluster,
    request: Request,
    wanted: &Result<Option<Form>, ApiError>,
) -> Result<Response, ApiError> {
    let wanted = wanted.clone()?;
    let (headers, _, bytes) = read(cluster, request).await?;
    let form = Form::of_body(&headers)?;
    let Insert { partition_key, value } = form.decode(&bytes)?;
    check(&partition_key, value)?;
    let key = key_of(&headers)?;
    let group = cluster.group_of(&partition_key)?;
    // -0 and 0 are one number to users, and one pattern of bits to replicas.
    let value = if value == 0.0 { 0.0 } else { value };
    let command = Command::Insert { key: partition_key, value };
    match cluster.command(&APP, group, key, &command).await? {
        Reply::Inserted(_) => {
            let message = Inserted { success: true, message: MESSAGE.into() };
            Ok(wanted.unwrap_or(form).answer(StatusCode::OK, &message))
        }
        Reply::TooManyKeys => {
            let most = engine::columnar::MAX_KEYS;
            let detail = format!("the key's partition holds {most} keys already, and takes no new ones");
            Err(ApiError::app(StatusCode::UNPROCESSABLE_ENTITY, "too-many-keys", "Too many keys", detail))
        }
        Reply::Invalid => Err(ApiError::Internal),
    }
}

fn check(key: &str, value: f64) -> Result<(), ApiError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        let detail = format!("`partition_key` has {} bytes; allowed are 1 to {MAX_KEY_BYTES}", key.len());
        return Err(ApiError::invalid("invalid-key-length", detail));
    }
    if !value.is_finite() {
        return Err(ApiError::invalid("invalid-value", "`value` must be a finite number"));
    }
    Ok(())
}

async fn analytics(State(cluster): State<Cluster>, request: Request) -> Result<Response, ApiError> {
    let wanted = Form::accepted(request.headers())?;
    let (headers, query, bytes) = read(&cluster, request).await?;
    let form = Form::of_body(&headers)?;
    let asked = question(query.as_deref(), form, &bytes)?;
    if let (Some(from), Some(to)) = (asked.from_ms, asked.to_ms)
        && from > to
    {
        let detail = format!("`from_ms` is {from}, which is after `to_ms`, {to}");
        return Err(ApiError::invalid("invalid-range", detail));
    }
    let AnalyticsQuery { key_prefix, from_ms, to_ms } = asked;
    let filter = Filter { prefix: key_prefix.unwrap_or_default(), from_ms, to_ms };
    Ok(wanted.unwrap_or(form).answer(StatusCode::OK, &gather(&cluster, &filter).await?))
}

/// The query in the body or in `?q=`, in the form of the content type; all rows without either.
fn question(query: Option<&str>, form: Form, body: &[u8]) -> Result<AnalyticsQuery, ApiError> {
    let mut found = None;
    for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let Some(text) = part.strip_prefix("q=") else {
            let detail = format!("{part:?}: there is one parameter here, `q`");
            return Err(ApiError::invalid("invalid-query", detail));
        };
        let text = text.replace("%3D", "=").replace("%3d", "=");
        let bytes = base64url(&text);
        let bytes = bytes.ok_or_else(|| ApiError::invalid("invalid-query", "`q` is not base64url"))?;
        if found.replace(bytes).is_some() {
            return Err(ApiError::invalid("invalid-query", "`q` is given more than once"));
        }
    }
    match (found, body.is_empty()) {
        (Some(_), false) => Err(ApiError::invalid("invalid-query", "a query is in `q` or in the body")),
        (Some(bytes), true) => form.decode(&bytes),
        (None, false) => form.decode(body),
        (None, true) => Ok(AnalyticsQuery::default()),
    }
}
