//! Where partitions live, and how that changes when nodes come and go: with as few moves as possible.
//!
//! Pure functions: what they give goes into the log as the effect of a command, so every replica must
//! compute the same.

use super::Regions;
use replica::{GroupSpec, NodeId};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// Replicas of a partition where there are enough nodes.
const REPLICAS: usize = 3;

/// Where the partitions live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Nodes that do the work. A node that replaces another one takes its place here too.
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
            let voters: Vec<NodeId> = turned.chain(control).copied().take(REPLICAS).collect();
            let home = voters.first().copied().unwrap_or(0);
            GroupSpec { group: partition as u64 + 1, voters, learners: Vec::new(), home }
        });
        Placement { workers: workers.to_vec(), partitions: specs.collect() }
    }

    /// True if `node` holds a replica of any partition.
    pub fn uses(&self, node: NodeId) -> bool {
        self.partitions.iter().any(|spec| spec.contains(node))
    }

    /// Number of replicas on `node`.
    pub(super) fn load(&self, node: NodeId) -> usize {
        self.partitions.iter().filter(|spec| spec.contains(node)).count()
    }

    pub(super) fn homes(&self, node: NodeId) -> usize {
        self.partitions.iter().filter(|spec| spec.home == node).count()
    }

    /// How many partitions are at home in `node`'s region; 0 if it has none.
    pub(super) fn homes_near(&self, node: NodeId, regions: &Regions) -> usize {
        let Some(region) = regions.of(node) else { return 0 };
        self.partitions.iter().filter(|spec| regions.of(spec.home) == Some(region)).count()
    }

    /// `new` takes all places of `old`.
    pub fn replace(&mut self, old: NodeId, new: NodeId) {
        let places = self.partitions.iter_mut().flat_map(|spec| {
            spec.voters.iter_mut().chain(&mut spec.learners).chain(std::iter::once(&mut spec.home))
        });
        for place in places.chain(&mut self.workers).filter(|place| **place == old) {
            *place = new;
        }
    }

    /// `node` leaves: its replicas go to workers that have none of the partition, of another region than its
    /// other voters if there are such, and among these to the least loaded; then to `control` nodes. Where
    /// nobody is left to take one, the partition has one replica less.
    pub fn evacuate(&mut self, node: NodeId, control: &[NodeId], regions: &Regions) {
        self.workers.retain(|worker| *worker != node);
        for place in 0..self.partitions.len() {
            let spec = &self.partitions[place];
            if !spec.contains(node) {
                continue;
            }
            let free = |candidate: &&NodeId| !spec.contains(**candidate);
            let spread = |heir: NodeId| Reverse(regions.count_after(&spec.voters, node, heir));
            let heirs = self.workers.iter().copied().filter(|heir| free(&heir));
            let heir = heirs.min_by_key(|heir| (spread(*heir), self.load(*heir), *heir));
            let others = control.iter().copied().filter(|other| *other != node && free(&other));
            let heir = heir.or_else(|| others.min_by_key(|other| (spread(*other), *other)));
            let spec = &mut self.partitions[place];
            match heir {
                Some(heir) => spec.voters.iter_mut().filter(|v| **v == node).for_each(|v| *v = heir),
                None => spec.voters.retain(|voter| *voter != node),
            }
        }
        self.find_homes(node, regions);
    }

    /// Partitions at home on `node` move to the voter with the fewest, then in the region with the fewest.
    fn find_homes(&mut self, node: NodeId, regions: &Regions) {
        for place in 0..self.partitions.len() {
            if self.partitions[place].home == node {
                self.find_home(place, regions);
            }
        }
    }

    pub(super) fn find_home(&mut self, place: usize, regions: &Regions) {
        let voters = self.partitions[place].voters.iter().copied();
        let home = voters.min_by_key(|voter| (self.homes(*voter), self.homes_near(*voter, regions), *voter));
        self.partitions[place].home = home.unwrap_or(0);
    }

    /// `node` joins as a worker and takes a fair share: first where replicas are missing or held by a node
    /// that does no work, then from the most loaded workers, and home to its share of partitions. It takes
    /// no replica whose partition would lie in fewer regions then.
    pub fn welcome(&mut self, node: NodeId, regions: &Regions) {
        if self.workers.contains(&node) {
            return;
        }
        self.workers.push(node);
        let workers = self.workers.clone();
        for spec in self.partitions.iter_mut().filter(|spec| !spec.contains(node)) {
            let stopgap = spec.voters.iter().position(|voter| !workers.contains(voter));
            match stopgap {
                _ if spec.voters.len() < REPLICAS => spec.voters.push(node),
                Some(place) => spec.voters[place] = node,
                None => {}
            }
        }
        let replicas: usize = self.partitions.iter().map(|spec| spec.voters.len()).sum();
        let share = replicas / workers.len().max(1);
        while self.load(node) < share {
            let Some((place, from)) = self.most_loaded_without(node, regions) else { break };
            let voters = &mut self.partitions[place].voters;
            voters.iter_mut().filter(|voter| **voter == from).for_each(|voter| *voter = node);
        }
        self.move_homes(node, regions);
    }

    /// A partition without `node`, and the most loaded worker in it; first of all one that lies in too few
    /// regions.
    fn most_loaded_without(&self, node: NodeId, regions: &Regions) -> Option<(usize, NodeId)> {
        let specs = self.partitions.iter().enumerate().filter(|(_, spec)| !spec.contains(node));
        let held = specs.flat_map(|(place, spec)| spec.voters.iter().map(move |voter| (place, *voter)));
        let regions_after = |place: usize, voter: NodeId| {
            let voters = &self.partitions[place].voters;
            (regions.count_after(voters, voter, node), regions.count(voters))
        };
        let fit = held.filter(|(place, voter)| {
            let (after, now) = regions_after(*place, *voter);
            after >= now
        });
        fit.max_by_key(|(place, voter)| {
            let (after, now) = regions_after(*place, *voter);
            (after > now, self.load(*voter), Reverse((*voter, *place)))
        })
    }

    fn move_homes(&mut self, node: NodeId, regions: &Regions) {
        let share = self.partitions.len() / self.workers.len().max(1);
        for place in 0..self.partitions.len() {
            let spec = &self.partitions[place];
            let homeless = !spec.contains(spec.home);
            let wanted = self.homes(node) < share && self.homes(spec.home) > share;
            if spec.contains(node) && (homeless || wanted) {
                self.partitions[place].home = node;
            }
        }
        let gone: Vec<NodeId> =
            self.partitions.iter().filter(|spec| !spec.contains(spec.home)).map(|spec| spec.home).collect();
        gone.into_iter().for_each(|home| self.find_homes(home, regions));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn a_successor_takes_every_place() {
        let mut placement = Placement::spread(&[2, 3, 4], &[1], 4);
        placement.replace(3, 9);
        assert_eq!(placement, Placement::spread(&[2, 9, 4], &[1], 4));
    }

    #[test]
    fn a_third_worker_relieves_the_control_node() {
        let mut placement = Placement::spread(&[2, 3], &[1], 4);
        placement.welcome(4, &Regions::default());
        assert!(placement.partitions.iter().all(|spec| !spec.contains(1) && spec.voters.len() == 3));
        placement.evacuate(4, &[1], &Regions::default());
        assert!(placement.partitions.iter().all(|spec| spec.contains(1) && spec.voters.len() == 3));
    }

    proptest! {
        /// Whoever comes and goes: no node twice in a partition, homes vote, loads stay near each other.
        #[test]
        fn placements_stay_sound(partitions in 1u32..12, steps in proptest::collection::vec(any::<(bool, u8)>(), 0..12)) {
            let mut placement = Placement::spread(&[2, 3, 4], &[1], partitions);
            for (number, (comes, pick)) in steps.into_iter().enumerate() {
                if comes {
                    placement.welcome(number as NodeId + 10, &Regions::default());
                } else if placement.workers.len() > 1 {
                    let node = placement.workers[pick as usize % placement.workers.len()];
                    placement.evacuate(node, &[1], &Regions::default());
                    prop_assert!(!placement.uses(node));
                }
                let wanted = (placement.workers.len() + 1).min(3);
                for spec in &placement.partitions {
                    let mut voters = spec.voters.clone();
                    voters.sort_unstable();
                    voters.dedup();
                    prop_assert_eq!(voters.len(), spec.voters.len());
                    prop_assert_eq!(voters.len(), wanted);
                    prop_assert!(voters.contains(&spec.home), "{:?}", spec);
                }
                if comes {
                    let newest = *placement.workers.last().unwrap();
                    let replicas: usize = placement.partitions.iter().map(|s| s.voters.len()).sum();
                    prop_assert!(placement.load(newest) >= (replicas / placement.workers.len()).min(partitions as usize));
                }
            }
        }
    }
}
