//! The header that makes a write's retries harmless.

use super::error::ApiError;
use client::IDEMPOTENCY_KEY;
use http::HeaderMap;

/// Longest idempotency key in bytes.
const MAX_KEY_BYTES: usize = 200;

/// The request's idempotency key, if it carries one.
///
/// # Errors
/// [`ApiError`] if there is one too many, or one that no client should use.
pub fn key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::invalid("invalid-key", "`Idempotency-Key` is given more than once"));
    }
    let key = value.to_str().ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
    let text = format!("`Idempotency-Key` must be 1 to {MAX_KEY_BYTES} visible ASCII characters");
    key.map(|key| Some(key.to_owned())).ok_or_else(|| ApiError::invalid("invalid-key", text))
}
