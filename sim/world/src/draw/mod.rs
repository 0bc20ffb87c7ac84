//! A plan drawn from a seed.
//!
//! Swarm testing: each seed first draws which fault kinds exist at all, then how many, when, where and
//! how long. What it may draw is survivable by construction: every acknowledged entry is synced on a
//! quorum, and no fault here takes synced bytes.

use crate::plan::{Fault, FaultKind};
use rt::sim::rng::{Purpose, Rng};

/// What a plan is drawn for.
#[derive(Clone, Debug)]
pub struct DrawInput {
    /// The cluster's machines.
    pub machines: Vec<String>,
    /// Selectors that the scenario resolves, such as `@leader:1`.
    pub selectors: Vec<String>,
    /// Length of the load.
    pub duration_ms: u64,
    /// Faults at most.
    pub max_faults: u64,
}

/// Faults of a seed, in order of their begin.
pub fn draw(seed: u64, input: &DrawInput) -> Vec<Fault> {
    let mut rng = Rng::new(seed, Purpose::Plan);
    let kinds: Vec<&str> = FaultKind::NAMES.into_iter().filter(|_| rng.chance(0.6)).collect();
    if kinds.is_empty() || input.machines.len() < 2 {
        return Vec::new();
    }
    let count = rng.between(2, input.max_faults.max(2));
    let mut faults: Vec<Fault> = (0..count).map(|_| draw_fault(&mut rng, &kinds, input)).collect();
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}

fn draw_fault(rng: &mut Rng, kinds: &[&str], input: &DrawInput) -> Fault {
    let kind = rng.pick(kinds).copied().unwrap_or("isolate");
    // Nothing in the first moments: a cluster that never came up has nothing to lose.
    let at_ms = rng.between(input.duration_ms / 20, input.duration_ms);
    // Most faults are short, some outlast every timeout.
    let for_ms = if rng.chance(0.7) { rng.between(50, 2500) } else { rng.between(2500, 9000) };
    Fault { at_ms, for_ms, kind: draw_kind(rng, kind, input) }
}

fn draw_kind(rng: &mut Rng, kind: &str, input: &DrawInput) -> FaultKind {
    let all = &input.machines;
    match kind {
        "cut_symmetric" => {
            let (left, right) = split(rng, all);
            FaultKind::CutSymmetric { left, right }
        }
        "cut_one_way" => {
            let (from, to) = split(rng, all);
            FaultKind::CutOneWay { from, to }
        }
        "crash" => FaultKind::Crash { nodes: some(rng, input) },
        "power_loss" => FaultKind::PowerLoss { nodes: some(rng, input) },
        "power_loss_at_write" => {
            FaultKind::PowerLossAtWrite { node: one(rng, input), operations: rng.between(1, 60) }
        }
        "pause" => FaultKind::Pause { node: one(rng, input) },
        _ => FaultKind::Isolate { node: one(rng, input) },
    }
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
    let size = rng.between(1, left.len() as u64 - 1) as usize;
    let mut right = left.split_off(size);
    let kept = rng.between(1, right.len() as u64) as usize;
    right.truncate(kept);
    (left, right)
}

fn shuffled(rng: &mut Rng, items: &[String]) -> Vec<String> {
    let mut items = items.to_vec();
    for place in (1..items.len()).rev() {
        items.swap(place, rng.below(place as u64 + 1) as usize);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn input() -> DrawInput {
        DrawInput {
            machines: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            selectors: vec!["@leader:1".into()],
            duration_ms: 20_000,
            max_faults: 10,
        }
    }

    #[test]
    fn a_seed_draws_one_plan_and_seeds_draw_all_kinds() {
        assert_eq!(draw(5, &input()), draw(5, &input()));
        let kinds: BTreeSet<&str> =
            (0..50).flat_map(|seed| draw(seed, &input())).map(|f| f.kind.name()).collect();
        assert_eq!(kinds, BTreeSet::from(FaultKind::NAMES));
    }

    #[test]
    fn sides_are_apart() {
        for seed in 0..200 {
            let (left, right) = split(&mut Rng::new(seed, Purpose::Plan), &input().machines);
            assert!(!left.is_empty() && !right.is_empty() && left.iter().all(|name| !right.contains(name)));
        }
    }
}
