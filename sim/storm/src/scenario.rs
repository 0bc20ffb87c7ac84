//! The cluster as a scenario: which machines, which knobs, which plan for a seed.

mod knobs;
mod places;
mod regions;

pub use knobs::Knobs;
pub use places::{TOKEN, api_of, client_ip, client_names, ip_of, machine_names};

use knobs::{CLIENTS, MODES};
use places::broker_name;
use regions::lost_regions;
use rt::sim::rng::{Purpose, Rng};
use std::collections::BTreeMap;
use world::draw::{DrawInput, Profile, draw};
use world::plan::WorldKnobs;
use world::{Fault, Plan};

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
