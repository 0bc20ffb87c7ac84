//! The same services over HTTP: `POST /distri/{service}` and `POST /distri/{service}/{collection}`, since
//! `<` cannot stand in a path. The answer's body is the service's bytes.

use super::functions::Functions;
use super::services;
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use crate::http::{body, idempotency};
use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use client::distri::{LOAD_HEADER, hex};
use http::{HeaderName, HeaderValue, header};
use serde::Deserialize;

/// Largest image.
const MAX_BODY_BYTES: usize = 8 << 20;
/// The services that take images, as users' own do; all others keep the listener's limit.
const LARGE: [&str; 2] = ["Encrypt", "Decrypt"];

/// The routes.
pub fn routes() -> Router<Cluster> {
    Router::new()
        .route("/distri/{service}", post(plain))
        .route("/distri/{service}/{collection}", post(inside))
}

async fn plain(
    State(cluster): State<Cluster>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Path(service) = path.map_err(|error| ApiError::invalid("invalid-path", error.body_text()))?;
    call(&cluster, service, request).await
}

async fn inside(
    State(cluster): State<Cluster>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Path((service, collection)) =
        path.map_err(|error| ApiError::invalid("invalid-path", error.body_text()))?;
    call(&cluster, format!("{service}<{collection}>"), request).await
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    params: String,
}

/// `?params=` in hexadecimal.
async fn params_of(request: Request) -> Result<(Vec<u8>, Request), ApiError> {
    let (mut head, body) = request.into_parts();
    let invalid = |text: String| ApiError::invalid("invalid-query", text);
    let options: Result<Query<Options>, QueryRejection> = Query::from_request_parts(&mut head, &()).await;
    let Query(Options { params }) = options.map_err(|error| invalid(error.body_text()))?;
    let params = hex::decode(&params).ok_or_else(|| invalid("`params` is not hexadecimal".into()))?;
    Ok((params, Request::from_parts(head, body)))
}

async fn call(cluster: &Cluster, service: String, request: Request) -> Result<Response, ApiError> {
    let key = idempotency::key_of(request.headers())?.unwrap_or_default();
    let (params, request) = params_of(request).await?;
    let options = cluster.options();
    let functions = cluster.own::<Functions>();
    let large = LARGE.contains(&service.as_str()) || functions.get(&service).is_some();
    let limit = if large { MAX_BODY_BYTES } else { options.max_body_bytes };
    let data = body::read(request, limit, options.deadline).await?;
    let request = client::distri::Request { service, key, params, data };
    // Over HTTP nobody proves to be a node.
    let answer = services::call(cluster, request, false).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (HeaderName::from_static(LOAD_HEADER), HeaderValue::from(functions.load())),
    ];
    Ok((headers, answer).into_response())
}
