//! JSON bodies, with errors that say what was wrong and where.

use super::error::ApiError;
use axum::extract::Request;
use http::{HeaderMap, header};
use rt::time::{self, Elapsed};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Reads a body of at most `limit_bytes`, for `patience` at the longest: who sends nothing more must not
/// hold a connection for ever.
///
/// # Errors
/// [`ApiError`] if it is larger, slower, or breaks off.
pub async fn read(request: Request, limit_bytes: usize, patience: Duration) -> Result<Vec<u8>, ApiError> {
    if declared(request.headers()).is_some_and(|length| length > limit_bytes) {
        return Err(ApiError::TooLarge { limit_bytes });
    }
    match time::timeout(patience, axum::body::to_bytes(request.into_body(), limit_bytes)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) if is_length_error(&error) => Err(ApiError::TooLarge { limit_bytes }),
        Ok(Err(error)) => Err(ApiError::invalid("body-broken", format!("the body broke off: {error}"))),
        Err(Elapsed) => Err(ApiError::SlowBody { patience }),
    }
}

/// How long the body says that it is.
pub fn declared(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_length_error(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The JSON in `body`.
///
/// # Errors
/// [`ApiError`] that names line, column and rule.
pub fn parse<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    check_json(headers)?;
    // A derived type takes a list of its fields as well; what is documented is an object.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::invalid("invalid-value", "the body must be a JSON object, and is a list"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() { "invalid-value" } else { "invalid-json" };
        ApiError::invalid(code, format!("the body is not the expected JSON: {error}"))
    })
}

/// Lets JSON pass, nothing, and what curl sends when nobody told it the type.
///
/// # Errors
/// [`ApiError::ContentType`].
pub fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = value.to_str().unwrap_or("unreadable");
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence == "application/json" || essence.ends_with("+json");
    if json || essence == "application/x-www-form-urlencoded" || essence.is_empty() {
        return Ok(());
    }
    Err(ApiError::ContentType { found: text.to_owned() })
}
