//! Placements under regions: wide, sound, and reached with as few moves as possible.

use super::super::members::META_VOTERS;
use super::super::{Join, Member, MemberRole, MemberState, Refused, Table};
use super::*;
use proptest::prelude::*;
use replica::GroupSpec;

const NAMES: [&str; 4] = ["eu", "us", "ap", "sa"];

fn regions(labels: &[(NodeId, usize)]) -> Regions {
    Regions(labels.iter().map(|(node, name)| (*node, NAMES[*name].to_owned())).collect())
}

fn voters(placement: &Placement) -> Vec<&[NodeId]> {
    placement.partitions.iter().map(|spec| &spec.voters[..]).collect()
}

/// Replicas that are elsewhere in `after`.
fn moves(before: &Placement, after: &Placement) -> usize {
    let pairs = before.partitions.iter().zip(&after.partitions);
    pairs.map(|(b, a)| b.voters.iter().filter(|voter| !a.voters.contains(voter)).count()).sum()
}

fn assert_sound(placement: &Placement) -> Result<(), TestCaseError> {
    for spec in &placement.partitions {
        let different: BTreeSet<NodeId> = spec.voters.iter().copied().collect();
        prop_assert_eq!(different.len(), spec.voters.len());
        prop_assert!(spec.voters.contains(&spec.home), "{:?}", spec);
    }
    Ok(())
}

fn assert_wide(placement: &Placement, regions: &Regions) -> Result<(), TestCaseError> {
    for spec in &placement.partitions {
        let wanted = regions.count(&placement.workers).min(spec.voters.len());
        prop_assert!(regions.count(&spec.voters) >= wanted, "{:?} in {:?}", spec, regions);
    }
    Ok(())
}

#[test]
fn two_of_one_region_make_room_for_one_of_another() {
    let mut placement = Placement::spread(&[2, 3, 4, 5, 6, 7], &[1], 3);
    assert_eq!(voters(&placement), [[2, 3, 4], [3, 4, 5], [4, 5, 6]]);
    let regions = regions(&[(2, 0), (3, 0), (4, 1), (5, 1), (6, 2), (7, 2)]);
    placement.spread_regions(&regions);
    assert_eq!(voters(&placement), [[2, 7, 4], [3, 6, 5], [4, 2, 6]]);
    assert_eq!(placement.partitions.iter().map(|spec| spec.home).collect::<Vec<_>>(), [7, 3, 4]);
}

#[test]
fn nothing_moves_while_a_worker_has_no_region() {
    let mut placement = Placement::spread(&[2, 3, 4, 5], &[1], 4);
    let before = placement.clone();
    placement.spread_regions(&Regions::default());
    placement.spread_regions(&regions(&[(2, 0), (3, 0), (5, 1)]));
    assert_eq!(placement, before);
}

#[test]
fn homes_are_spread_over_regions() {
    let mut placement = Placement::spread(&[2, 3, 4], &[1], 6);
    placement.partitions.iter_mut().for_each(|spec| spec.home = 2);
    let regions = regions(&[(2, 0), (3, 1), (4, 2)]);
    placement.spread_regions(&regions);
    assert_eq!([2, 3, 4].map(|node| placement.homes(node)), [2, 2, 2]);
}

#[test]
fn names_of_regions() {
    for good in ["eu", "eu-west-1a", "Rack_7.b", &"x".repeat(64)] {
        assert!(Regions::is_sound(good), "{good}");
    }
    for bad in ["", "eu west", "eu/1", "ü", "a\"b", &"x".repeat(65)] {
        assert!(!Regions::is_sound(bad), "{bad}");
    }
}

fn member(id: NodeId) -> Member {
    let role = if id == 1 { MemberRole::Control } else { MemberRole::Worker };
    let (name, peer, api) = (format!("n{id}"), format!("host-{id}:1"), String::new());
    Member { name, peer, api, role, state: MemberState::Active, token: 0, replaces: None }
}

/// A control node and so many workers.
fn table(workers: u64) -> Table {
    let nodes: Vec<NodeId> = (1..=workers + 1).collect();
    let members = nodes.iter().map(|id| (*id, member(*id))).collect();
    let (voters, learners) = nodes.split_at(META_VOTERS);
    let meta = GroupSpec { group: 0, voters: voters.into(), learners: learners.into(), home: 1 };
    Table::new(members, Placement::spread(&nodes[1..], &[1], 4), meta)
}

#[test]
fn the_meta_group_follows_regions_when_all_members_have_one() {
    let mut table = table(6);
    for (node, name) in [(2, "eu"), (3, "eu"), (4, "us"), (5, "us"), (6, "ap"), (7, "ap")] {
        table.settle(node, name).unwrap();
    }
    assert_eq!(table.meta.voters, [1, 2, 3], "the control node has none yet");
    table.settle(1, "eu").unwrap();
    assert_eq!(table.regions.count(&table.meta.voters), 3);
    assert!(table.meta.voters.contains(&1) && table.meta.home == 1);
    let mut all = [&table.meta.voters[..], &table.meta.learners].concat();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6, 7]);
    let version = table.version;
    table.settle(1, "eu").unwrap();
    assert_eq!(table.version, version, "no news");
    // One that leaves is followed by one of its region.
    let leaves = *table.meta.voters.iter().find(|node| **node != 1).unwrap();
    table.leave(leaves).unwrap();
    assert_eq!(table.regions.count(&table.meta.voters), 3);
    assert_eq!(table.settle(99, "eu"), Err(Refused::NoMember));
    assert_eq!(table.settle(1, "e u"), Err(Refused::BadRegion));
    table.settle(1, "").unwrap();
    assert_eq!(table.regions.of(1), None);
}

#[test]
fn a_successor_in_another_region_does_not_narrow_anything() {
    let mut table = table(6);
    for (node, name) in [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 2), (7, 2)] {
        table.settle(node, NAMES[name]).unwrap();
    }
    let (name, peer, api) = ("new".to_owned(), "host-7:1".to_owned(), "a".to_owned());
    let join = Join { token: 9, name, peer: peer.clone(), api, role: MemberRole::Worker, replaces: Some(7) };
    assert_eq!(table.join(&join), Ok(8));
    table.settle(8, "eu").unwrap();
    table.started(8, &peer, "a").unwrap();
    assert!(!table.placement.uses(7));
    assert_wide(&table.placement, &table.regions).unwrap();
    table.remove(7);
    assert_eq!(table.regions.of(7), None);
}

proptest! {
    /// Whoever comes, goes or moves to another region: partitions lie in as many as they can, homes vote,
    /// and labels alone move no more replicas than they must.
    #[test]
    fn placements_stay_wide(
        partitions in 1u32..10,
        labels in proptest::collection::vec(0usize..4, 3..8),
        steps in proptest::collection::vec(any::<(u8, u8, u8)>(), 0..12),
    ) {
        let labels: Vec<(NodeId, usize)> = (2..).zip(labels).collect();
        let workers: Vec<NodeId> = labels.iter().map(|(node, _)| *node).collect();
        let mut regions = regions(&labels);
        let mut placement = Placement::spread(&workers, &[1], partitions);
        let before = placement.clone();
        let missing = |spec: &GroupSpec| {
            regions.count(&workers).min(spec.voters.len()) - regions.count(&spec.voters)
        };
        let needed: usize = placement.partitions.iter().map(missing).sum();
        placement.spread_regions(&regions);
        prop_assert_eq!(moves(&before, &placement), needed);
        assert_sound(&placement)?;
        assert_wide(&placement, &regions)?;
        for (number, (what, who, name)) in steps.into_iter().enumerate() {
            let some = placement.workers[who as usize % placement.workers.len()];
            let name = NAMES[name as usize % 4];
            match what % 4 {
                0 => {
                    let node = number as NodeId + 20;
                    regions.set(node, name);
                    placement.welcome(node, &regions);
                }
                1 if placement.workers.len() > 1 => {
                    placement.evacuate(some, &[1], &regions);
                    prop_assert!(!placement.uses(some));
                    // Without another step: what leaves does not narrow what stays.
                    assert_wide(&placement, &regions)?;
                }
                2 => {
                    let node = number as NodeId + 20;
                    regions.set(node, name);
                    placement.replace(some, node);
                }
                _ => drop(regions.set(some, name)),
            }
            placement.spread_regions(&regions);
            assert_sound(&placement)?;
            assert_wide(&placement, &regions)?;
            let settled = placement.clone();
            placement.spread_regions(&regions);
            prop_assert_eq!(&placement, &settled);
        }
    }

    /// Where all regions are equal, so are the loads, nearly.
    #[test]
    fn equal_regions_carry_equal_loads(partitions in 1u32..12, each in 1u64..4) {
        let labels: Vec<(NodeId, usize)> = (0..3 * each).map(|n| (n + 2, (n / each) as usize)).collect();
        let workers: Vec<NodeId> = labels.iter().map(|(node, _)| *node).collect();
        let mut placement = Placement::spread(&workers, &[], partitions);
        let regions = regions(&labels);
        placement.spread_regions(&regions);
        for region in 0..3 {
            let own = labels.iter().filter(|(_, name)| *name == region).map(|(node, _)| placement.load(*node));
            prop_assert_eq!(own.sum::<usize>(), partitions as usize);
        }
        let homes: Vec<usize> = workers.iter().map(|node| placement.homes(*node)).collect();
        prop_assert!(homes.iter().max().unwrap() - homes.iter().min().unwrap() <= 1, "{:?}", homes);
    }
}
