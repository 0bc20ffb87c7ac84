//! Who may ask: the bearer token, compared in constant time.

use super::error::ApiError;
use crate::cluster::Cluster;
use crate::{Auth, Profile};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header;
use subtle::ConstantTimeEq;

/// Paths that anybody may ask: they tell an orchestrator no more than whether to restart the node.
pub(super) const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// Lets a request pass or answers 401.
pub async fn check(State(cluster): State<Cluster>, request: Request, next: Next) -> Response {
    let needed = needs_token(&cluster, request.uri().path());
    if needed && !has_token(&request, &cluster.options().token) {
        return ApiError::Unauthorized.into_response();
    }
    next.run(request).await
}

fn needs_token(cluster: &Cluster, path: &str) -> bool {
    if OPEN.contains(&path) {
        return false;
    }
    // Who may send nodes away, or say which one leads, is asked on loopback too.
    if path.starts_with("/cluster/") || path.starts_with("/api/v1/admin/") {
        return true;
    }
    let options = cluster.options();
    if options.auth == Auth::Strict {
        return true;
    }
    match options.profile {
        Profile::RaftMetrics => true,
        _ => options.require_token,
    }
}

fn has_token(request: &Request, token: &str) -> bool {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return false };
    // The scheme's name is not case-sensitive; the token is.
    let Some((scheme, given)) = value.as_bytes().split_at_checked(7) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && is_token(given, token)
}

/// Compares in a time that tells nothing of the token but its length.
pub fn is_token(given: &[u8], token: &str) -> bool {
    bool::from(given.ct_eq(token.as_bytes()))
}
