//! The request behind a ticket, and what counts as its success.
//!
//! Requests are built once and cloned: at 10,000/s each microsecond a request costs is one percent of a
//! processor. Metric names carry a prefix of the run, so that runs against one cluster do not mix.

use std::fmt;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode, Url};

use crate::LoadError;
use crate::options::Plan;

/// Different values of a series. All are small multiples of a quarter, so their sums are exact.
const VALUES: usize = 4;

/// Every request of the run, ready to be cloned.
pub(crate) struct Requests {
    names: Vec<String>,
    targets: usize,
    templates: Vec<Request>,
}

impl Requests {
    /// Builds the requests of a plan.
    pub(crate) fn new(plan: &Plan, run: &str) -> Result<Self, LoadError> {
        let names: Vec<_> = (0..plan.series).map(|series| format!("load_{run}_{series}")).collect();
        let bearer = bearer(&plan.token)?;
        let mut templates = Vec::new();
        for target in &plan.targets {
            let url = join(target, "metrics")?;
            for (name, value) in (0..VALUES).flat_map(|value| names.iter().map(move |name| (name, value))) {
                let body = serde_json::json!({ "metric_name": name, "value": 12.5 + 0.25 * value as f64 });
                let mut request = Request::new(Method::POST, url.clone());
                request.headers_mut().insert(AUTHORIZATION, bearer.clone());
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                *request.body_mut() = Some(body.to_string().into());
                templates.push(request);
            }
        }
        Ok(Self { names, targets: plan.targets.len(), templates })
    }

    /// Names of the series.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The series that ticket `seq` writes to.
    pub(crate) fn series(&self, seq: u64) -> usize {
        (seq % self.names.len() as u64) as usize
    }

    /// The request of ticket `seq`.
    pub(crate) fn request(&self, seq: u64) -> Request {
        let series = self.names.len();
        let bodies = series * VALUES;
        let body = (seq % bodies as u64) as usize;
        // The round is added so that a series does not always meet the same target.
        let round = seq / series as u64;
        let target = ((seq + round) % self.targets as u64) as usize;
        let template = &self.templates[target * bodies + body];
        template.try_clone().expect("only a streaming body cannot be cloned, and these are bytes")
    }
}

/// The value of the header `Authorization`.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, LoadError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|error| LoadError::Option { option: "--token", reason: error.to_string() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A path below a target.
pub(crate) fn join(target: &Url, path: &str) -> Result<Url, LoadError> {
    target.join(path).map_err(|error| LoadError::Option { option: "--target", reason: error.to_string() })
}

/// Why a request did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// No connection: the cluster never saw it.
    Connect,
    /// No answer in time.
    Timeout,
    /// The connection broke before the answer was complete.
    Transport,
    /// An answer with another status than 200.
    Status(u16),
    /// Status 200, but the body does not say `"success": true`.
    Body,
    /// Goose refused to send it.
    Goose,
    /// The queue was full when it fell due, so it was never sent.
    Shed,
    /// Still in the queue when the step was closed, so it was never sent.
    NeverSent,
    /// Sent, but not answered when the step was closed.
    Unanswered,
}

impl Failure {
    /// Reads the kind of failure off a client error.
    pub(crate) fn from_client(error: &reqwest::Error) -> Self {
        // Order matters: a connection attempt that timed out never reached the cluster.
        if error.is_connect() {
            Self::Connect
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Transport
        }
    }

    /// Could the write have taken effect all the same?
    pub(crate) fn may_have_taken_effect(self) -> bool {
        match self {
            Self::Connect | Self::Goose | Self::Shed | Self::NeverSent => false,
            Self::Timeout | Self::Transport | Self::Body | Self::Unanswered => true,
            // A server that answers 5xx may have failed after its write.
            Self::Status(status) => !(400..500).contains(&status),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Timeout => f.write_str("timeout"),
            Self::Transport => f.write_str("connection broken"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Body => f.write_str("status 200 without success"),
            Self::Goose => f.write_str("refused by goose"),
            Self::Shed => f.write_str("shed by generator"),
            Self::NeverSent => f.write_str("never sent"),
            Self::Unanswered => f.write_str("unanswered"),
        }
    }
}

/// Reads an answer to its end and judges it.
pub(crate) async fn judge(response: Response) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    struct Answer {
        success: bool,
    }
    let status = response.status();
    // Read whatever the status, or the connection could not be used again.
    let body = response.bytes().await.map_err(|error| Failure::from_client(&error))?;
    if status != StatusCode::OK {
        return Err(Failure::Status(status.as_u16()));
    }
    match serde_json::from_slice::<Answer>(&body) {
        Ok(Answer { success: true }) => Ok(()),
        _ => Err(Failure::Body),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::LoadOptions;

    fn requests(targets: usize, series: usize) -> Requests {
        let targets = (0..targets).map(|target| format!("http://node-{target}:8080")).collect();
        let plan = LoadOptions { targets, series, ..LoadOptions::default() }.plan().expect("good options");
        Requests::new(&plan, "7f").expect("good options")
    }

    #[test]
    fn a_request_is_one_metric_with_the_token() {
        let request = requests(1, 64).request(17);
        assert_eq!(request.url().as_str(), "http://node-0:8080/metrics");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer local-dev-token-123");
        let body = request.body().and_then(reqwest::Body::as_bytes).expect("a body of bytes");
        assert_eq!(body, br#"{"metric_name":"load_7f_17","value":12.5}"#);
    }

    #[test]
    fn every_series_meets_every_target() {
        let requests = requests(4, 8);
        let mut met = BTreeSet::new();
        for seq in 0..64 {
            met.insert((requests.series(seq), requests.request(seq).url().to_string()));
        }
        assert_eq!(met.len(), 32);
    }

    #[test]
    fn only_a_definite_refusal_is_without_effect() {
        for failure in [Failure::Connect, Failure::Status(401), Failure::Status(429), Failure::Shed] {
            assert!(!failure.may_have_taken_effect(), "{failure}");
        }
        for failure in [Failure::Timeout, Failure::Transport, Failure::Status(503), Failure::Body] {
            assert!(failure.may_have_taken_effect(), "{failure}");
        }
    }
}
