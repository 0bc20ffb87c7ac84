//! Knobs of a plan: what may be set, and what nodes are started with because of it.

use super::Scenario;
use super::places::{TOKEN, api_of, broker_name, client_names, ip_of, machine_names};
use super::regions::region_of;
use crate::broker;
use replica::NodeId;
use server::modes::Mode;
use server::options::Tuning;
use server::{NodeOptions, Role};
use std::collections::BTreeMap;
use std::time::Duration;
use world::{Plan, PlanError};

/// Clients, where a plan does not say how many.
pub(super) const CLIENTS: u64 = 3;

/// Knobs of a plan: name, smallest and largest value that a plan may set.
const KNOBS: [(&str, u64, u64); 16] = [
    // 0: a node alone, see `mode`.
    ("workers", 0, 9),
    ("partitions", 1, 16),
    ("clients", 1, 16),
    ("operations_per_second", 1, 1000),
    ("series", 1, 64),
    ("compact_after_entries", 2, 1_000_000),
    ("trailing_entries", 0, 1_000_000),
    ("snapshot_chunk_bytes", 64, 16 << 20),
    ("max_batch", 1, 4096),
    // The format that every node speaks in its first life; in later ones it speaks today's.
    ("first_format", 1, replica::bootstrap::FORMAT as u64),
    // 1: MetricStream's points are written to metrics.jsonl, too.
    ("export", 0, 1),
    // What MetricStream takes of one client on one node; without it there is no limit.
    ("posts_per_second", 1, 1000),
    // How the API is served: its place in `MODES`. All but the first are those of a node alone.
    ("mode", 0, MODES.len() as u64 - 1),
    // Regions that the machines lie in, neighbours together; without it there are none.
    ("regions", 1, 4),
    // 1: MetricStream takes messages in from a broker, and publishes its points to it.
    ("queue_in", 0, 1),
    ("queue_out", 0, 1),
];

/// Modes of the scaling journey, as the knob `mode` counts them.
pub(super) const MODES: [Mode; 4] = [Mode::Cluster, Mode::Sequential, Mode::Threads, Mode::Async];

/// Knobs of a plan, checked.
#[derive(Clone, Debug)]
pub struct Knobs {
    values: BTreeMap<String, u64>,
    /// Whose clients work.
    system: &'static str,
}

impl Knobs {
    /// The knobs of `plan`; the plan is checked as a whole.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn of(plan: &Plan) -> Result<Self, PlanError> {
        for (name, low, high) in KNOBS {
            let found = plan.knobs.get(name).copied();
            if let Some(found) = found.filter(|found| !(low..=high).contains(found)) {
                let allowed = format!("{low} to {high}");
                let key = world::plan::Key { fault: None, path: format!("knobs.{name}") };
                return Err(PlanError::Range { key, found, allowed });
            }
        }
        let knobs = Knobs { values: plan.knobs.clone(), system: Scenario::system_of(plan) };
        if knobs.is_alone() != knobs.mode().is_alone() {
            let key = world::plan::Key { fault: None, path: "knobs.workers".into() };
            let allowed = if knobs.is_alone() { "1 to 9 in mode 0" } else { "0 in modes 1 to 3" };
            return Err(PlanError::Range { key, found: knobs.workers(), allowed: allowed.into() });
        }
        let mut machines = [machine_names(knobs.workers()), client_names(knobs.clients())].concat();
        machines.extend(broker_name(&knobs.values));
        plan.check(&machines, &KNOBS.map(|(name, ..)| name))?;
        Ok(knobs)
    }

    /// A knob's value.
    pub fn get(&self, name: &str, default: u64) -> u64 {
        self.values.get(name).copied().unwrap_or(default)
    }

    /// Number of workers.
    pub fn workers(&self) -> u64 {
        self.get("workers", 3)
    }

    /// How the API is served.
    fn mode(&self) -> Mode {
        let place = usize::try_from(self.get("mode", 0)).unwrap_or(usize::MAX);
        MODES.get(place).copied().unwrap_or_default()
    }

    /// True if there is one node and nobody else.
    pub fn is_alone(&self) -> bool {
        self.workers() == 0
    }

    /// Number of clients.
    pub fn clients(&self) -> u64 {
        self.get("clients", CLIENTS)
    }

    /// True if there is a message broker.
    pub fn has_broker(&self) -> bool {
        broker_name(&self.values).is_some()
    }

    /// Ids of all nodes: 1 is the control node.
    pub fn nodes(&self) -> Vec<NodeId> {
        (1..=self.workers() + 1).collect()
    }

    /// The format that nodes speak in their first life.
    pub fn first_format(&self) -> u32 {
        let today = replica::bootstrap::FORMAT;
        u32::try_from(self.get("first_format", u64::from(today))).unwrap_or(today)
    }

    fn tuning(&self) -> Tuning {
        let standard = Tuning::default();
        let size = |name, default: usize| usize::try_from(self.get(name, default as u64)).unwrap_or(default);
        Tuning {
            compact_after_entries: size("compact_after_entries", standard.compact_after_entries),
            trailing_entries: self.get("trailing_entries", standard.trailing_entries),
            snapshot_chunk_bytes: size("snapshot_chunk_bytes", standard.snapshot_chunk_bytes),
            max_batch: size("max_batch", standard.max_batch),
            // A machine's memory is small here: there are many of them.
            cache_bytes: 1 << 20,
            ..standard
        }
    }

    /// Options of node `id`, but for its observer.
    pub fn node_options(&self, id: NodeId) -> NodeOptions {
        let peers = self.nodes().into_iter().map(|id| (id, format!("{}:9090", ip_of(id)))).collect();
        let role = match id {
            1 if self.is_alone() => Role::All,
            1 => Role::Control,
            _ => Role::Worker,
        };
        let mut options = NodeOptions::new(id, role, &api_of(id), peers, "/data".into());
        options.partitions = u32::try_from(self.get("partitions", 4)).unwrap_or(4);
        if let regions @ 1.. = self.get("regions", 0) {
            options.region = Some(format!("region-{}", region_of(id, self.workers() + 1, regions)));
        }
        options.token = TOKEN.into();
        options.request_deadline = Duration::from_secs(2);
        options.tuning = self.tuning();
        options.mode = self.mode();
        let mut settings = serde_json::Map::new();
        if self.get("export", 0) == 1 {
            settings.insert("export".into(), true.into());
        }
        if let limit @ 1.. = self.get("posts_per_second", 0) {
            settings.insert("rate_limit".into(), format!("{limit}/s").into());
        }
        let (url, stream) = (format!("nats://{}", broker::HOST), broker::IN);
        if self.get("queue_in", 0) == 1 {
            settings.insert("queue_in".into(), serde_json::json!({ "url": url, "stream": stream }));
        }
        if self.get("queue_out", 0) == 1 {
            let (stream, subject) = (broker::OUT, broker::SUBJECT);
            let table = serde_json::json!({ "url": url, "stream": stream, "subject": subject });
            settings.insert("queue_out".into(), table);
        }
        options.brokers = self.has_broker().then(broker::brokers);
        if !settings.is_empty() {
            options.settings.insert("metricstream".into(), settings.into());
        }
        if self.system == "distri" {
            // The byte protocol, which others' clients do not use.
            let listen = format!("{}:{}", ip_of(id), crate::system::distri::PORT);
            options.settings.insert("distri".into(), serde_json::json!({ "listen": listen }));
        }
        options
    }
}
