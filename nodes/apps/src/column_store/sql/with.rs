//! The answer of a node that runs DuckDB.

use crate::cluster::Cluster;
use crate::column_store::settings::Settings;
use crate::column_store::store::Store;
use crate::http::body;
use crate::http::error::ApiError;
use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use engine::EngineError;
use engine::sql::{Cell, Column, Cut, Limits, Table};
use http::{HeaderMap, StatusCode, header};
use rt::time::{self, Elapsed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// Longest query in bytes.
const MAX_QUERY_BYTES: usize = 16 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    query: String,
}

#[derive(Serialize)]
struct Answer {
    columns: Vec<Value>,
    rows: Vec<Vec<Value>>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated_by: Option<&'static str>,
    is_partial: bool,
}

fn cell(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(value) => value.into(),
        Cell::Int(number) => number.into(),
        Cell::UInt(number) => number.into(),
        Cell::Double(number) => number.into(),
        Cell::Text(text) => text.into(),
    }
}

fn to_json(table: Table, is_partial: bool) -> Answer {
    let column = |Column { name, kind }| serde_json::json!({ "name": name, "type": kind });
    Answer {
        columns: table.columns.into_iter().map(column).collect(),
        rows: table.rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect(),
        truncated: table.cut.is_some(),
        truncated_by: table.cut.map(|cut| match cut {
            Cut::Rows => "rows",
            Cut::Bytes => "bytes",
        }),
        is_partial,
    }
}

/// The query: the body as it is, or a field of a JSON object.
fn question(headers: &HeaderMap, bytes: &[u8]) -> Result<String, ApiError> {
    let value = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("unreadable"));
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let query = match essence.as_str() {
        "application/json" => body::parse::<Question>(&HeaderMap::new(), bytes)?.query,
        "" | "text/plain" | "application/sql" | "application/x-www-form-urlencoded" => {
            let text = std::str::from_utf8(bytes);
            text.map_err(|_| ApiError::invalid("invalid-query", "the query is not UTF-8"))?.to_owned()
        }
        _ => {
            let detail = format!("content type {essence:?} is not understood here; send text/plain or JSON");
            let title = "Content type not understood";
            return Err(ApiError::app(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", title, detail));
        }
    };
    if query.len() > MAX_QUERY_BYTES {
        let detail = format!("the query has {} bytes; allowed are {MAX_QUERY_BYTES}", query.len());
        return Err(ApiError::invalid("invalid-query", detail));
    }
    Ok(query)
}

fn problem(error: EngineError) -> ApiError {
    use StatusCode as S;
    let (status, code, title) = match &error {
        EngineError::Refused(_) => (S::BAD_REQUEST, "sql-refused", "Query wrong or not allowed"),
        EngineError::Limit(_) => (S::UNPROCESSABLE_ENTITY, "sql-timeout", "Query takes too long"),
        EngineError::Memory(_) => (S::UNPROCESSABLE_ENTITY, "sql-memory", "Query takes too much memory"),
        EngineError::Store(_) | EngineError::Gap { .. } => {
            (S::SERVICE_UNAVAILABLE, "engine", "DuckDB is not there")
        }
    };
    ApiError::app(status, code, title, error.to_string())
}

/// Brings DuckDB up to date, and asks it.
pub async fn answer(cluster: &Cluster, store: &Store, request: Request) -> Result<Response, ApiError> {
    let (headers, options) = (request.headers().clone(), cluster.options());
    let bytes = body::read(request, options.max_body_bytes, options.deadline).await?;
    let text = question(&headers, &bytes)?;
    let settings = Settings::of(cluster);
    // One after the other: a long query holds up the others, and for no longer than it may take itself.
    let patience = Duration::from_millis(settings.sql_timeout_ms) + settings.deadline();
    let turn = match time::timeout(patience, store.turn.lock()).await {
        Ok(turn) => turn,
        Err(Elapsed) => {
            let detail = "other queries are under way; try again in a moment";
            return Err(ApiError::app(StatusCode::SERVICE_UNAVAILABLE, "busy", "Overloaded", detail));
        }
    };
    let is_partial = !store.catch_up_all(cluster, settings.deadline()).await;
    let limits = Limits { rows: settings.sql_rows, timeout_ms: settings.sql_timeout_ms };
    let table = store.call(move |remote| remote.ask(&text, limits)).await.map_err(problem)?;
    drop(turn);
    Ok(Json(to_json(table, is_partial)).into_response())
}
