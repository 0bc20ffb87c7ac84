//! One fault: where it hits, and how hard.

use super::DrawInput;
use crate::plan::{Blocked, FaultKind, Shape};
use rt::sim::rng::Rng;

pub(super) fn draw(rng: &mut Rng, kind: &str, input: &DrawInput) -> FaultKind {
    network(rng, kind, input)
        .or_else(|| process(rng, kind, input))
        .or_else(|| disk(rng, kind, input))
        .or_else(|| clock(rng, kind, input))
        .unwrap_or_else(|| FaultKind::Isolate { node: one(rng, input) })
}

fn network(rng: &mut Rng, kind: &str, input: &DrawInput) -> Option<FaultKind> {
    // Clients' links break as well, if not as often.
    let all = [input.machines.as_slice(), &input.clients].concat();
    let machines = if rng.chance(0.3) { &all } else { &input.machines };
    let (from, to) = split(rng, machines);
    let (left, right) = (from.clone(), to.clone());
    Some(match kind {
        "cut_symmetric" => FaultKind::CutSymmetric { left, right },
        "cut_one_way" => FaultKind::CutOneWay { from, to },
        "bridge" => bridge(rng, &input.machines)?,
        "majorities_ring" => FaultKind::MajoritiesRing { nodes: shuffled(rng, &input.machines) },
        "clog" => FaultKind::Clog { from, to },
        "flapping" => FaultKind::Flapping { left, right, period_ms: rng.between(20, 1500) },
        "slow_link" => slow_link(rng, from, to),
        "lossy_link" => FaultKind::LossyLink { from, to, loss_percent: rng.between(2, 60) },
        "thin_link" => FaultKind::ThinLink {
            from,
            to,
            bytes_per_s: 1 << rng.between(10, 17),
            queue_bytes: 1 << rng.between(12, 16),
        },
        "blocked_connects" => {
            let how = [Blocked::Hang, Blocked::Refuse, Blocked::Reset];
            FaultKind::BlockedConnects { from, to, how: *rng.pick(&how)? }
        }
        "reset_connections" => FaultKind::ResetConnections { left, right },
        "forgotten_connections" => FaultKind::ForgottenConnections { left, right },
        _ => return None,
    })
}

fn slow_link(rng: &mut Rng, from: Vec<String>, to: Vec<String>) -> FaultKind {
    let shapes = [Shape::Fixed, Shape::Uniform, Shape::Exponential, Shape::TwoMode];
    let shape = rng.pick(&shapes).copied().unwrap_or(Shape::Fixed);
    // From hardly noticeable to beyond an election timeout.
    let typical_ms = 1 << rng.between(2, 9);
    FaultKind::SlowLink { from, to, shape, typical_ms, worst_ms: typical_ms * rng.between(2, 8) }
}

fn bridge(rng: &mut Rng, machines: &[String]) -> Option<FaultKind> {
    let mut others = shuffled(rng, machines);
    let bridge = others.pop()?;
    if others.len() < 2 {
        return None;
    }
    let right = others.split_off(rng.between(1, others.len() as u64 - 1) as usize);
    Some(FaultKind::Bridge { left: others, right, bridge })
}

fn process(rng: &mut Rng, kind: &str, input: &DrawInput) -> Option<FaultKind> {
    Some(match kind {
        "crash" => FaultKind::Crash { nodes: some(rng, input) },
        "power_loss" => FaultKind::PowerLoss { nodes: some(rng, input) },
        "power_loss_at_write" => {
            FaultKind::PowerLossAtWrite { node: one(rng, input), operations: rng.between(1, 60) }
        }
        "pause" => FaultKind::Pause { node: one(rng, input) },
        "wipe" => FaultKind::Wipe { node: one(rng, input) },
        "rolling_restart" => {
            FaultKind::RollingRestart { nodes: shuffled(rng, &input.machines), down_ms: rng.between(20, 800) }
        }
        _ => return None,
    })
}

fn disk(rng: &mut Rng, kind: &str, input: &DrawInput) -> Option<FaultKind> {
    let node = one(rng, input);
    let after = rng.between(1, 40);
    Some(match kind {
        "read_error" => FaultKind::ReadError { node, after: rng.between(1, 8) },
        "write_error" => FaultKind::WriteError { node, after },
        "sync_error" => FaultKind::SyncError { node, after: rng.between(1, 10) },
        // From none at all to room for a page or two: a store uses what it has freed first.
        "disk_full" => {
            let magnitude = rng.between(1, 13);
            FaultKind::DiskFull { node, free_bytes: rng.below(1 << magnitude) }
        }
        "slow_disk" => {
            let min_ms = rng.below(200);
            FaultKind::SlowDisk { node, min_ms, max_ms: min_ms + rng.between(10, 600) }
        }
        "stalled_disk" => FaultKind::StalledDisk { node },
        "bit_rot" => FaultKind::BitRot { node, sectors: rng.between(1, 30) },
        "latent_sector_error" => FaultKind::LatentSectorError { node, sectors: rng.between(1, 30) },
        "misdirected_write" => FaultKind::MisdirectedWrite { node, after },
        _ => return None,
    })
}

fn clock(rng: &mut Rng, kind: &str, input: &DrawInput) -> Option<FaultKind> {
    let node = one(rng, input);
    // From a second to ten years, either way.
    let size = 1000i64 << rng.between(0, 28);
    let ms = if rng.chance(0.5) { size } else { -size };
    Some(match kind {
        "clock_offset" => FaultKind::ClockOffset { node, ms },
        "clock_jump" => FaultKind::ClockJump { node, ms },
        "clock_drift" => {
            // Crystals are off by 200 ppm at most; broken ones and virtual machines by far more.
            let ppm = 1i64 << rng.between(7, 17);
            FaultKind::ClockDrift { node, ppm: if rng.chance(0.5) { ppm } else { -ppm } }
        }
        "clock_strobe" => FaultKind::ClockStrobe { node, ms, period_ms: rng.between(5, 1000) },
        _ => return None,
    })
}

/// A machine, or with good odds one that matters.
fn one(rng: &mut Rng, input: &DrawInput) -> String {
    let leader = rng.chance(0.5).then(|| rng.pick(&input.selectors)).flatten();
    leader.or_else(|| rng.pick(&input.machines)).cloned().unwrap_or_default()
}

/// One machine mostly, a majority or all now and then.
fn some(rng: &mut Rng, input: &DrawInput) -> Vec<String> {
    let all = input.machines.len() as u64;
    match rng.below(10) {
        0..6 => vec![one(rng, input)],
        6..9 => shuffled(rng, &input.machines).into_iter().take((all / 2 + 1) as usize).collect(),
        _ => input.machines.clone(),
    }
}

/// Two sides without a common machine, neither empty; some machines may be on neither.
fn split(rng: &mut Rng, machines: &[String]) -> (Vec<String>, Vec<String>) {
    let mut left = shuffled(rng, machines);
    let size = rng.between(1, (left.len() as u64).saturating_sub(1)) as usize;
    let mut right = left.split_off(size.min(left.len()));
    // Half of the cuts take in every machine: halves, a minority against the rest.
    let kept = if rng.chance(0.5) { right.len() as u64 } else { rng.between(1, right.len() as u64) };
    right.truncate(kept as usize);
    (left, right)
}

fn shuffled(rng: &mut Rng, items: &[String]) -> Vec<String> {
    let mut items = items.to_vec();
    for place in (1..items.len()).rev() {
        items.swap(place, rng.below(place as u64 + 1) as usize);
    }
    items
}
