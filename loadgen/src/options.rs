//! What a caller may choose about a run, and what is refused before anything starts.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use crate::schedule::ladder;
use crate::{CancelToken, LoadError};

/// Highest rate that may be asked for.
const RPS_MAX: f64 = 1_000_000.0;
/// Longest measured part of a step.
const STEP_SECONDS_MAX: f64 = 86_400.0;
/// Most users that may be asked for: each costs a goose task and at times a connection.
const USERS_MAX: usize = 50_000;
/// Series beyond this make the reading afterwards longer than the load.
const SERIES_MAX: usize = 10_000;

/// Every choice about a load run.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Base addresses, for example `http://127.0.0.1:8080`; requests go to them in turn. Not used by
    /// [`run_embedded`](crate::run_embedded), which brings its own.
    pub targets: Vec<String>,
    /// Sent as `Authorization: Bearer <token>`.
    pub token: String,
    /// The rate that has to hold, in requests a second.
    pub rps: f64,
    /// Length of each step's measured part.
    pub step_seconds: f64,
    /// Length of the window before it, whose figures do not count.
    pub settle_seconds: f64,
    /// Requests that can be under way at once. `None`: a tenth of the rate, within reason.
    pub users: Option<usize>,
    /// First rung of the ladder.
    pub first_rps: f64,
    /// Metrics that the writes spread over.
    pub series: usize,
    /// Climb from `first_rps` to `rps`; otherwise only `rps` is driven.
    pub ladder: bool,
    /// How long an answer may take.
    pub request_timeout_seconds: f64,
    /// Ends the run early.
    pub cancel: CancelToken,
    /// Embedded cluster: worker nodes beside the control node.
    pub workers: usize,
    /// Embedded cluster: where its data goes. `None`: a temporary folder, removed afterwards.
    pub data: Option<PathBuf>,
    /// Embedded cluster: send to every node in turn and not to the control node alone.
    pub spread: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            token: "local-dev-token-123".to_owned(),
            rps: 10_000.0,
            step_seconds: 10.0,
            settle_seconds: 1.5,
            users: None,
            first_rps: 200.0,
            series: 64,
            ladder: true,
            request_timeout_seconds: 5.0,
            cancel: CancelToken::new(),
            workers: 3,
            data: None,
            spread: false,
        }
    }
}

/// Options that were found good, in the form the run wants them.
pub(crate) struct Plan {
    pub(crate) targets: Vec<Url>,
    pub(crate) token: String,
    pub(crate) rates: Vec<f64>,
    pub(crate) settle: Duration,
    pub(crate) measured: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) users: usize,
    pub(crate) series: usize,
    pub(crate) cancel: CancelToken,
}

impl LoadOptions {
    /// Checks everything but the targets, which an embedded cluster brings.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        within("--rps", self.rps, 1.0, RPS_MAX, "requests a second")?;
        within("--first-rps", self.first_rps, 1.0, RPS_MAX, "requests a second")?;
        within("--duration", self.step_seconds, 0.1, STEP_SECONDS_MAX, "seconds")?;
        within("--settle", self.settle_seconds, 0.0, STEP_SECONDS_MAX, "seconds")?;
        within("--timeout", self.request_timeout_seconds, 0.01, 600.0, "seconds")?;
        within("--users", self.users.unwrap_or(1) as f64, 1.0, USERS_MAX as f64, "users")?;
        within("--series", self.series as f64, 1.0, SERIES_MAX as f64, "series")?;
        within("--workers", self.workers as f64, 1.0, 64.0, "workers")?;
        if reqwest::header::HeaderValue::from_str(&self.token).is_err() {
            return Err(refuse("--token", "has characters that no HTTP header may carry"));
        }
        Ok(())
    }

    /// Checks everything and makes the plan.
    pub(crate) fn plan(&self) -> Result<Plan, LoadError> {
        self.check()?;
        if self.targets.is_empty() {
            return Err(refuse("--target", "no address given; for example http://127.0.0.1:8080"));
        }
        let targets = self.targets.iter().map(|text| parse_target(text)).collect::<Result<_, _>>()?;
        let rates = if self.ladder { ladder(self.first_rps, self.rps) } else { vec![self.rps] };
        Ok(Plan {
            targets,
            token: self.token.clone(),
            rates,
            settle: Duration::from_secs_f64(self.settle_seconds),
            measured: Duration::from_secs_f64(self.step_seconds),
            request_timeout: Duration::from_secs_f64(self.request_timeout_seconds),
            // By Little's law a tenth of the rate carries answers of 100 ms.
            users: self.users.unwrap_or(((self.rps / 10.0) as usize).clamp(64, 2_000)),
            series: self.series,
            cancel: self.cancel.clone(),
        })
    }
}

fn refuse(option: &'static str, reason: impl Into<String>) -> LoadError {
    LoadError::Option { option, reason: reason.into() }
}

fn within(option: &'static str, value: f64, min: f64, max: f64, unit: &str) -> Result<(), LoadError> {
    if value.is_finite() && (min..=max).contains(&value) {
        return Ok(());
    }
    Err(refuse(option, format!("{value} is not within {min} to {max} {unit}")))
}

/// An address that requests can go to: plain HTTP, ending in a slash so that paths can be joined to it.
fn parse_target(text: &str) -> Result<Url, LoadError> {
    let example = "for example http://127.0.0.1:8080";
    let mut url = Url::parse(text)
        .map_err(|error| refuse("--target", format!("`{text}` is no address: {error}; {example}")))?;
    if url.scheme() != "http" || url.host().is_none() {
        return Err(refuse("--target", format!("`{text}` is no plain http:// address; {example}")));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("--target", format!("`{text}` must end with its path; {example}")));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut LoadOptions)) -> String {
        let mut options =
            LoadOptions { targets: vec!["http://127.0.0.1:8080".to_owned()], ..LoadOptions::default() };
        change(&mut options);
        match options.plan() {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn bad_choices_are_refused_by_name() {
        assert_eq!(refusal(|_| ()), "accepted");
        assert_eq!(refusal(|o| o.rps = 0.5), "--rps: 0.5 is not within 1 to 1000000 requests a second");
        assert!(refusal(|o| o.rps = f64::NAN).starts_with("--rps: NaN"));
        assert!(refusal(|o| o.step_seconds = 0.0).starts_with("--duration: 0 "));
        assert!(refusal(|o| o.settle_seconds = -1.0).starts_with("--settle: -1 "));
        assert!(refusal(|o| o.users = Some(0)).starts_with("--users: 0 "));
        assert!(refusal(|o| o.series = 0).starts_with("--series: 0 "));
        assert!(refusal(|o| o.workers = 0).starts_with("--workers: 0 "));
        assert!(refusal(|o| o.token = "a\nb".to_owned()).starts_with("--token: "));
        assert!(refusal(|o| o.targets.clear()).starts_with("--target: no address"));
        assert!(refusal(|o| o.targets[0] = "127.0.0.1:8080".to_owned()).contains("127.0.0.1:8080"));
        assert!(refusal(|o| o.targets[0] = "https://node".to_owned()).contains("no plain http://"));
        assert!(refusal(|o| o.targets[0] = "http://node/?a=b".to_owned()).contains("must end"));
    }

    #[test]
    fn a_target_keeps_its_path() {
        let url = parse_target("http://node:8080/gateway").expect("a good address");
        assert_eq!(url.join("metrics").expect("a good path").as_str(), "http://node:8080/gateway/metrics");
    }
}
