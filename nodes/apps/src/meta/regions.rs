//! Which member lives in which region, and what that means for where groups live: a group's voters lie in as
//! many different regions as there are, so that the loss of one stops nothing.
//!
//! A region is a label, nothing more: what fails together. A member without one counts for no region. Groups
//! move for the sake of regions only once every worker has one: while labels come one after the other, half
//! of them would move there and back.

use super::Placement;
use replica::NodeId;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Longest name of a region. Part of the format.
const LONGEST: usize = 64;

/// Regions by member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regions(BTreeMap<NodeId, String>);

impl Regions {
    /// True if a region may have that name: letters, digits, `-`, `_` and `.`, 64 at most.
    pub fn is_sound(name: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=LONGEST).contains(&name.len()) && name.bytes().all(fits)
    }

    /// The region that `node` lives in.
    pub fn of(&self, node: NodeId) -> Option<&str> {
        self.0.get(&node).map(String::as_str)
    }

    /// True if no member has a region.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `node` lives there; in no region, if that is empty. True if that is news.
    pub(super) fn set(&mut self, node: NodeId, region: &str) -> bool {
        let new = (!region.is_empty()).then(|| region.to_owned());
        let old = match new.clone() {
            Some(region) => self.0.insert(node, region),
            None => self.0.remove(&node),
        };
        old != new
    }

    /// The others in `node`'s region.
    pub fn neighbours(&self, node: NodeId) -> BTreeSet<NodeId> {
        let own = self.of(node);
        let near = self.0.iter().filter(|(other, region)| **other != node && Some(region.as_str()) == own);
        near.map(|(other, _)| *other).collect()
    }

    /// True if there are regions, and each of the `nodes` lives in one.
    pub(super) fn cover(&self, nodes: &[NodeId]) -> bool {
        !self.is_empty() && nodes.iter().all(|node| self.0.contains_key(node))
    }

    /// In how many different regions the `nodes` live.
    pub(super) fn count(&self, nodes: &[NodeId]) -> usize {
        nodes.iter().filter_map(|node| self.of(*node)).collect::<BTreeSet<_>>().len()
    }

    /// In how many they would live if `new` came in the place of `old`.
    pub(super) fn count_after(&self, nodes: &[NodeId], old: NodeId, new: NodeId) -> usize {
        let after: Vec<NodeId> = nodes.iter().map(|node| if *node == old { new } else { *node }).collect();
        self.count(&after)
    }
}

impl Placement {
    /// Moves replicas, as few as possible, until the voters of each partition lie in as many regions as the
    /// workers do (three at most); then evens the homes. Does nothing before every worker has a region.
    pub fn spread_regions(&mut self, regions: &Regions) {
        if !regions.cover(&self.workers) {
            return;
        }
        for place in 0..self.partitions.len() {
            while let Some((old, new)) = self.widening(place, regions) {
                let spec = &mut self.partitions[place];
                spec.voters.iter_mut().filter(|voter| **voter == old).for_each(|voter| *voter = new);
                if spec.home == old {
                    self.find_home(place, regions);
                }
            }
        }
        self.even_homes(regions);
    }

    /// The swap of voters that brings a partition into one region more: away from the most loaded, towards
    /// the least loaded, and not from where it is at home if that can be helped.
    fn widening(&self, place: usize, regions: &Regions) -> Option<(NodeId, NodeId)> {
        let spec = &self.partitions[place];
        let now = regions.count(&spec.voters);
        let free = self.workers.iter().filter(|worker| !spec.contains(**worker));
        let swaps = free.flat_map(|new| spec.voters.iter().map(move |old| (*old, *new)));
        let wider = swaps.filter(|(old, new)| regions.count_after(&spec.voters, *old, *new) > now);
        wider.min_by_key(|(old, new)| {
            (*old == spec.home, Reverse(self.load(*old)), self.load(*new), *old, *new)
        })
    }

    /// Partitions move home to another voter where that makes the numbers of nodes more even, or those of
    /// regions without harm to nodes. Each move does one of both, so there is an end.
    fn even_homes(&mut self, regions: &Regions) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for place in 0..self.partitions.len() {
                let home = self.partitions[place].home;
                let here = (self.homes(home), self.homes_near(home, regions));
                let voters = self.partitions[place].voters.iter().filter(|v| self.workers.contains(v));
                let better = voters.copied().find(|other| {
                    let near = regions.of(*other) != regions.of(home);
                    let there =
                        (self.homes(*other) + 1, self.homes_near(*other, regions) + usize::from(near));
                    there < here
                });
                if let Some(better) = better {
                    self.partitions[place].home = better;
                    moved = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
