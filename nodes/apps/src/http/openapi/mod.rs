//! The description of the API, OpenAPI 3.1: what all apps share, which lies here, and the part of
//! each app, which lies in its folder. Put together when somebody asks.

use super::error::ApiError;
use crate::APPS;
use axum::Json;
use serde_json::Value;

/// What all apps share, and paths whose answer the profile decides.
const SHARED: [&str; 2] = [include_str!("common.json"), include_str!("metrics.json")];

/// `GET /openapi.json`.
pub async fn openapi() -> Result<Json<Value>, ApiError> {
    together().map(Json).ok_or(ApiError::Internal)
}

/// All parts as one; `None` if one is not JSON, which a test would have told.
fn together() -> Option<Value> {
    let mut whole = Value::Null;
    for part in SHARED.into_iter().chain(APPS.iter().filter_map(|app| app.openapi)) {
        merge(&mut whole, serde_json::from_str(part).ok()?);
    }
    Some(whole)
}

/// Adds what `part` has to `whole`. Objects grow together; of anything else the first stays.
fn merge(whole: &mut Value, part: Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in part {
                merge(whole.entry(key).or_insert(Value::Null), value);
            }
        }
        (whole @ Value::Null, part) => *whole = part,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` in `value`.
    fn refs<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| refs(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| refs(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_parts_fit_together() {
        let whole = together().unwrap();
        let mut found = Vec::new();
        refs(&whole, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(whole.pointer(pointer).is_some(), "{reference} points nowhere");
        }
        let paths = whole["paths"].as_object().unwrap();
        let operations = paths
            .iter()
            .flat_map(|(path, item)| item.as_object().into_iter().flatten().map(move |o| (path, o)));
        for (path, (method, operation)) in operations {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let named: Vec<_> =
                parameters.filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
            assert_eq!(path.matches('{').count(), named.len(), "{method} {path}");
            assert!(operation["responses"].as_object().is_some_and(|all| !all.is_empty()), "{method} {path}");
        }
    }
}
