//! The invented course of one seed.

use super::dice::Dice;
use crate::model::{FaultBand, Leadership, OperationDot, Timeline};

const NODES: [&str; 6] = ["control-1", "control-2", "control-3", "worker-1", "worker-2", "worker-3"];
const END: f64 = 58.0;

/// Faults on one node: kind and greatest length.
const ON_ONE: [(&str, f64); 7] = [
    ("crash", 4.0),
    ("power_loss", 5.0),
    ("pause", 3.0),
    ("disk_stall", 6.0),
    ("clock_jump", 0.0),
    ("torn_write", 0.0),
    ("cut_one_way", 7.0),
];

pub(super) fn of(seed: u64) -> Timeline {
    let mut dice = Dice::new(seed ^ 0x5eed);
    let faults = faults(&mut dice);
    let leaderships = (1..=3).flat_map(|group| leaderships(&mut dice, group, &faults)).collect();
    let operations = (0..6_400).map(|index| operation(&mut dice, index, &faults)).collect();
    Timeline { end_seconds: END, nodes: NODES.map(str::to_owned).to_vec(), faults, leaderships, operations }
}

fn faults(dice: &mut Dice) -> Vec<FaultBand> {
    let mut faults = Vec::new();
    let mut at = 3.0;
    while at < 42.0 {
        let (kind, nodes, longest) = if dice.chance(0.3) {
            let first = dice.below(3) as usize;
            ("cut_symmetric", vec![NODES[first], NODES[first + 3]], 8.0)
        } else {
            let (kind, longest) = ON_ONE[dice.below(7) as usize];
            (kind, vec![NODES[dice.below(6) as usize]], longest)
        };
        faults.push(FaultBand {
            kind: kind.to_owned(),
            nodes: nodes.into_iter().map(str::to_owned).collect(),
            from_seconds: at,
            to_seconds: at + longest * dice.between(0.4, 1.0),
        });
        at += dice.between(0.8, 4.0);
    }
    faults
}

/// Group 1 lives on the control nodes, the others on the workers. A leader that is hit loses its place.
fn leaderships(dice: &mut Dice, group: u64, faults: &[FaultBand]) -> Vec<Leadership> {
    let members = if group == 1 { &NODES[..3] } else { &NODES[3..] };
    let mut bars = Vec::new();
    let (mut at, mut term, mut leader) = (dice.between(0.3, 0.9), 1, dice.below(3) as usize);
    while at < END {
        let hit = faults
            .iter()
            .filter(|fault| fault.to_seconds - fault.from_seconds > 2.0 && fault.from_seconds > at)
            .find(|fault| fault.nodes.iter().any(|node| node == members[leader]));
        let end = hit.map_or(END, |fault| (fault.from_seconds + dice.between(0.2, 0.9)).min(END));
        bars.push(Leadership {
            node: members[leader].to_owned(),
            group,
            term,
            from_seconds: at,
            to_seconds: end,
        });
        at = end + dice.between(0.3, 1.4);
        term += 1 + dice.below(2);
        leader = (leader + 1 + dice.below(2) as usize) % 3;
    }
    bars
}

fn operation(dice: &mut Dice, index: u64, faults: &[FaultBand]) -> OperationDot {
    let at_seconds = (index as f64 + dice.unit()) * 54.0 / 6_400.0 + 1.2;
    let troubled = faults
        .iter()
        .any(|fault| fault.nodes.len() > 1 && (fault.from_seconds..fault.to_seconds).contains(&at_seconds));
    let (median, spread) = if troubled { (24.0, 1.1) } else { (6.0, 0.5) };
    let outcome = match dice.unit() {
        share if share < 0.03 && troubled => "unknown",
        share if share < 0.05 && troubled => "rejected",
        share if share < 0.003 => "rejected",
        _ => "ok",
    };
    let latency_ms = match outcome {
        "unknown" => 5_000.0 + dice.between(0.0, 40.0),
        "rejected" => dice.skewed(2.0, 0.4),
        _ => dice.skewed(median, spread),
    };
    OperationDot { at_seconds, latency_ms, outcome: outcome.to_owned(), write: dice.chance(0.5) }
}
