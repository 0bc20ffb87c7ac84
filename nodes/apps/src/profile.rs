//! Which system's habits a listener follows where they contradict each other.

use std::fmt;
use std::str::FromStr;

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
