//! Which kinds of faults a campaign draws from.

use crate::plan::{Family, FaultKind};
use std::fmt;
use std::str::FromStr;

/// Which kinds of faults a campaign draws from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// None.
    Calm,
    /// All.
    #[default]
    Swarm,
    /// Storage, with the power losses and restarts that bring its damage to light.
    Disk,
    /// Links and connections.
    Network,
    /// Clocks and pauses.
    Clock,
    /// Restarts one after the other, crashes, replaced machines.
    Upgrade,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 6] =
        [Profile::Calm, Profile::Swarm, Profile::Disk, Profile::Network, Profile::Clock, Profile::Upgrade];

    /// Kinds that it draws from.
    pub fn kinds(self) -> Vec<&'static str> {
        let family = FaultKind::names_of;
        let more: &[&'static str] = match self {
            Profile::Disk => &["power_loss", "power_loss_at_write", "wipe"],
            Profile::Clock => &["pause"],
            _ => &[],
        };
        let mut kinds = match self {
            Profile::Calm => Vec::new(),
            Profile::Swarm => FaultKind::NAMES.to_vec(),
            Profile::Disk => family(Family::Disk).to_vec(),
            Profile::Network => family(Family::Network).to_vec(),
            Profile::Clock => family(Family::Clock).to_vec(),
            Profile::Upgrade => family(Family::Process).to_vec(),
        };
        kinds.extend_from_slice(more);
        kinds
    }

    fn name(self) -> &'static str {
        match self {
            Profile::Calm => "calm",
            Profile::Swarm => "swarm",
            Profile::Disk => "disk",
            Profile::Network => "network",
            Profile::Clock => "clock",
            Profile::Upgrade => "upgrade",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Profile::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| {
            format!("no faults {text:?}; there are {}", Profile::ALL.map(Profile::name).join(", "))
        })
    }
}
