//! `POST /sql`: one question to DuckDB, on nodes that run it.
//!
//! It sees every row that was acknowledged before it was asked, or says that it may not (`is_partial`).

use crate::cluster::Cluster;
use crate::http::error::ApiError;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

#[cfg(feature = "duckdb")]
mod with;

/// The answer, or how to get a node that answers.
///
/// # Errors
/// [`ApiError`].
pub async fn answer(State(cluster): State<Cluster>, request: Request) -> Result<Response, ApiError> {
    #[cfg(feature = "duckdb")]
    if let Some(store) = super::store::of(&cluster) {
        return with::answer(&cluster, &store, request).await;
    }
    #[cfg(not(feature = "duckdb"))]
    let _ = (cluster, request);
    let detail = if cfg!(feature = "duckdb") {
        "this node does not run DuckDB; start it with `--engine duckdb`".to_owned()
    } else {
        format!("this node was built without DuckDB; {}", super::settings::HOW_TO_BUILD)
    };
    Err(ApiError::app(StatusCode::NOT_IMPLEMENTED, "no-duckdb", "No DuckDB here", detail))
}
