//! What can go wrong: one variant a kind, with the machines that it hits and its strength.
//!
//! Machines are named; `@leader:N` names the machine that leads raft group N when the fault begins, or
//! what else the scenario says that it knows. Leaves out how a fault is carried out
//! ([`crate::nemesis`]) and which ones a seed draws ([`mod@crate::draw`]).

use serde::{Deserialize, Serialize};

/// What a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Links and connections.
    Network,
    /// The life of processes and machines.
    Process,
    /// Storage.
    Disk,
    /// Clocks.
    Clock,
}

/// How a slow link's latency is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Always `typical_ms`.
    Fixed,
    /// Evenly between `typical_ms` and `worst_ms`.
    Uniform,
    /// Exponential with mean `typical_ms`, never above `worst_ms`.
    Exponential,
    /// `typical_ms` at most, and one in twenty between half of `worst_ms` and `worst_ms`.
    TwoMode,
}

/// What becomes of connection requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocked {
    /// No answer.
    Hang,
    /// Refused, as where nobody listens.
    Refuse,
    /// Accepted and reset at once.
    Reset,
}

/// What goes wrong.
#[allow(missing_docs, reason = "fields are named after what they are, units last; the variant says the rest")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "snake_case")]
pub enum FaultKind {
    /// No way between two sides, in either direction: halves, a minority, one against all.
    CutSymmetric { left: Vec<String>, right: Vec<String> },
    /// No way from one side to the other; the way back is free.
    CutOneWay { from: Vec<String>, to: Vec<String> },
    /// No way between one machine and all others of the cluster. Clients still reach it.
    Isolate { node: String },
    /// No way between two sides but over one machine that both see.
    Bridge { left: Vec<String>, right: Vec<String>, bridge: String },
    /// Each machine sees a majority, no two the same one: everyone sees its neighbours in a ring.
    MajoritiesRing { nodes: Vec<String> },
    /// A link that holds everything and lets it go in order at the end.
    Clog { from: Vec<String>, to: Vec<String> },
    /// A cut that comes and goes.
    Flapping { left: Vec<String>, right: Vec<String>, period_ms: u64 },
    /// A link with other latencies.
    SlowLink { from: Vec<String>, to: Vec<String>, shape: Shape, typical_ms: u64, worst_ms: u64 },
    /// A link that loses segments; TCP sends them again, later.
    LossyLink { from: Vec<String>, to: Vec<String>, loss_percent: u64 },
    /// A link of little bandwidth, with a queue that overflows.
    ThinLink { from: Vec<String>, to: Vec<String>, bytes_per_s: u64, queue_bytes: u64 },
    /// The connections are reset, and there are no new ones.
    BlockedConnects { from: Vec<String>, to: Vec<String>, how: Blocked },
    /// All connections between two sides are reset, at the begin.
    ResetConnections { left: Vec<String>, right: Vec<String> },
    /// A middle box forgets all connections between two sides: both ends believe in them, nothing gets
    /// through any more. New ones work.
    ForgottenConnections { left: Vec<String>, right: Vec<String> },

    /// Processes are killed (`kill -9`) and start again.
    Crash { nodes: Vec<String> },
    /// Machines lose power, with it what was not synced, and start again.
    PowerLoss { nodes: Vec<String> },
    /// A machine loses power in the middle of its disk work, at the n-th operation from now, and starts
    /// again.
    PowerLossAtWrite { node: String, operations: u64 },
    /// A process is stopped (`SIGSTOP`) and goes on.
    Pause { node: String },
    /// A machine comes back with an empty disk: it must not be taken for the one that it was.
    Wipe { node: String },
    /// Machines are restarted one after the other, each down for `down_ms`.
    RollingRestart { nodes: Vec<String>, down_ms: u64 },

    /// A read fails, once: the n-th from now. The process is restarted at the begin, so that it reads.
    ReadError { node: String, after: u64 },
    /// A write fails, once: the n-th from now.
    WriteError { node: String, after: u64 },
    /// A sync fails, once: the n-th from now. What it should have made durable is lost.
    SyncError { node: String, after: u64 },
    /// No room for more than `free_bytes`.
    DiskFull { node: String, free_bytes: u64 },
    /// Disk work takes this much longer.
    SlowDisk { node: String, min_ms: u64, max_ms: u64 },
    /// Disk work does not come back.
    StalledDisk { node: String },
    /// Bits flip in sectors that were synced long ago; the process is restarted at the end.
    BitRot { node: String, sectors: u64 },
    /// Sectors cannot be read any more; the process is restarted at the end.
    LatentSectorError { node: String, sectors: u64 },
    /// The n-th write from now goes to another place of its file; the process is restarted at the end.
    MisdirectedWrite { node: String, after: u64 },

    /// A wall clock that is wrong by this much.
    ClockOffset { node: String, ms: i64 },
    /// A wall clock that jumps, and stays so.
    ClockJump { node: String, ms: i64 },
    /// A clock that runs fast or slow.
    ClockDrift { node: String, ppm: i64 },
    /// A wall clock that jumps back and forth.
    ClockStrobe { node: String, ms: i64, period_ms: u64 },
}

/// The largest strength of every number, so that a plan stays within what a run can show.
const HOUR_MS: u64 = 3_600_000;
const YEARS_MS: u64 = 100 * 365 * 24 * HOUR_MS;

/// A number of a fault with its allowed range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Name of the field.
    pub field: &'static str,
    /// Its size.
    pub value: u64,
    /// Smallest.
    pub low: u64,
    /// Largest.
    pub high: u64,
}

macro_rules! kinds {
    ($($family:ident: $($variant:ident $name:literal),+ ;)+) => {
        impl FaultKind {
            /// Names of all kinds.
            pub const NAMES: &[&str] = &[$($($name),+),+];

            /// Name of the kind.
            pub fn name(&self) -> &'static str {
                match self { $($(FaultKind::$variant { .. } => $name),+),+ }
            }

            /// What it hits.
            pub fn family(&self) -> Family {
                match self { $($(FaultKind::$variant { .. } => Family::$family),+),+ }
            }

            /// Names of the kinds of a family.
            pub fn names_of(family: Family) -> &'static [&'static str] {
                match family { $(Family::$family => &[$($name),+]),+ }
            }
        }
    };
}

kinds! {
    Network: CutSymmetric "cut_symmetric", CutOneWay "cut_one_way", Isolate "isolate", Bridge "bridge",
        MajoritiesRing "majorities_ring", Clog "clog", Flapping "flapping", SlowLink "slow_link",
        LossyLink "lossy_link", ThinLink "thin_link", BlockedConnects "blocked_connects",
        ResetConnections "reset_connections", ForgottenConnections "forgotten_connections";
    Process: Crash "crash", PowerLoss "power_loss", PowerLossAtWrite "power_loss_at_write", Pause "pause",
        Wipe "wipe", RollingRestart "rolling_restart";
    Disk: ReadError "read_error", WriteError "write_error", SyncError "sync_error", DiskFull "disk_full",
        SlowDisk "slow_disk", StalledDisk "stalled_disk", BitRot "bit_rot",
        LatentSectorError "latent_sector_error", MisdirectedWrite "misdirected_write";
    Clock: ClockOffset "clock_offset", ClockJump "clock_jump", ClockDrift "clock_drift",
        ClockStrobe "clock_strobe";
}

impl FaultKind {
    /// Machines it names.
    pub fn machines(&self) -> Vec<&str> {
        use FaultKind as F;
        let names: Vec<&String> = match self {
            F::CutSymmetric { left: a, right: b }
            | F::ResetConnections { left: a, right: b }
            | F::ForgottenConnections { left: a, right: b }
            | F::Flapping { left: a, right: b, .. }
            | F::CutOneWay { from: a, to: b }
            | F::Clog { from: a, to: b }
            | F::SlowLink { from: a, to: b, .. }
            | F::LossyLink { from: a, to: b, .. }
            | F::ThinLink { from: a, to: b, .. }
            | F::BlockedConnects { from: a, to: b, .. } => a.iter().chain(b).collect(),
            F::Bridge { left, right, bridge } => left.iter().chain(right).chain([bridge]).collect(),
            F::Crash { nodes }
            | F::PowerLoss { nodes }
            | F::MajoritiesRing { nodes }
            | F::RollingRestart { nodes, .. } => nodes.iter().collect(),
            F::Isolate { node }
            | F::PowerLossAtWrite { node, .. }
            | F::Pause { node }
            | F::Wipe { node }
            | F::ReadError { node, .. }
            | F::WriteError { node, .. }
            | F::SyncError { node, .. }
            | F::DiskFull { node, .. }
            | F::SlowDisk { node, .. }
            | F::StalledDisk { node }
            | F::BitRot { node, .. }
            | F::LatentSectorError { node, .. }
            | F::MisdirectedWrite { node, .. }
            | F::ClockOffset { node, .. }
            | F::ClockJump { node, .. }
            | F::ClockDrift { node, .. }
            | F::ClockStrobe { node, .. } => vec![node],
        };
        names.into_iter().map(String::as_str).collect()
    }

    /// True if it may take a machine's synced data away: only a minority may suffer that at a time.
    pub fn damages(&self) -> bool {
        use FaultKind as F;
        matches!(
            self,
            F::Wipe { .. }
                | F::SyncError { .. }
                | F::BitRot { .. }
                | F::LatentSectorError { .. }
                | F::MisdirectedWrite { .. }
        )
    }

    /// Its numbers with their ranges.
    pub fn numbers(&self) -> Vec<Limited> {
        use FaultKind as F;
        let n = |field, value, low, high| Limited { field, value, low, high };
        let signed = |field, value: i64, high| n(field, value.unsigned_abs(), 1, high);
        match self {
            F::Flapping { period_ms, .. } => vec![n("period_ms", *period_ms, 1, HOUR_MS)],
            F::SlowLink { typical_ms, worst_ms, .. } => {
                let worst = n("worst_ms", *worst_ms, (*typical_ms).max(1), 600_000);
                vec![n("typical_ms", *typical_ms, 0, 600_000), worst]
            }
            F::LossyLink { loss_percent, .. } => vec![n("loss_percent", *loss_percent, 1, 100)],
            F::ThinLink { bytes_per_s, queue_bytes, .. } => {
                vec![
                    n("bytes_per_s", *bytes_per_s, 100, 1 << 40),
                    n("queue_bytes", *queue_bytes, 1500, 1 << 40),
                ]
            }
            F::PowerLossAtWrite { operations, .. } => vec![n("operations", *operations, 1, 1 << 32)],
            F::RollingRestart { down_ms, .. } => vec![n("down_ms", *down_ms, 1, HOUR_MS)],
            F::ReadError { after, .. }
            | F::WriteError { after, .. }
            | F::SyncError { after, .. }
            | F::MisdirectedWrite { after, .. } => vec![n("after", *after, 1, 1 << 32)],
            F::DiskFull { free_bytes, .. } => vec![n("free_bytes", *free_bytes, 0, 1 << 40)],
            F::SlowDisk { min_ms, max_ms, .. } => {
                vec![n("min_ms", *min_ms, 0, HOUR_MS), n("max_ms", *max_ms, (*min_ms).max(1), HOUR_MS)]
            }
            F::BitRot { sectors, .. } | F::LatentSectorError { sectors, .. } => {
                vec![n("sectors", *sectors, 1, 1 << 20)]
            }
            F::ClockOffset { ms, .. } | F::ClockJump { ms, .. } => vec![signed("ms", *ms, YEARS_MS)],
            F::ClockDrift { ppm, .. } => vec![signed("ppm", *ppm, 500_000)],
            F::ClockStrobe { ms, period_ms, .. } => {
                vec![signed("ms", *ms, YEARS_MS), n("period_ms", *period_ms, 1, HOUR_MS)]
            }
            _ => Vec::new(),
        }
    }
}
