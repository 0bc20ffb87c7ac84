//! The rate limit of a listener: 429 before a body is read.
//!
//! A client is its IP address. Off unless it is asked for.

use super::error::ApiError;
use super::limiter::{Limiter, RetryAfter};
use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rt::http::PeerAddr;
use rt::time::Instant;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So many requests of a client in any such window. As text: `100/s`, `20/min`, `5000/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests.
    pub limit: NonZeroU32,
    /// Length of the window, on the node's monotonic clock.
    pub window: Duration,
}

const UNITS: [(&str, u64); 3] = [("s", 1), ("min", 60), ("h", 3600)];
/// As many as are remembered of all clients together: more could never be counted.
const MAX_LIMIT: u32 = 1 << 20;

impl FromStr for RateLimit {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no rate limit; write a number from 1 to {MAX_LIMIT} and a unit: 100/s, 20/min, 5000/h"
            )
        };
        let (limit, unit) = text.split_once('/').ok_or_else(wrong)?;
        let limit =
            limit.parse().ok().filter(|limit: &NonZeroU32| limit.get() <= MAX_LIMIT).ok_or_else(wrong)?;
        let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds);
        Ok(RateLimit { limit, window: Duration::from_secs(seconds.ok_or_else(wrong)?) })
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, seconds)| Duration::from_secs(*seconds) == self.window) {
            Some((unit, _)) => write!(f, "{}/{unit}", self.limit),
            None => write!(f, "{} in {:?}", self.limit, self.window),
        }
    }
}

/// A listener's limit, and what it remembers of its clients under it.
pub struct Gate {
    limit: Box<dyn Fn() -> Option<RateLimit> + Send + Sync>,
    remembered: Mutex<Option<(RateLimit, Limiter<IpAddr>)>>,
}

impl Gate {
    /// A gate that has seen nobody yet, and asks for its limit at every request; `None` is no limit.
    pub fn new(limit: impl Fn() -> Option<RateLimit> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Gate { limit: Box::new(limit), remembered: Mutex::default() })
    }

    fn admit(&self, rate: RateLimit, peer: IpAddr) -> Result<(), RetryAfter> {
        // What a panic left behind is still a list of admissions.
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        // Another limit since the last request: everybody begins anew.
        let anew = remembered.take().filter(|(before, _)| *before == rate);
        let (_, limiter) =
            remembered.insert(anew.unwrap_or_else(|| (rate, Limiter::new(rate.limit, rate.window))));
        limiter.admit(&peer, Instant::now())
    }
}

/// Lets a request pass or answers 429.
pub async fn check(
    State(gate): State<Arc<Gate>>,
    Extension(PeerAddr(peer)): Extension<PeerAddr>,
    request: Request,
    next: Next,
) -> Response {
    let limited = (gate.limit)().filter(|_| !super::auth::OPEN.contains(&request.uri().path()));
    let Some(rate) = limited else { return next.run(request).await };
    match gate.admit(rate, peer.ip()) {
        Ok(()) => next.run(request).await,
        Err(RetryAfter(retry_after)) => ApiError::TooManyRequests { rate, retry_after }.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        for text in ["1/s", "100/s", "20/min", "5000/h", "1048576/h"] {
            assert_eq!(text.parse::<RateLimit>().unwrap().to_string(), text);
        }
        assert_eq!("20/min".parse::<RateLimit>().unwrap().window, Duration::from_secs(60));
        for text in ["", "5", "0/s", "-1/s", "5/", "/s", "5/day", "5/10s", "1048577/s", "5 / s"] {
            let error = text.parse::<RateLimit>().unwrap_err();
            assert!(error.contains("100/s, 20/min, 5000/h"), "{error}");
        }
    }
}
