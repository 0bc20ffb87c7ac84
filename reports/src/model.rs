//! What a report is made of: plain data, no behaviour. Writers fill it, renderers read it.
//!
//! The JSON form of [`Report`] is `report.json`; [`SCHEMA_VERSION`] rises with every change that a
//! reader of an older file would notice.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the JSON form of [`Report`].
pub const SCHEMA_VERSION: u32 = 1;

/// One run of the main job, or the half of it that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// Where and from what the figures come.
    pub build: BuildInfo,
    /// When the run began, RFC 3339 in UTC.
    pub started_at: String,
    /// Wall time of the whole run.
    pub elapsed_seconds: f64,
    /// True when the run was interrupted, so that the halves hold only what ran.
    pub interrupted: bool,
    /// Does it stay correct? `None` when this half was not asked for.
    pub simulation: Option<SimulationReport>,
    /// How fast is it? `None` when this half was not asked for.
    pub load: Option<LoadReport>,
}

/// The program and the machine behind a figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BuildInfo {
    /// Commit the program was built from, short form, or `unknown`.
    pub commit: String,
    /// True when the work tree had changes at build time.
    pub dirty: bool,
    /// `release` or `debug`.
    pub profile: String,
    /// Cargo features that change what is measured, for example `sim`.
    pub features: Vec<String>,
    /// Number of processors the run could use.
    pub cpus: usize,
    /// Operating system and architecture, for example `linux x86_64`.
    pub platform: String,
}

/// Result of a sweep over seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SimulationReport {
    /// Name of the scenario.
    pub scenario: String,
    /// First seed of the sweep.
    pub first_seed: u64,
    /// Seeds that were asked for.
    pub seeds_requested: u64,
    /// One entry for each seed that ran, in seed order.
    pub seeds: Vec<SeedResult>,
    /// Wall time of the sweep.
    pub elapsed_seconds: f64,
    /// Workers.
    pub jobs: usize,
    /// Which faults were drawn: `swarm`, `disk`, …; empty where a scenario has none to choose from.
    #[serde(default)]
    pub profile: String,
    /// What a campaign of this kind has to show, or it shows nothing.
    #[serde(default)]
    pub expected: Expected,
    /// Seeds of a long campaign that held and are only summed up here, not in `seeds`.
    #[serde(default)]
    pub folded: Option<Folded>,
    /// Memory that the campaign took, where it was watched.
    #[serde(default)]
    pub memory: Option<MemoryUse>,
}

/// Seeds that held, summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Folded {
    /// How many.
    pub seeds: u64,
    /// Their simulated time.
    pub simulated_seconds: f64,
    /// Their events.
    pub events: u64,
    /// Their operations.
    pub operations: OperationCounts,
    /// Their elections.
    pub elections: u64,
    /// Their faults, by kind.
    pub faults: BTreeMap<String, FoldedFault>,
    /// States that they reached: how often, and in how many seeds.
    pub reached: BTreeMap<String, (u64, u64)>,
}

/// A fault kind over folded seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldedFault {
    /// Planned.
    pub armed: u64,
    /// Begun.
    pub fired: u64,
    /// Observed.
    pub bit: u64,
    /// Seeds in which it fired.
    pub seeds: u64,
}

/// Resident memory of a campaign's processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// The campaign's own process, at most.
    pub own_peak_bytes: u64,
    /// The campaign's own process, at the end.
    pub own_last_bytes: u64,
    /// A worker process, at most; 0 where seeds ran on threads.
    pub worker_peak_bytes: u64,
    /// A worker process after its last seed.
    pub worker_last_bytes: u64,
    /// Worker processes that died or were killed.
    pub worker_deaths: u64,
}

/// What must have happened in a campaign at least once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Fault kinds that must have bitten.
    pub faults: Vec<String>,
    /// States that must have been reached, as `sometimes!` and `reachable!` in the code name them.
    pub states: Vec<String>,
}

/// What one seed did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub verdict: SeedVerdict,
    /// Simulated time that passed.
    pub simulated_seconds: f64,
    /// Wall time it took.
    pub wall_seconds: f64,
    /// Hash over every event of the run, hexadecimal: one seed, one hash.
    pub event_hash: String,
    /// Events behind the hash.
    pub events: u64,
    /// Client operations by outcome.
    pub operations: OperationCounts,
    /// Leaders elected.
    pub elections: u64,
    /// What was injected, by fault kind.
    pub faults: Vec<FaultCount>,
    /// States of `sometimes!` and `reachable!` that were reached, and how often.
    #[serde(default)]
    pub reached: BTreeMap<String, u64>,
    /// `buggify!` sites that fired, and how often.
    #[serde(default)]
    pub buggified: BTreeMap<String, u64>,
    /// Violations found, the first one first. Empty unless the verdict is `Violated`.
    pub violations: Vec<ViolationReport>,
    /// Why the harness itself failed. Only with `HarnessFault`.
    pub harness_fault: Option<String>,
    /// The command that replays this seed.
    pub replay: String,
    /// Files saved for a failing seed (event log, history, plan).
    pub artifacts: Vec<String>,
    /// What happened when, for the timeline. Kept for failing seeds and for the first seed only.
    pub timeline: Option<Timeline>,
}

/// How a seed ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeedVerdict {
    /// Every judge is content.
    #[default]
    Held,
    /// A judge found a broken law.
    Violated,
    /// The harness failed; says nothing about the cluster.
    HarnessFault,
}

/// Client operations of a run by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationCounts {
    /// Answered with success.
    pub ok: u64,
    /// Refused, without effect.
    pub rejected: u64,
    /// No answer: may or may not have taken effect.
    pub unknown: u64,
}

/// How often a fault kind was injected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCount {
    /// Kind, for example `cut_symmetric`.
    pub kind: String,
    /// Planned.
    #[serde(default)]
    pub armed: u64,
    /// Begun on at least one machine.
    pub fired: u64,
    /// Changed something that a node could observe (held a segment, killed a running node, lost a write).
    pub bit: u64,
}

/// One broken law.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ViolationReport {
    /// Judge that found it, for example `durability`.
    pub judge: String,
    /// Simulated time, if the judge can tell.
    pub at_seconds: Option<f64>,
    /// What was seen and what the law asks, in one or a few sentences.
    pub evidence: String,
}

/// What happened when in one seed. All times in simulated seconds from the start of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Length of the run.
    pub end_seconds: f64,
    /// Names of the nodes, in lane order.
    pub nodes: Vec<String>,
    /// Faults as bands.
    pub faults: Vec<FaultBand>,
    /// Leaderships as bars.
    pub leaderships: Vec<Leadership>,
    /// Client operations as dots.
    pub operations: Vec<OperationDot>,
}

/// A fault from its begin to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultBand {
    /// Kind, for example `cut_symmetric`.
    pub kind: String,
    /// Nodes it hits.
    pub nodes: Vec<String>,
    /// Begin.
    pub from_seconds: f64,
    /// End.
    pub to_seconds: f64,
}

/// A node leading a raft group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Leadership {
    /// Node name.
    pub node: String,
    /// Raft group.
    pub group: u64,
    /// Term.
    pub term: u64,
    /// Begin.
    pub from_seconds: f64,
    /// End.
    pub to_seconds: f64,
}

/// A client operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationDot {
    /// When it began.
    pub at_seconds: f64,
    /// How long it took, in milliseconds.
    pub latency_ms: f64,
    /// `ok`, `rejected` or `unknown`.
    pub outcome: String,
    /// True for a write.
    pub write: bool,
}

/// Result of a load run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// What was driven: `embedded cluster: 1 control + 3 workers, ...` or the target addresses.
    pub target: String,
    /// Highest rate that had to hold.
    pub target_rps: f64,
    /// The steps, in the order in which they ran.
    pub steps: Vec<LoadStep>,
    /// One point a second over the whole run.
    pub seconds: Vec<LoadSecond>,
    /// Acknowledged writes against stored ones, where the run could check it.
    pub consistency: Option<LoadConsistency>,
    /// Wall time.
    pub elapsed_seconds: f64,
}

/// After the load: is every acknowledged write stored?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadConsistency {
    /// Writes that were answered with success.
    pub acknowledged: u64,
    /// Writes without an answer: each may be stored or not.
    pub unknown: u64,
    /// Writes that the cluster holds at the end.
    pub stored: u64,
    /// `acknowledged <= stored <= acknowledged + unknown`.
    pub held: bool,
}

/// One constant rate held for some seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadStep {
    /// Rate asked for.
    pub target_rps: f64,
    /// Length of the measured part.
    pub duration_seconds: f64,
    /// Arrivals due in the measured part.
    pub offered: u64,
    /// Of these: handed to a connection.
    pub sent: u64,
    /// Of these: sent within 10 ms of their due time.
    pub sent_on_time: u64,
    /// Answered as expected.
    pub ok: u64,
    /// Everything else, by class.
    pub errors: Vec<ErrorCount>,
    /// End of answer minus due time: what a user waits.
    pub intended: LatencySummary,
    /// End of answer minus time of sending: what the cluster took.
    pub service: LatencySummary,
    /// Time of sending minus due time: what the generator owes.
    pub queue: LatencySummary,
    /// How late the pacer thread woke.
    pub pacer_lag: LatencySummary,
    /// Processor use of the load generator's threads over the step, 1.0 is one processor.
    pub client_cpus: f64,
    /// Processor use of the embedded cluster's threads, where it is in this process.
    pub cluster_cpus: Option<f64>,
    /// May the figures be used?
    pub validity: Validity,
    /// Did the cluster carry the step? Meaningless when the step is invalid.
    pub carried: bool,
    /// Why not, when it did not.
    pub missed: Option<String>,
}

/// Requests that failed, by class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// Class, for example `timeout`, `status 503`, `connect`, `shed by generator`.
    pub class: String,
    /// How many.
    pub count: u64,
}

/// Whether a step's figures may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum Validity {
    /// The generator did its part.
    #[default]
    Valid,
    /// The generator did not keep its schedule; the reason says how.
    Invalid(String),
}

/// Latencies in microseconds, from an HDR histogram with three significant digits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Values recorded.
    pub count: u64,
    /// Smallest.
    pub min_us: u64,
    /// Mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    pub p999_us: u64,
    /// Largest.
    pub max_us: u64,
    /// Percentile curve: (percentile 0..=100, value in microseconds).
    pub curve: Vec<(f64, u64)>,
}

/// One second of a load run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSecond {
    /// Seconds since the load began.
    pub at_seconds: f64,
    /// Arrivals due in this second.
    pub offered: u64,
    /// Sent in this second.
    pub sent: u64,
    /// Answered well in this second.
    pub ok: u64,
    /// Failed in this second.
    pub failed: u64,
    /// Median from the due time.
    pub intended_p50_us: u64,
    /// 99th percentile from the due time.
    pub intended_p99_us: u64,
    /// Median from sending.
    pub service_p50_us: u64,
    /// 99th percentile from sending.
    pub service_p99_us: u64,
}
