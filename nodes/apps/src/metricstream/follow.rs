//! A partition's points as they come, for whoever copies them: the page after a number, and a point as JSON.

use super::APP;
use super::command::Definition;
use super::query::{MAX_POINTS, Points, Query, Select, Value};
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use replica::GroupId;
use replica::frame::Consistency;
use std::fmt::Write as _;

/// The next points of a partition from number `from` on. A replica that lags behind only makes this wait.
///
/// # Errors
/// [`ApiError`] if nobody answers.
pub(super) async fn page(cluster: &Cluster, group: GroupId, from: u64) -> Result<Points, ApiError> {
    let select = Select { to_ms: u64::MAX, ..Select::default() };
    let query = Query::Points { select, from, limit: MAX_POINTS };
    let (page, _) = cluster.query::<Points>(&APP, group, &query, Consistency::Stale).await?;
    Ok(page)
}

/// Appends a point as `POST /metrics` takes it, but for the last brace.
pub(super) fn write_open(into: &mut String, definition: &Definition, value: &Value, at_ms: u64) {
    // Writing into a string has no way to fail; nor has plain text, as JSON.
    let json = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let _ = write!(into, "{{\"name\":{},\"value\":", json(&definition.name));
    let _ = match value {
        Value::Number(value) => write!(into, "{}", serde_json::to_string(value).unwrap_or_default()),
        Value::Member(member) => write!(into, "{}", json(member)),
    };
    let _ = write!(into, ",\"type\":\"{}\",\"tags\":{{", definition.kind.name());
    for (place, (key, value)) in definition.tags.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let _ = write!(into, "{comma}{}:{}", json(key), json(value));
    }
    let _ = write!(into, "}},\"timestamp\":{at_ms}");
}
