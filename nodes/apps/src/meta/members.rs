//! The table of members: who belongs to the cluster, where they are reached, and what each should hold.
//!
//! The table begins when all configured nodes speak format 2, and from then on it alone says who belongs.
//! An id is given out once. What a change means for the placement is computed here, at once and by every
//! replica alike; carrying it out is the leader's work (`nodes/server/src/reconcile.rs`).

use super::{Placement, Regions};
use replica::{Directory, GroupSpec, NodeId, Target};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Voters of the meta group where there are enough nodes: more would make every change slower, not safer.
pub const META_VOTERS: usize = 3;

/// Table versions begin here: 0 is what was configured, 1 what was heard from others.
const FIRST_VERSION: u64 = 2;

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Votes on placement, forwards requests.
    Control,
    /// Holds partitions.
    Worker,
}

/// How far a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Configured from the beginning, and has not said yet that it runs.
    Expected,
    /// Has its id, and has not said yet that it runs.
    Joining,
    /// Takes part.
    Active,
    /// Gives its places away, then is removed.
    Leaving,
}

/// A node that belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// For people.
    pub name: String,
    /// Peer address.
    pub peer: String,
    /// API address; empty until the node has started.
    pub api: String,
    /// What it does.
    pub role: MemberRole,
    /// How far it is.
    pub state: MemberState,
    /// The data folder it joined with; 0 for those configured from the beginning.
    pub token: u64,
    /// Whose places it takes as soon as it runs.
    pub replaces: Option<NodeId>,
}

/// What a node that joins says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Names its data folder: asking again gives the same id.
    pub token: u64,
    /// For people.
    pub name: String,
    /// Peer address.
    pub peer: String,
    /// API address.
    pub api: String,
    /// What it does.
    pub role: MemberRole,
    /// Whose places it takes. Without it, and if that node is gone: the member with its peer address, if
    /// there is one.
    pub replaces: Option<NodeId>,
}

/// Why a change of members was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// There is no table yet.
    #[error("the cluster's members cannot change yet: not every configured node has said that it can")]
    TooEarly,
    /// Nobody of that id.
    #[error("there is no such member")]
    NoMember,
    /// Nobody would do the work.
    #[error("this is the last worker")]
    LastWorker,
    /// Nobody would vote on placement.
    #[error("this is the last node that takes part")]
    LastNode,
    /// The member has another role than the one that it would replace.
    #[error("the member to be replaced has another role")]
    OtherRole,
    /// No name for a region. (Since format 4.)
    #[error("a region's name has 1 to 64 letters, digits, `-`, `_` and `.`")]
    BadRegion,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Rises with every change.
    pub version: u64,
    /// The next id to be given out.
    pub next: NodeId,
    /// All members by id.
    pub members: BTreeMap<NodeId, Member>,
    /// Ids of those who were members.
    pub removed: BTreeSet<NodeId>,
    /// Where partitions should live.
    pub placement: Placement,
    /// Where the meta group should live.
    pub meta: GroupSpec,
    /// Where the meta group began.
    pub meta_genesis: GroupSpec,
    /// Who lives in which region. Not among a table's bytes, which are older: it has a row of its own, and
    /// its own place in answers.
    #[serde(skip)]
    pub regions: Regions,
}

impl Table {
    /// The table of a cluster that has never changed.
    pub fn new(members: BTreeMap<NodeId, Member>, placement: Placement, meta: GroupSpec) -> Self {
        let next = members.keys().next_back().copied().unwrap_or(0) + 1;
        let (meta_genesis, removed) = (meta.clone(), BTreeSet::new());
        let (version, regions) = (FIRST_VERSION, Regions::default());
        Table { version, next, members, removed, placement, meta, meta_genesis, regions }
    }

    /// As connections want it.
    pub fn directory(&self) -> Directory {
        let started = |member: &Member| member.state != MemberState::Expected;
        Directory {
            version: self.version,
            addresses: self.members.iter().map(|(id, member)| (*id, member.peer.clone())).collect(),
            started: self.members.iter().filter(|(_, m)| started(m)).map(|(id, _)| *id).collect(),
            removed: self.removed.clone(),
        }
    }

    /// What every group should look like, the meta group first.
    pub fn targets(&self) -> Vec<Target> {
        let all = std::iter::once(&self.meta).chain(&self.placement.partitions);
        let target = |spec: &GroupSpec| Target {
            group: spec.group,
            version: self.version,
            voters: spec.voters.clone(),
            learners: spec.learners.clone(),
        };
        all.map(target).collect()
    }

    /// Leaving members whose places have all been given to others.
    pub fn can_be_removed(&self) -> Vec<NodeId> {
        let leaving = self.members.iter().filter(|(_, member)| member.state == MemberState::Leaving);
        let free = |node: &NodeId| !self.placement.uses(*node) && !self.meta.voters.contains(node);
        leaving.map(|(node, _)| *node).filter(free).collect()
    }

    fn active(&self, role: MemberRole, but: NodeId) -> Vec<NodeId> {
        let members = self.members.iter();
        let fit = members.filter(|(id, m)| m.state == MemberState::Active && m.role == role && **id != but);
        fit.map(|(id, _)| *id).collect()
    }

    /// Whom a node that joins replaces.
    fn replaced_by(&self, join: &Join) -> Option<NodeId> {
        let named = join.replaces.filter(|node| self.members.contains_key(node));
        let at_its_address = self.members.iter().rev().find(|(_, member)| member.peer == join.peer);
        // At one address lives one node: whoever was there last is gone.
        at_its_address.map(|(id, _)| *id).or(named)
    }

    /// A node joins. Gives its id.
    ///
    /// # Errors
    /// [`Refused`]; nothing is changed then.
    pub fn join(&mut self, join: &Join) -> Result<NodeId, Refused> {
        if let Some((id, _)) = self.members.iter().find(|(_, member)| member.token == join.token) {
            return Ok(*id);
        }
        let mut replaces = self.replaced_by(join);
        if let Some(old) = replaces.and_then(|node| self.members.get_mut(&node)) {
            if old.role != join.role {
                return Err(Refused::OtherRole);
            }
            let never_ran = old.state == MemberState::Joining;
            old.state = MemberState::Leaving;
            if never_ran {
                replaces = old.replaces.take();
            }
        }
        let id = self.next;
        self.next += 1;
        self.version += 1;
        let Join { token, name, peer, api, role, .. } = join.clone();
        self.members
            .insert(id, Member { name, peer, api, role, state: MemberState::Joining, token, replaces });
        self.meta.learners.push(id);
        Ok(id)
    }

    /// A node runs, and is reached at these addresses.
    ///
    /// # Errors
    /// [`Refused`]; nothing is changed then.
    pub fn started(&mut self, node: NodeId, peer: &str, api: &str) -> Result<(), Refused> {
        let member = self.members.get_mut(&node).ok_or(Refused::NoMember)?;
        let moved = (member.peer.as_str(), member.api.as_str()) != (peer, api);
        (member.peer, member.api) = (peer.into(), api.into());
        self.version += u64::from(moved);
        let joins = match member.state {
            MemberState::Expected => false,
            MemberState::Joining => true,
            MemberState::Active | MemberState::Leaving => return Ok(()),
        };
        member.state = MemberState::Active;
        self.version += 1;
        let (role, replaces) = (member.role, member.replaces.take());
        match replaces.filter(|old| self.members.contains_key(old)) {
            Some(old) => self.succeed(old, node),
            None if joins && role == MemberRole::Worker => self.placement.welcome(node, &self.regions),
            None => {}
        }
        self.spread_regions();
        Ok(())
    }

    fn succeed(&mut self, old: NodeId, new: NodeId) {
        if !self.placement.workers.contains(&old) && !self.placement.uses(old) {
            // It had given its places away already.
            let is_worker = self.members.get(&new).is_some_and(|m| m.role == MemberRole::Worker);
            if is_worker {
                self.placement.welcome(new, &self.regions);
            }
        } else {
            self.placement.replace(old, new);
        }
        self.swap_meta_voter(old, new);
    }

    /// `new` votes on placement in the place of `old`, which goes on listening until it is removed.
    fn swap_meta_voter(&mut self, old: NodeId, new: NodeId) {
        let Some(place) = self.meta.voters.iter().position(|voter| *voter == old) else { return };
        self.meta.voters[place] = new;
        self.meta.learners.retain(|learner| *learner != new);
        self.meta.learners.push(old);
        if self.meta.home == old {
            self.meta.home = new;
        }
    }

    /// Of the `candidates`, the first that brings the meta group into as many regions as possible, in the
    /// place of `old` or, without one (0), as one voter more.
    fn next_meta_voter(&self, candidates: &[NodeId], old: NodeId) -> Option<NodeId> {
        let others: Vec<NodeId> = self.meta.voters.iter().copied().filter(|voter| *voter != old).collect();
        let regions = |node: NodeId| self.regions.count(&[&others[..], &[node]].concat());
        let free = candidates.iter().copied().filter(|node| !self.meta.voters.contains(node));
        free.min_by_key(|node| Reverse(regions(*node)))
    }

    /// Voters of the meta group that are missing come from those who have listened so far, all at once: two
    /// voters survive no more than one, and fail twice as often. (Since format 3: a cluster that one node
    /// founded alone has one voter at first.)
    pub fn fill_meta(&mut self) {
        let (control, workers) = (self.active(MemberRole::Control, 0), self.active(MemberRole::Worker, 0));
        let all = control.into_iter().chain(workers);
        let free: Vec<NodeId> = all.filter(|node| !self.meta.voters.contains(node)).collect();
        let missing = META_VOTERS.saturating_sub(self.meta.voters.len());
        if missing == 0 || free.len() < missing {
            return;
        }
        for _ in 0..missing {
            let Some(node) = self.next_meta_voter(&free, 0) else { break };
            self.meta.learners.retain(|learner| *learner != node);
            self.meta.voters.push(node);
        }
        self.version += 1;
    }

    /// A node is to leave: its places go to others, and when they have them it is removed.
    ///
    /// # Errors
    /// [`Refused`]; nothing is changed then.
    pub fn leave(&mut self, node: NodeId) -> Result<(), Refused> {
        let member = self.members.get(&node).ok_or(Refused::NoMember)?;
        if member.state == MemberState::Leaving && !self.placement.uses(node) {
            return Ok(());
        }
        let is_worker = self.placement.workers.contains(&node);
        if is_worker && self.placement.workers.len() == 1 {
            return Err(Refused::LastWorker);
        }
        let (workers, control) =
            (self.active(MemberRole::Worker, node), self.active(MemberRole::Control, node));
        let votes = self.meta.voters.contains(&node);
        let heir = self.next_meta_voter(&[&control[..], &workers].concat(), node);
        if votes && heir.is_none() && self.meta.voters.len() == 1 {
            return Err(Refused::LastNode);
        }
        if let Some(member) = self.members.get_mut(&node) {
            member.state = MemberState::Leaving;
        }
        self.version += 1;
        self.placement.evacuate(node, &control, &self.regions);
        match heir {
            Some(heir) => self.swap_meta_voter(node, heir),
            None if votes => {
                self.meta.voters.retain(|voter| *voter != node);
                self.meta.learners.push(node);
                self.meta.home = self.meta.voters.first().copied().unwrap_or(0);
            }
            None => {}
        }
        self.spread_regions();
        Ok(())
    }

    /// A member lives in that region; an empty name is none.
    ///
    /// # Errors
    /// [`Refused`]; nothing is changed then.
    pub fn settle(&mut self, node: NodeId, region: &str) -> Result<(), Refused> {
        if !self.members.contains_key(&node) {
            return Err(Refused::NoMember);
        }
        if !region.is_empty() && !Regions::is_sound(region) {
            return Err(Refused::BadRegion);
        }
        if self.regions.set(node, region) {
            self.version += 1;
            self.spread_regions();
        }
        Ok(())
    }

    /// Groups move to where the regions want them.
    fn spread_regions(&mut self) {
        if self.regions.is_empty() {
            return;
        }
        let before = (self.placement.clone(), self.meta.clone());
        self.placement.spread_regions(&self.regions);
        self.spread_meta();
        self.version += u64::from(before != (self.placement.clone(), self.meta.clone()));
    }

    /// Voters of the meta group lie in as many regions as members do, once all of these have one. Control
    /// nodes, and whoever it is at home with, go on voting if that can be helped.
    fn spread_meta(&mut self) {
        let present = |member: &Member| matches!(member.state, MemberState::Expected | MemberState::Active);
        let present: Vec<NodeId> =
            self.members.iter().filter(|(_, member)| present(member)).map(|(id, _)| *id).collect();
        if !self.regions.cover(&present) {
            return;
        }
        let candidates = [self.active(MemberRole::Control, 0), self.active(MemberRole::Worker, 0)].concat();
        loop {
            let voters = &self.meta.voters;
            let now = self.regions.count(voters);
            let heirs =
                voters.iter().filter_map(|old| Some((*old, self.next_meta_voter(&candidates, *old)?)));
            let wider = heirs.filter(|(old, new)| self.regions.count_after(voters, *old, *new) > now);
            let control =
                |node: NodeId| self.members.get(&node).is_some_and(|m| m.role == MemberRole::Control);
            let swap = wider.min_by_key(|(old, _)| (*old == self.meta.home, control(*old), Reverse(*old)));
            let Some((old, new)) = swap else { return };
            self.swap_meta_voter(old, new);
        }
    }

    /// The meta group is at home on that voter from now on: it leads when all is well.
    ///
    /// # Errors
    /// [`Refused`]; nothing is changed then.
    pub fn move_home(&mut self, node: NodeId) -> Result<(), Refused> {
        if !self.meta.voters.contains(&node) {
            return Err(Refused::NoMember);
        }
        self.version += u64::from(self.meta.home != node);
        self.meta.home = node;
        Ok(())
    }

    /// A leaving member has no places any more: it is one no longer.
    pub fn remove(&mut self, node: NodeId) {
        if self.can_be_removed().contains(&node) {
            self.version += 1;
            self.members.remove(&node);
            self.regions.set(node, "");
            self.removed.insert(node);
            self.meta.learners.retain(|learner| *learner != node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: NodeId) -> Member {
        let role = if id == 1 { MemberRole::Control } else { MemberRole::Worker };
        let (name, peer, api) = (format!("n{id}"), format!("host-{id}:1"), String::new());
        Member { name, peer, api, role, state: MemberState::Active, token: 0, replaces: None }
    }

    fn table() -> Table {
        let members = (1..=4).map(|id| (id, member(id))).collect();
        let meta = GroupSpec { group: 0, voters: vec![1, 2, 3], learners: vec![4], home: 1 };
        Table::new(members, Placement::spread(&[2, 3, 4], &[1], 4), meta)
    }

    fn join(token: u64, host: u64, replaces: Option<NodeId>) -> Join {
        let (name, peer, api) = (format!("t{token}"), format!("host-{host}:1"), "a".into());
        Join { token, name, peer, api, role: MemberRole::Worker, replaces }
    }

    #[test]
    fn a_wiped_node_comes_back_under_a_new_id_and_takes_its_places() {
        let mut table = table();
        assert_eq!(table.join(&join(70, 3, Some(3))), Ok(5));
        let once = table.clone();
        assert_eq!(table.join(&join(70, 3, Some(3))), Ok(5), "asked again");
        assert_eq!(table, once);
        assert_eq!(table.meta.learners, [4, 5]);
        assert!(table.placement.uses(3) && !table.placement.uses(5), "it has not started");
        assert!(table.can_be_removed().is_empty());
        table.started(5, &table.members[&5].peer.clone(), "a").unwrap();
        assert_eq!(table.placement, Placement::spread(&[2, 5, 4], &[1], 4));
        assert_eq!((&table.meta.voters[..], &table.meta.learners[..]), (&[1, 2, 5][..], &[4, 3][..]));
        assert_eq!(table.can_be_removed(), [3]);
        table.remove(3);
        assert!(table.removed.contains(&3) && !table.members.contains_key(&3));
        // Wiped once more, under the id of its configuration: the one at its address is meant.
        assert_eq!(table.join(&join(71, 3, Some(3))), Ok(6));
        assert_eq!(table.members[&6].replaces, Some(5));
    }

    #[test]
    fn wiped_again_before_it_ran() {
        let mut table = table();
        table.join(&join(70, 3, Some(3))).unwrap();
        assert_eq!(table.join(&join(71, 3, Some(3))), Ok(6));
        assert_eq!(table.members[&6].replaces, Some(3));
        assert_eq!(table.can_be_removed(), [5]);
        table.started(6, &table.members[&6].peer.clone(), "a").unwrap();
        assert_eq!(table.placement, Placement::spread(&[2, 6, 4], &[1], 4));
    }

    #[test]
    fn a_worker_joins_and_another_leaves() {
        let mut table = table();
        assert_eq!(table.join(&join(70, 9, None)), Ok(5));
        table.started(5, &table.members[&5].peer.clone(), "a").unwrap();
        assert!(table.placement.uses(5));
        table.leave(2).unwrap();
        assert!(!table.placement.uses(2) && !table.meta.voters.contains(&2));
        assert_eq!(table.meta.voters.len(), 3);
        assert_eq!(table.can_be_removed(), [2]);
        table.leave(3).unwrap();
        table.leave(4).unwrap();
        assert_eq!(table.leave(5), Err(Refused::LastWorker));
        assert_eq!(table.leave(77), Err(Refused::NoMember));
        let control = Join { role: MemberRole::Control, ..join(8, 7, Some(5)) };
        assert_eq!(table.join(&control), Err(Refused::OtherRole));
    }

    #[test]
    fn a_cluster_that_one_node_founded_gets_three_voters_at_once() {
        let meta = GroupSpec { group: 0, voters: vec![1], learners: vec![], home: 1 };
        let mut table = Table::new([(1, member(1))].into(), Placement::spread(&[], &[1], 2), meta);
        for (token, id) in [(70, 2), (71, 3), (72, 4)] {
            table.join(&join(token, id, None)).unwrap();
            table.started(id, &format!("host-{id}:1"), "a").unwrap();
            table.fill_meta();
            let expected: &[NodeId] = if id == 2 { &[1] } else { &[1, 2, 3] };
            assert_eq!(table.meta.voters, expected, "node {id}");
        }
        assert_eq!(table.meta.learners, [4]);
        assert!(!table.placement.uses(1), "three workers do the work");
        let settled = table.clone();
        table.fill_meta();
        assert_eq!(table, settled);
    }

    #[test]
    fn who_has_started_keeps_its_id() {
        let mut table = table();
        table.members.get_mut(&3).unwrap().state = MemberState::Expected;
        let directory = table.directory();
        assert!(directory.is_taken(2) && !directory.is_taken(3) && directory.is_taken(9));
    }
}
