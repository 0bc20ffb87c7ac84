//! All routes of a listener in one router.

use super::error::ApiError;
use super::rate_limit::{self, Gate};
use super::{auth, discovery, exposition, health, metrics, metrics_path, openapi};
use crate::cluster::Cluster;
use crate::{APPS, meta, metricstream};
use axum::Router;
use axum::extract::Request;
use axum::middleware;
use axum::routing::get;

/// The router of a listener.
pub fn router(cluster: Cluster) -> Router {
    let routes = APPS.iter().fold(Router::new(), |routes, app| routes.merge((app.routes)()));
    let routes = routes
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/health", get(health::health))
        .route("/replicas", get(health::replicas))
        .route("/discovery", get(discovery::discovery))
        .route("/metrics", get(metrics_path::get).post(metrics_path::post))
        .route("/stats", get(metricstream::routes::stats))
        .route("/openapi.json", get(openapi::openapi))
        .route("/prometheus", get(exposition::prometheus))
        .merge(meta::routes::routes())
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(unknown_path)
        .layer(middleware::from_fn_with_state(cluster.clone(), auth::check));
    // Before the token is looked at and a byte of the body is read.
    let limits = cluster.clone();
    let gate = Gate::new(move || limits.options().rate_limit);
    let limited = routes.layer(middleware::from_fn_with_state(gate, rate_limit::check));
    limited.layer(middleware::from_fn_with_state(cluster.clone(), metrics::measure)).with_state(cluster)
}

async fn unknown_path(request: Request) -> ApiError {
    ApiError::UnknownPath(request.uri().path().to_owned())
}

async fn method_not_allowed(request: Request) -> ApiError {
    ApiError::Method { path: request.uri().path().to_owned(), method: request.method().to_string() }
}
