//! Which system's habits a listener follows where they contradict each other.

use std::fmt;
use std::str::FromStr;

/// Who is asked for the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Everybody in the profile raftmetrics; in the others, whoever does not come over loopback.
    #[default]
    Auto,
    /// Everybody, in every profile. A client's id is then read from `X-Client-Id`.
    Strict,
}

impl FromStr for Auth {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Auth::Auto),
            "strict" => Ok(Auth::Strict),
            _ => Err(format!("no auth {text:?}; there are auto, strict")),
        }
    }
}

/// A listener's profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// All systems; open on loopback.
    #[default]
    Unified,
    /// RaftMetrics: every request needs its token.
    RaftMetrics,
    /// The Distributed Analytics System.
    Analytics,
    /// MetricStream: `GET /metrics` is its statistics, `Authorization` names a client.
    MetricStream,
    /// Raft3D.
    Raft3d,
    /// Distri.
    Distri,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 6] = [
        Profile::Unified,
        Profile::RaftMetrics,
        Profile::Analytics,
        Profile::MetricStream,
        Profile::Raft3d,
        Profile::Distri,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Unified => "unified",
            Profile::RaftMetrics => "raftmetrics",
            Profile::Analytics => "analytics",
            Profile::MetricStream => "metricstream",
            Profile::Raft3d => "raft3d",
            Profile::Distri => "distri",
        }
    }
}

impl FromStr for Profile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = Profile::ALL.map(Profile::name).join(", ");
        let found = Profile::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| format!("no profile {text:?}; there are {names}"))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
