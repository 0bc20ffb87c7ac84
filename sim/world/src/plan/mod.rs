//! A run as data: knobs and timed faults, TOML both ways.
//!
//! A plan replays without its seed's draws, so it can be read, edited and kept. The seed still decides
//! everything else (latencies, scheduling, workload).

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Longest run that a plan may ask for.
const MAX_DURATION_MS: u64 = 3_600_000;

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Length of the load under faults.
    pub duration_ms: u64,
    /// The network and the disks.
    pub world: WorldKnobs,
    /// The scenario's own numbers, by name.
    #[serde(default)]
    pub knobs: BTreeMap<String, u64>,
    /// What goes wrong, and when.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
}

/// The network and the disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldKnobs {
    /// Least one-way latency.
    pub latency_us_min: u64,
    /// Largest one-way latency.
    pub latency_us_max: u64,
    /// Least duration of blocking disk work.
    pub disk_us_min: u64,
    /// Largest duration of blocking disk work.
    pub disk_us_max: u64,
}

/// A fault with its time. It ends by itself after `for_ms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Begin, from the start of the load.
    pub at_ms: u64,
    /// Length: how long a cut or a pause lasts, when a dead machine starts again.
    pub for_ms: u64,
    /// What.
    #[serde(flatten)]
    pub kind: FaultKind,
}

/// What goes wrong. Machines are named; `@leader:N` names the machine that leads raft group N when the
/// fault begins, or what else the scenario says that it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// No way between two sides, in either direction.
    CutSymmetric {
        /// One side.
        left: Vec<String>,
        /// The other side.
        right: Vec<String>,
    },
    /// No way from one side to the other; the way back is free.
    CutOneWay {
        /// From here.
        from: Vec<String>,
        /// To here.
        to: Vec<String>,
    },
    /// No way between one machine and all others of the cluster. Clients still reach it.
    Isolate {
        /// The machine.
        node: String,
    },
    /// Processes are killed (`kill -9`) and start again.
    Crash {
        /// Where.
        nodes: Vec<String>,
    },
    /// Machines lose power, with it what was not synced, and start again.
    PowerLoss {
        /// Which.
        nodes: Vec<String>,
    },
    /// A machine loses power in the middle of its disk work, at the n-th operation from now, and starts
    /// again.
    PowerLossAtWrite {
        /// Which.
        node: String,
        /// n.
        operations: u64,
    },
    /// A process is stopped (`SIGSTOP`) and goes on.
    Pause {
        /// Where.
        node: String,
    },
}

impl FaultKind {
    /// Names of all kinds.
    pub const NAMES: [&str; 7] =
        ["cut_symmetric", "cut_one_way", "isolate", "crash", "power_loss", "power_loss_at_write", "pause"];

    /// Name of the kind.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::CutSymmetric { .. } => "cut_symmetric",
            FaultKind::CutOneWay { .. } => "cut_one_way",
            FaultKind::Isolate { .. } => "isolate",
            FaultKind::Crash { .. } => "crash",
            FaultKind::PowerLoss { .. } => "power_loss",
            FaultKind::PowerLossAtWrite { .. } => "power_loss_at_write",
            FaultKind::Pause { .. } => "pause",
        }
    }

    /// Machines it names.
    pub fn machines(&self) -> Vec<&str> {
        let names: Vec<&String> = match self {
            FaultKind::CutSymmetric { left: a, right: b } | FaultKind::CutOneWay { from: a, to: b } => {
                a.iter().chain(b).collect()
            }
            FaultKind::Crash { nodes } | FaultKind::PowerLoss { nodes } => nodes.iter().collect(),
            FaultKind::Isolate { node }
            | FaultKind::PowerLossAtWrite { node, .. }
            | FaultKind::Pause { node } => vec![node],
        };
        names.into_iter().map(String::as_str).collect()
    }
}

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not TOML, or not a plan; the text names line, column and what is allowed.
    #[error("{0}")]
    Syntax(String),
    /// A number out of its range.
    #[error("{what} is {found}; allowed are {allowed}")]
    Range {
        /// Which number.
        what: String,
        /// Its value.
        found: u64,
        /// In words.
        allowed: String,
    },
    /// A fault names a machine that is not there.
    #[error("fault {number} names the machine {name:?}; there are {known}")]
    UnknownMachine {
        /// Counted from 1.
        number: usize,
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// A number that the scenario does not know.
    #[error("knob {name:?} is not known to this scenario; there are {known}")]
    UnknownKnob {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
}

impl Plan {
    /// The plan in a TOML text.
    ///
    /// # Errors
    /// [`PlanError::Syntax`].
    pub fn from_toml(text: &str) -> Result<Self, PlanError> {
        toml::from_str(text).map_err(|error| PlanError::Syntax(error.to_string()))
    }

    /// As a TOML text.
    pub fn to_toml(&self) -> String {
        // Plain data with string keys always has a TOML form.
        toml::to_string(self).unwrap_or_default()
    }

    /// Refuses what cannot be carried out. `machines` are the cluster's, `knobs` the scenario's.
    ///
    /// # Errors
    /// [`PlanError`], the first found.
    pub fn check(&self, machines: &[String], knobs: &[&str]) -> Result<(), PlanError> {
        let range = |what: &str, found: u64, low: u64, high: u64| {
            let fine = (low..=high).contains(&found);
            let allowed = format!("{low} to {high}");
            if fine { Ok(()) } else { Err(PlanError::Range { what: what.into(), found, allowed }) }
        };
        range("duration_ms", self.duration_ms, 1, MAX_DURATION_MS)?;
        let WorldKnobs { latency_us_min, latency_us_max, disk_us_min, disk_us_max } = self.world;
        range("world.latency_us_max", latency_us_max, latency_us_min.max(1), 10_000_000)?;
        range("world.disk_us_max", disk_us_max, disk_us_min.max(1), 10_000_000)?;
        if let Some(name) = self.knobs.keys().find(|name| !knobs.contains(&name.as_str())) {
            return Err(PlanError::UnknownKnob { name: name.clone(), known: knobs.join(", ") });
        }
        let known: BTreeSet<&str> = machines.iter().map(String::as_str).collect();
        for (place, fault) in self.faults.iter().enumerate() {
            range(&format!("at_ms of fault {}", place + 1), fault.at_ms, 0, self.duration_ms)?;
            range(&format!("for_ms of fault {}", place + 1), fault.for_ms, 1, MAX_DURATION_MS)?;
            let names = fault.kind.machines();
            if let Some(name) = names.into_iter().find(|name| !known.contains(name) && !name.starts_with('@'))
            {
                return Err(PlanError::UnknownMachine {
                    number: place + 1,
                    name: name.into(),
                    known: machines.join(", "),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            scenario: "cluster".into(),
            seed: 3,
            duration_ms: 1000,
            world: WorldKnobs { latency_us_min: 1, latency_us_max: 2, disk_us_min: 1, disk_us_max: 2 },
            knobs: BTreeMap::from([("clients".into(), 3)]),
            faults: vec![
                Fault {
                    at_ms: 10,
                    for_ms: 20,
                    kind: FaultKind::CutOneWay { from: vec!["a".into()], to: vec!["b".into()] },
                },
                Fault { at_ms: 5, for_ms: 1, kind: FaultKind::Isolate { node: "@leader:1".into() } },
            ],
        }
    }

    #[test]
    fn toml_both_ways() {
        assert_eq!(Plan::from_toml(&plan().to_toml()), Ok(plan()));
    }

    #[test]
    fn mistakes_are_named() {
        let machines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(plan().check(&machines, &["clients"]), Ok(()));
        assert!(matches!(
            plan().check(&machines[..1], &["clients"]),
            Err(PlanError::UnknownMachine { number: 1, .. })
        ));
        assert!(matches!(plan().check(&machines, &[]), Err(PlanError::UnknownKnob { .. })));
        let mut late = plan();
        late.faults[1].at_ms = 2000;
        let error = late.check(&machines, &["clients"]).unwrap_err().to_string();
        assert_eq!(error, "at_ms of fault 2 is 2000; allowed are 0 to 1000");
        let text = plan().to_toml().replace("cut_one_way", "cut_two_ways");
        let Err(PlanError::Syntax(error)) = Plan::from_toml(&text) else { panic!("accepted") };
        assert!(error.contains("cut_one_way") && error.contains("line"), "{error}");
    }
}
