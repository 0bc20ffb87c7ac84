//! The cluster as a scenario: which machines, which knobs, which plan for a seed.

use crate::broker;
use replica::NodeId;
use rt::sim::rng::{Purpose, Rng};
use server::modes::Mode;
use server::options::Tuning;
use server::{NodeOptions, Role};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use world::draw::{DrawInput, Profile, draw};
use world::plan::WorldKnobs;
use world::{Fault, FaultKind, Plan, PlanError};

/// A way to run a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Name.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// Faults that it draws from.
    pub faults: Profile,
    /// Whose clients work, see [`crate::system`].
    pub system: &'static str,
    fixed: bool,
}

/// All scenarios.
pub const SCENARIOS: [Scenario; 7] = [
    Scenario {
        name: "storm",
        about: "knobs and faults drawn from the seed: links, connections, processes, disks, clocks",
        faults: Profile::Swarm,
        system: "raftmetrics",
        fixed: false,
    },
    Scenario {
        name: "calm",
        about: "knobs drawn from the seed, no faults: what fails here fails on a good day",
        faults: Profile::Calm,
        system: "raftmetrics",
        fixed: false,
    },
    Scenario {
        name: "bench",
        about: "1 control and 3 workers, 4 partitions, 50 operations a second, faults: the measured one",
        faults: Profile::Swarm,
        system: "raftmetrics",
        fixed: true,
    },
    Scenario {
        name: "metricstream",
        about: "as storm, with clients of MetricStream: batches, counts, windows, statistics",
        faults: Profile::Swarm,
        system: "metricstream",
        fixed: false,
    },
    Scenario {
        name: "raft3d",
        about: "like storm, with clients of Raft3D, who also move the leadership of group 0",
        faults: Profile::Swarm,
        system: "raft3d",
        fixed: false,
    },
    Scenario {
        name: "analytics",
        about: "as storm, with clients of Distributed Analytics: inserts and averages",
        faults: Profile::Swarm,
        system: "analytics",
        fixed: false,
    },
    Scenario {
        name: "distri",
        about: "as storm, with clients of Distri: documents over the byte protocol and over HTTP, images",
        faults: Profile::Swarm,
        system: "distri",
        fixed: false,
    },
];

/// Kinds of faults of the measured scenario: they stay the same, so that its figures can be compared.
const MEASURED: [&str; 7] =
    ["cut_symmetric", "cut_one_way", "isolate", "crash", "power_loss", "power_loss_at_write", "pause"];

/// Regions where a seed has some: with three, the loss of any one is survived.
const REGIONS: u64 = 3;

/// Clients, where a plan does not say how many.
const CLIENTS: u64 = 3;

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
const MODES: [Mode; 4] = [Mode::Cluster, Mode::Sequential, Mode::Threads, Mode::Async];

impl Scenario {
    /// The scenario of that name.
    pub fn named(name: &str) -> Option<Self> {
        SCENARIOS.into_iter().find(|scenario| scenario.name == name)
    }

    /// Whose clients work in a plan.
    pub fn system_of(plan: &Plan) -> &'static str {
        Scenario::named(&plan.scenario).map_or(SCENARIOS[0].system, |scenario| scenario.system)
    }

    /// The format that the seed's nodes speak in their first life, if it is an older one; they are upgraded
    /// when they are first started again.
    fn first_format(&self, seed: u64) -> Option<u64> {
        let chance = match self.faults {
            _ if self.fixed => 0.0,
            Profile::Upgrade => 0.6,
            Profile::Swarm => 0.15,
            _ => 0.0,
        };
        let mut rng = Rng::numbered(seed, Purpose::Plan, 2);
        rng.chance(chance).then(|| rng.between(1, u64::from(replica::bootstrap::FORMAT) - 1))
    }

    /// What a client of MetricStream may post to a node in a second, in some of the seeds: a little less than
    /// it would like to.
    fn posts_per_second(&self, seed: u64) -> Option<u64> {
        let mut rng = Rng::numbered(seed, Purpose::Plan, 3);
        (self.system == "metricstream" && rng.chance(0.4)).then(|| rng.between(1, 4))
    }

    /// The mode of some of MetricStream's seeds: that of a node alone.
    fn mode(&self, seed: u64) -> Option<u64> {
        let mut rng = Rng::numbered(seed, Purpose::Plan, 4);
        (self.system == "metricstream" && rng.chance(0.2)).then(|| rng.between(1, MODES.len() as u64 - 1))
    }

    /// The workers of a seed whose machines lie in three regions, if it is one.
    fn workers_in_regions(&self, seed: u64) -> Option<u64> {
        let mut rng = Rng::numbered(seed, Purpose::Plan, 5);
        let drawn = !self.fixed && self.faults != Profile::Calm && rng.chance(0.15);
        drawn.then(|| rng.between(3, 6))
    }

    /// Which of MetricStream's queues there are, in half of the seeds each.
    fn queues(&self, seed: u64) -> Vec<&'static str> {
        let mut rng = Rng::numbered(seed, Purpose::Plan, 7);
        let queues = ["queue_in", "queue_out"].into_iter().filter(|_| rng.chance(0.5));
        if self.system == "metricstream" { queues.collect() } else { Vec::new() }
    }

    /// The same scenario with other faults.
    pub fn with_faults(self, faults: Profile) -> Self {
        Scenario { faults, ..self }
    }

    /// Arguments on the command line that name it.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.name != SCENARIOS[0].name {
            arguments.extend(["--scenario".to_owned(), self.name.to_owned()]);
        }
        if Scenario::named(self.name).is_some_and(|usual| usual.faults != self.faults) {
            arguments.extend(["--faults".to_owned(), self.faults.to_string()]);
        }
        arguments
    }

    /// Kinds of faults that it draws from.
    pub fn kinds(&self) -> Vec<&'static str> {
        if self.fixed { MEASURED.to_vec() } else { self.faults.kinds() }
    }

    /// The plan of a seed.
    pub fn plan(&self, seed: u64) -> Plan {
        let mut rng = Rng::numbered(seed, Purpose::Plan, 1);
        let knobs = if self.fixed { bench_knobs() } else { draw_knobs(&mut rng) };
        let duration_ms = if self.fixed { 60_000 } else { rng.between(8, 25) * 1000 };
        let mut world = if self.fixed { WorldKnobs::default() } else { draw_world(&mut rng) };
        // A calm day is calm in the code too.
        world.buggify &= self.faults != Profile::Calm;
        let mut knobs = knobs;
        if let Some(format) = self.first_format(seed) {
            knobs.insert("first_format".into(), format);
        }
        if self.system == "metricstream" {
            knobs.insert("export".into(), 1);
        }
        if let Some(limit) = self.posts_per_second(seed) {
            knobs.insert("posts_per_second".into(), limit);
        }
        if let Some(mode) = self.mode(seed) {
            knobs.extend([("mode".into(), mode), ("workers".into(), 0)]);
        } else if let Some(workers) = self.workers_in_regions(seed) {
            knobs.extend([("regions".to_owned(), REGIONS), ("workers".to_owned(), workers)]);
        }
        knobs.extend(self.queues(seed).into_iter().map(|queue| (queue.to_owned(), 1)));
        let mut plan =
            Plan { scenario: self.name.into(), seed, duration_ms, world, knobs, faults: Vec::new() };
        plan.faults = faults_for(&plan, self.kinds());
        plan
    }
}

/// Faults of `kinds` for a plan, drawn from its seed.
pub fn faults_for(plan: &Plan, kinds: Vec<&'static str>) -> Vec<Fault> {
    let workers = plan.knobs.get("workers").copied().unwrap_or(3);
    let partitions = plan.knobs.get("partitions").copied().unwrap_or(4);
    let selectors = (0..=partitions).map(|group| format!("@leader:{group}")).collect();
    let machines = machine_names(workers);
    let mut clients = client_names(plan.knobs.get("clients").copied().unwrap_or(CLIENTS));
    clients.extend(broker_name(&plan.knobs));
    let duration_ms = plan.duration_ms;
    let input = DrawInput { machines, clients, selectors, duration_ms, max_faults: 12, kinds };
    let mut faults = draw(plan.seed, &input);
    if let Some(regions @ 2..) = plan.knobs.get("regions").copied() {
        faults.extend(lost_regions(plan, workers, regions, &input.kinds));
        faults.sort_by_key(|fault| fault.at_ms);
    }
    faults
}

/// A whole region is cut off or goes down, once or twice.
fn lost_regions(plan: &Plan, workers: u64, regions: u64, kinds: &[&str]) -> Vec<Fault> {
    let mut rng = Rng::numbered(plan.seed, Purpose::Plan, 6);
    let all: Vec<NodeId> = (1..=workers + 1).collect();
    let possible: Vec<&str> =
        ["cut_symmetric", "crash", "power_loss"].into_iter().filter(|kind| kinds.contains(kind)).collect();
    let count = rng.between(1, 2);
    let lost = (0..count).filter_map(|_| {
        let region = rng.between(1, regions);
        let inside = |id: &NodeId| region_of(*id, all.len() as u64, regions) == region;
        let (nodes, others): (Vec<NodeId>, Vec<NodeId>) = all.iter().partition(|id| inside(id));
        let named = |ids: Vec<NodeId>| -> Vec<String> {
            let names = machine_names(workers).into_iter().zip(1..);
            names.filter(|(_, id)| ids.contains(id)).map(|(name, _)| name).collect()
        };
        let (nodes, others) = (named(nodes), named(others));
        if nodes.is_empty() || others.is_empty() {
            return None;
        }
        let kind = match *rng.pick(&possible)? {
            "crash" => FaultKind::Crash { nodes },
            "power_loss" => FaultKind::PowerLoss { nodes },
            _ => FaultKind::CutSymmetric { left: nodes, right: others },
        };
        let at_ms = rng.between(plan.duration_ms / 10, plan.duration_ms);
        Some(Fault { at_ms, for_ms: rng.between(1000, 8000), kind })
    });
    lost.collect()
}

/// The region of node `id`, from 1: neighbours share one, so that groups that were spread over neighbours
/// have to move.
fn region_of(id: NodeId, nodes: u64, regions: u64) -> u64 {
    (id - 1) * regions / nodes.max(1) + 1
}

fn bench_knobs() -> BTreeMap<String, u64> {
    let knobs =
        [("workers", 3), ("partitions", 4), ("clients", 4), ("operations_per_second", 50), ("series", 16)];
    knobs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn draw_knobs(rng: &mut Rng) -> BTreeMap<String, u64> {
    // Small logs, small chunks and few entries kept make compaction and snapshots daily events.
    let knobs = [
        ("workers", if rng.chance(0.7) { 3 } else { rng.between(2, 5) }),
        ("partitions", rng.between(1, 4)),
        ("clients", rng.between(2, 6)),
        ("operations_per_second", rng.between(15, 90)),
        ("series", rng.between(1, 12)),
        ("compact_after_entries", if rng.chance(0.75) { rng.between(4, 60) } else { 8192 }),
        ("trailing_entries", if rng.chance(0.7) { rng.between(0, 4) } else { rng.between(5, 30) }),
        ("snapshot_chunk_bytes", if rng.chance(0.5) { rng.between(100, 2000) } else { 256 << 10 }),
        ("max_batch", if rng.chance(0.3) { rng.between(1, 4) } else { 1024 }),
    ];
    knobs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn draw_world(rng: &mut Rng) -> WorldKnobs {
    let (latency_us_min, disk_us_min) = (rng.between(20, 1000), rng.between(20, 500));
    WorldKnobs {
        latency_us_min,
        latency_us_max: latency_us_min + rng.between(100, 20_000),
        disk_us_min,
        disk_us_max: disk_us_min + rng.between(100, 20_000),
        short_io_percent: if rng.chance(0.3) { rng.between(1, 40) } else { 0 },
        buggify: rng.chance(0.5),
    }
}

/// `control`, `worker-1`, …
pub fn machine_names(workers: u64) -> Vec<String> {
    std::iter::once("control".to_owned()).chain((1..=workers).map(|n| format!("worker-{n}"))).collect()
}

/// The broker's machine, if there is one: it is hit as a client is.
fn broker_name(knobs: &BTreeMap<String, u64>) -> Option<String> {
    let wanted = ["queue_in", "queue_out"].iter().any(|queue| knobs.get(*queue) == Some(&1));
    wanted.then(|| crate::broker::MACHINE.to_owned())
}

/// `client-1`, …
pub fn client_names(clients: u64) -> Vec<String> {
    (1..=clients).map(|n| format!("client-{n}")).collect()
}

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

/// Token of simulated clusters.
pub const TOKEN: &str = "simulated-cluster-token";

/// Address of a node's machine.
pub fn ip_of(id: NodeId) -> IpAddr {
    // A scenario has ten nodes at most.
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, id as u8))
}

/// API address of a node.
pub fn api_of(id: NodeId) -> String {
    format!("{}:8080", ip_of(id))
}

/// Address of a client's machine.
pub fn client_ip(client: u32) -> IpAddr {
    // A scenario has sixteen clients at most.
    IpAddr::V4(Ipv4Addr::new(10, 0, 1, client as u8 + 1))
}
