//! `/metrics`, which two systems and the Prometheus text share.
//!
//! `GET` goes by what the client accepts, and where it does not care by the listener's profile. `POST` goes
//! by the body's keys: `metric_name` is one metric of RaftMetrics, `metrics` a batch of MetricStream.

use super::body;
use super::error::ApiError;
use super::exposition;
use crate::cluster::Cluster;
use crate::metricstream::front::Front;
use crate::metricstream::{ingest, routes as metricstream};
use crate::profile::Profile;
use crate::raftmetrics::routes as raftmetrics;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use rt::http::PeerAddr;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// `GET /metrics`.
pub async fn get(state: State<Cluster>, headers: HeaderMap) -> Response {
    let by_default = state.options().profile == Profile::MetricStream;
    if wants_json(&headers).unwrap_or(by_default) {
        metricstream::stats(state).await.into_response()
    } else {
        exposition::prometheus(state, headers).await
    }
}

/// Whether the client would rather have JSON than text; `None` if it does not care.
fn wants_json(headers: &HeaderMap) -> Option<bool> {
    let mut best: Option<(f32, bool)> = None;
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let json = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "application/json" => true,
            "text/plain" | "text/*" | "application/openmetrics-text" => false,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|text| text.parse().ok());
        let weight: f32 = weight.unwrap_or(1.0);
        if weight > 0.0 && best.is_none_or(|(heaviest, _)| weight > heaviest) {
            best = Some((weight, json));
        }
    }
    best.map(|(_, json)| json)
}

/// `POST /metrics`.
///
/// # Errors
/// [`ApiError`].
pub async fn post(
    State(cluster): State<Cluster>,
    Extension(PeerAddr(peer)): Extension<PeerAddr>,
    request: Request,
) -> Result<Response, ApiError> {
    let front = Front::of(&cluster);
    // Before a byte of the body is read.
    front.admit(&cluster, request.headers(), peer.ip())?;
    let headers = request.headers().clone();
    let options = cluster.options();
    let limit = options.max_body_bytes.max(ingest::MAX_BODY_BYTES);
    let small = body::declared(&headers).is_some_and(|length| length <= options.max_body_bytes);
    let room = if small { None } else { Some(front.large_bodies.try_acquire()) };
    if let Some(Err(_)) = room {
        return Err(ApiError::Write(replica::WriteError::Busy));
    }
    let bytes = body::read(request, limit, options.deadline).await?;
    if is_batch(&bytes, options.profile) {
        let answer = match body::check_json(&headers) {
            Ok(()) => metricstream::batch(&cluster, &headers, &bytes).await,
            Err(error) => Err(error),
        };
        if let Err(ApiError::Invalid { .. } | ApiError::ContentType { .. }) = &answer {
            front.count_invalid(1);
        }
        return answer.map(IntoResponse::into_response);
    }
    if bytes.len() > options.max_body_bytes {
        return Err(ApiError::TooLarge { limit_bytes: options.max_body_bytes });
    }
    raftmetrics::record(&cluster, &headers, &bytes).await.map(IntoResponse::into_response)
}

/// True if the body is meant as a batch. A body that is neither is taken for what the profile is about.
fn is_batch(body: &[u8], profile: Profile) -> bool {
    let by_default = profile == Profile::MetricStream;
    // The first key tells nearly always, and a batch is long.
    let first = body.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    if first.is_some_and(|rest| rest.starts_with(b"\"metrics\"")) {
        return true;
    }
    if first.is_some_and(|rest| rest.starts_with(b"\"metric_name\"")) {
        return false;
    }
    let keys: Result<BTreeMap<Cow<'_, str>, IgnoredAny>, _> = serde_json::from_slice(body);
    match keys {
        Ok(keys) if keys.contains_key("metrics") => true,
        Ok(keys) if keys.contains_key("metric_name") => false,
        _ => by_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_is_accepted_decides() {
        let wants = |accept: &[&'static str]| {
            let mut headers = HeaderMap::new();
            accept.iter().for_each(|value| {
                headers.append(header::ACCEPT, HeaderValue::from_static(value));
            });
            wants_json(&headers)
        };
        assert_eq!(wants(&[]), None);
        assert_eq!(wants(&["*/*"]), None);
        assert_eq!(wants(&["application/*"]), None);
        assert_eq!(wants(&["application/json"]), Some(true));
        assert_eq!(wants(&["text/html", "Application/JSON; q=0.5"]), Some(true));
        assert_eq!(wants(&["text/plain"]), Some(false));
        assert_eq!(wants(&["text/plain;q=0.2, application/json;q=0.9"]), Some(true));
        assert_eq!(wants(&["text/plain, application/json"]), Some(false));
        assert_eq!(wants(&["application/json;q=0, text/plain;q=0.1"]), Some(false));
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(wants(&[prometheus]), Some(false));
    }

    #[test]
    fn keys_tell_a_batch_from_one_metric() {
        for profile in Profile::ALL {
            assert!(is_batch(br#" { "metrics":[]}"#, profile));
            assert!(is_batch(br#"{"x":1,"metrics":[]}"#, profile));
            assert!(!is_batch(br#"{"metric_name":"m","value":1}"#, profile));
            assert!(!is_batch(br#"{"value":1,"metric_name":"m"}"#, profile));
            for neither in [&b""[..], b"{}", b"[]", b"\xff", br#"{"value":1}"#, br#"{"value":"metrics"}"#] {
                assert_eq!(is_batch(neither, profile), profile == Profile::MetricStream);
            }
        }
    }
}
