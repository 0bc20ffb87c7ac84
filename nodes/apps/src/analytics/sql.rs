//! `POST /sql`, for nodes that were built with DuckDB.

use crate::app::Service;
use crate::http::error::ApiError;
use http::StatusCode;

/// Feeds DuckDB.
pub const SERVICE: Option<Service> = None;

/// Says how to get a node that answers.
pub async fn answer() -> ApiError {
    let detail = "this node was built without DuckDB; build it with `--features duckdb` (and DUCKDB_LIB_DIR) \
                  or `--features duckdb-bundled`";
    ApiError::app(StatusCode::NOT_IMPLEMENTED, "no-duckdb", "Built without DuckDB", detail)
}
