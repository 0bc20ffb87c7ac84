//! Which nodes hold what, as every node computes it from the same configuration.

use apps::META_GROUP;
use apps::meta::Placement;
use apps::meta::members::META_VOTERS;
use replica::{GroupSpec, NodeId};
use std::collections::BTreeSet;

/// The nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// All nodes.
    pub nodes: BTreeSet<NodeId>,
    /// Those that do no work of their own.
    pub control: BTreeSet<NodeId>,
}

impl Topology {
    /// The meta group: the three lowest ids vote, the others learn. (An even number of voters would
    /// survive no more failures than one less.)
    pub fn meta_spec(&self) -> GroupSpec {
        let nodes: Vec<NodeId> = self.nodes.iter().copied().collect();
        let voters: Vec<NodeId> = nodes.iter().copied().take(META_VOTERS).collect();
        let learners = nodes.iter().copied().skip(META_VOTERS).collect();
        let home = voters.first().copied().unwrap_or(0);
        GroupSpec { group: META_GROUP, voters, learners, home }
    }

    /// Nodes that do the work.
    pub fn workers(&self) -> Vec<NodeId> {
        self.nodes.difference(&self.control).copied().collect()
    }

    /// Where `partitions` live in a new cluster.
    pub fn placement(&self, partitions: u32) -> Placement {
        let control: Vec<NodeId> = self.control.iter().copied().collect();
        Placement::spread(&self.workers(), &control, partitions)
    }

    /// `control`, `worker-1`, …
    pub fn name(&self, node: NodeId) -> String {
        if self.control.contains(&node) {
            return if self.control.len() == 1 { "control".into() } else { format!("control-{node}") };
        }
        let place = self.workers().iter().position(|worker| *worker == node).unwrap_or(0);
        format!("worker-{}", place + 1)
    }
}
