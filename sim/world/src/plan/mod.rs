//! A run as data: knobs and timed faults, TOML both ways.
//!
//! A plan replays without its seed's draws, so it can be read, edited and kept. The seed still decides
//! everything else (latencies, scheduling, workload).

mod error;
mod fault;

pub use error::{Key, PlanError};
pub use fault::{Blocked, Family, FaultKind, Limited, Shape};

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

/// The world on a day without faults, and what the code itself does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldKnobs {
    /// Least one-way latency.
    pub latency_us_min: u64,
    /// Largest one-way latency.
    pub latency_us_max: u64,
    /// Least duration of blocking disk work.
    pub disk_us_min: u64,
    /// Largest duration of blocking disk work.
    pub disk_us_max: u64,
    /// How many of a hundred reads and writes on connections move fewer bytes than they could.
    pub short_io_percent: u64,
    /// `buggify!` sites fire.
    pub buggify: bool,
}

impl Default for WorldKnobs {
    fn default() -> Self {
        WorldKnobs {
            latency_us_min: 200,
            latency_us_max: 2000,
            disk_us_min: 100,
            disk_us_max: 800,
            short_io_percent: 0,
            buggify: false,
        }
    }
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

impl Plan {
    /// The plan in a TOML text.
    ///
    /// # Errors
    /// [`PlanError::Syntax`], or [`PlanError::UnknownField`].
    ///
    /// ```
    /// use world::Plan;
    /// let text = r#"
    ///     scenario = "storm"
    ///     seed = 17
    ///     duration_ms = 8000
    ///     [world]
    ///     [[fault]]
    ///     at_ms = 1000
    ///     for_ms = 500
    ///     kind = "isolate"
    ///     node = "@leader:1"
    /// "#;
    /// let plan = Plan::from_toml(text)?;
    /// assert_eq!(plan.faults[0].kind.name(), "isolate");
    /// let wrong = Plan::from_toml(&text.replace("isolate", "insulate")).unwrap_err();
    /// assert!(wrong.to_string().contains("unknown variant `insulate`"));
    /// # Ok::<(), world::PlanError>(())
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, PlanError> {
        let plan: Plan = toml::from_str(text).map_err(|error| PlanError::Syntax(error.to_string()))?;
        plan.refuse_unknown_fields(text)?;
        Ok(plan)
    }

    /// serde cannot see unknown fields beside a flattened kind: what does not come back is unknown.
    fn refuse_unknown_fields(&self, text: &str) -> Result<(), PlanError> {
        let table: toml::Table =
            toml::from_str(text).map_err(|error| PlanError::Syntax(error.to_string()))?;
        let written = table.get("fault").and_then(toml::Value::as_array);
        for ((number, fault), written) in (1..).zip(&self.faults).zip(written.into_iter().flatten()) {
            // Plain data with string keys always has a TOML form.
            let known = toml::Table::try_from(fault).unwrap_or_default();
            let fields = written.as_table().into_iter().flatten().map(|(field, _)| field);
            if let Some(unknown) = fields.into_iter().find(|field| !known.contains_key(*field)) {
                let allowed: Vec<&str> = known.keys().map(String::as_str).collect();
                return Err(PlanError::UnknownField {
                    key: Key::of_fault(number, unknown),
                    kind: fault.kind.name(),
                    allowed: allowed.join(", "),
                });
            }
        }
        Ok(())
    }

    /// As a TOML text.
    pub fn to_toml(&self) -> String {
        // Plain data with string keys always has a TOML form.
        toml::to_string(self).unwrap_or_default()
    }

    /// Refuses what cannot be carried out. `machines` are those of the cluster and of its clients, `knobs`
    /// the scenario's.
    ///
    /// # Errors
    /// [`PlanError`], the first found.
    pub fn check(&self, machines: &[String], knobs: &[&str]) -> Result<(), PlanError> {
        range(Key::plain("duration_ms"), self.duration_ms, 1, MAX_DURATION_MS)?;
        self.world.check()?;
        if let Some(name) = self.knobs.keys().find(|name| !knobs.contains(&name.as_str())) {
            return Err(PlanError::UnknownKnob { name: name.clone(), known: knobs.join(", ") });
        }
        (1..)
            .zip(&self.faults)
            .try_for_each(|(number, fault)| fault.check(number, self.duration_ms, machines))
    }
}

impl WorldKnobs {
    fn check(&self) -> Result<(), PlanError> {
        let most = |name: &str, found, low: u64| range(Key::plain(name), found, low.max(1), 10_000_000);
        most("world.latency_us_max", self.latency_us_max, self.latency_us_min)?;
        most("world.disk_us_max", self.disk_us_max, self.disk_us_min)?;
        range(Key::plain("world.short_io_percent"), self.short_io_percent, 0, 100)
    }
}

impl Fault {
    fn check(&self, number: usize, duration_ms: u64, machines: &[String]) -> Result<(), PlanError> {
        range(Key::of_fault(number, "at_ms"), self.at_ms, 0, duration_ms)?;
        range(Key::of_fault(number, "for_ms"), self.for_ms, 1, MAX_DURATION_MS)?;
        for limited in self.kind.numbers() {
            range(Key::of_fault(number, limited.field), limited.value, limited.low, limited.high)?;
        }
        let names = self.kind.machines();
        if names.is_empty() {
            return Err(PlanError::NoMachine { key: Key::of_fault(number, "kind") });
        }
        let known: BTreeSet<&str> = machines.iter().map(String::as_str).collect();
        match names.into_iter().find(|name| !known.contains(name) && !name.starts_with('@')) {
            None => Ok(()),
            Some(name) => {
                Err(PlanError::UnknownMachine { number, name: name.into(), known: machines.join(", ") })
            }
        }
    }
}

fn range(key: Key, found: u64, low: u64, high: u64) -> Result<(), PlanError> {
    if (low..=high).contains(&found) {
        return Ok(());
    }
    Err(PlanError::Range { key, found, allowed: format!("{low} to {high}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            scenario: "cluster".into(),
            seed: 3,
            duration_ms: 1000,
            world: WorldKnobs::default(),
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
        let text = plan().to_toml().replace("node = ", "knot = 1\nnode = ");
        let error = Plan::from_toml(&text).unwrap_err().in_file("case.toml", &text);
        let line = 1 + text.lines().position(|line| line.starts_with("knot")).unwrap();
        let known = "knot of fault 2 is not known to isolate; allowed are at_ms, for_ms, kind, node";
        assert_eq!(error, format!("case.toml:{line}: {known}"));
    }

    #[test]
    fn mistakes_are_found_in_the_file() {
        let line = |change: fn(&mut Plan), beginning: &str| {
            let mut wrong = plan();
            change(&mut wrong);
            let text = wrong.to_toml();
            let error = wrong.check(&["a".into(), "b".into()], &["clients"]).unwrap_err();
            let line = 1 + text.lines().position(|line| line.starts_with(beginning)).unwrap();
            assert!(
                error.in_file("x.toml", &text).starts_with(&format!("x.toml:{line}: ")),
                "{error}\n{text}"
            );
        };
        line(|plan| plan.duration_ms = 0, "duration_ms");
        line(|plan| plan.world.disk_us_max = 0, "disk_us_max");
        line(|plan| plan.faults[0].for_ms = 0, "for_ms");
        line(|plan| plan.knobs = BTreeMap::from([("wrokers".into(), 1)]), "wrokers");
        line(|plan| plan.faults[1].kind = FaultKind::Isolate { node: "z".into() }, "kind = \"isolate\"");
        line(|plan| plan.faults[1].kind = FaultKind::ClockDrift { node: "a".into(), ppm: -600_000 }, "ppm");
    }

    #[test]
    fn every_kind_has_its_name_in_a_plan() {
        for kind in crate::draw::one_of_each(&["a".into(), "b".into(), "c".into()]) {
            let text =
                Plan { faults: vec![Fault { at_ms: 1, for_ms: 1, kind: kind.clone() }], ..plan() }.to_toml();
            assert!(text.contains(&format!("kind = \"{}\"", kind.name())), "{text}");
            assert_eq!(Plan::from_toml(&text).unwrap().faults[0].kind, kind);
        }
    }
}
