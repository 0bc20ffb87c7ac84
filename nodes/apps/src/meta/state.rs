//! The meta group's state machine.

use super::{Command, Query};
use replica::machine::{Row, RowChange, Stored};
use replica::{GroupSpec, NodeId, StateMachine};
use serde::{Deserialize, Serialize};

const ROW: &[u8] = b"placement";

/// Where the partitions live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Nodes that do the work, in order of their ids.
    pub workers: Vec<NodeId>,
    /// One for each partition: partition `p` at place `p`, as group `p + 1`.
    pub partitions: Vec<GroupSpec>,
}

impl Placement {
    /// Spreads `partitions` over `workers`, with up to three replicas each; `control` nodes hold
    /// replicas only where there are fewer than three workers.
    pub fn spread(workers: &[NodeId], control: &[NodeId], partitions: u32) -> Self {
        let specs = (0..partitions as usize).map(|partition| {
            let start = if workers.is_empty() { 0 } else { partition % workers.len() };
            let turned = workers[start..].iter().chain(&workers[..start]);
            let voters: Vec<NodeId> = turned.chain(control).copied().take(3).collect();
            let home = voters.first().copied().unwrap_or(0);
            GroupSpec { group: partition as u64 + 1, voters, learners: Vec::new(), home }
        });
        Placement { workers: workers.to_vec(), partitions: specs.collect() }
    }
}

/// The state.
#[derive(Default)]
pub struct State {
    placement: Option<Placement>,
    changed: bool,
}

impl StateMachine for State {
    fn apply(&mut self, command: &[u8], _at_ms: u64) -> Vec<u8> {
        if let Ok(Command::Place(placement)) = postcard::from_bytes(command)
            && self.placement.is_none()
        {
            self.placement = Some(placement);
            self.changed = true;
        }
        Vec::new()
    }

    fn query(&self, query: &[u8], _stored: &dyn Stored) -> Vec<u8> {
        match postcard::from_bytes(query) {
            // Serialisation of plain data into memory has no way to fail.
            Ok(Query::Placement) => postcard::to_stdvec(&self.placement).unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    fn take_changes(&mut self) -> Vec<RowChange> {
        if !std::mem::take(&mut self.changed) {
            return Vec::new();
        }
        let value = self.placement.as_ref().map(|p| postcard::to_stdvec(p).unwrap_or_default());
        vec![(ROW.to_vec(), value)]
    }

    fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        for (key, value) in rows {
            if key != ROW {
                return Err(format!("unknown row {key:?}"));
            }
            self.placement = Some(postcard::from_bytes(&value).map_err(|e| format!("placement: {e}"))?);
        }
        Ok(())
    }

    fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&postcard::to_stdvec(&self.placement).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_workers_share_and_two_get_help() {
        let three = Placement::spread(&[2, 3, 4], &[1], 4);
        let homes: Vec<NodeId> = three.partitions.iter().map(|spec| spec.home).collect();
        assert_eq!(homes, [2, 3, 4, 2]);
        assert!(three.partitions.iter().all(|spec| spec.voters.len() == 3 && !spec.voters.contains(&1)));
        let two = Placement::spread(&[2, 3], &[1], 2);
        assert_eq!(two.partitions[1].voters, [3, 2, 1]);
        assert_eq!(Placement::spread(&[2], &[], 1).partitions[0].voters, [2]);
    }

    #[test]
    fn the_first_placement_stands() {
        let mut state = State::default();
        let first = Placement::spread(&[2], &[1], 1);
        state.apply(&Command::Place(first.clone()).encode(), 0);
        state.apply(&Command::Place(Placement::spread(&[3], &[1], 9)).encode(), 0);
        assert_eq!(state.placement, Some(first));
    }
}
