//! The one shape of every error: RFC 9457 `application/problem+json`, and the field that RaftMetrics'
//! own clients read.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URI reference that names the kind of problem: `/problems/{code}`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What was wrong here, where, and what is allowed.
    pub detail: String,
    /// The kind for programs, for example `invalid-value`.
    pub code: String,
    /// Always false: what RaftMetrics' clients look at.
    #[serde(default)]
    pub success: bool,
    /// `unknown` when the request may have taken effect, or may yet. Then, and only with the same
    /// idempotency key, it may be sent again. Absent: it certainly had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Fields of one system's own.
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl Problem {
    /// A problem of kind `code` with HTTP status `status`.
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("/problems/{code}"),
            title: title.into(),
            status,
            detail: detail.into(),
            code: code.into(),
            success: false,
            outcome: None,
            extra: BTreeMap::new(),
        }
    }

    /// The same, saying that the request may have taken effect.
    pub fn with_unknown_outcome(mut self) -> Self {
        self.outcome = Some("unknown".into());
        self
    }

    /// True if the request may have taken effect.
    pub fn is_outcome_unknown(&self) -> bool {
        self.outcome.as_deref() == Some("unknown")
    }
}
