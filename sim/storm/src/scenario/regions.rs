//! Regions of a run: which machines lie in which, and the loss of whole ones.

use super::machine_names;
use replica::NodeId;
use rt::sim::rng::{Purpose, Rng};
use world::{Fault, FaultKind, Plan};

/// A whole region is cut off or goes down, once or twice.
pub(super) fn lost_regions(plan: &Plan, workers: u64, regions: u64, kinds: &[&str]) -> Vec<Fault> {
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
pub(super) fn region_of(id: NodeId, nodes: u64, regions: u64) -> u64 {
    (id - 1) * regions / nodes.max(1) + 1
}
