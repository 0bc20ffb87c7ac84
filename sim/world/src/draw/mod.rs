//! A plan drawn from a seed.
//!
//! Swarm testing: each seed first draws which fault kinds exist at all, then how many, when, where, how
//! long and how strong. What may take synced data away is drawn like all others; the
//! [`crate::atlas`] keeps it within what the protocol promises to survive when it is carried out.

mod kind;
mod profile;

pub use profile::Profile;

use crate::plan::{Fault, FaultKind};
use rt::sim::rng::{Purpose, Rng};

/// What a plan is drawn for.
#[derive(Clone, Debug)]
pub struct DrawInput {
    /// The cluster's machines.
    pub machines: Vec<String>,
    /// Machines that only talk to the cluster: faults of the network may hit them too.
    pub clients: Vec<String>,
    /// Selectors that the scenario resolves, such as `@leader:1`.
    pub selectors: Vec<String>,
    /// Length of the load.
    pub duration_ms: u64,
    /// Faults at most.
    pub max_faults: u64,
    /// Kinds that may be drawn, most often [`Profile::kinds`].
    pub kinds: Vec<&'static str>,
}

/// How likely it is that a kind exists in a seed's world.
const KIND_EXISTS: f64 = 0.3;

/// Faults of a seed, in order of their begin.
///
/// ```
/// use world::draw::{DrawInput, Profile, draw};
/// let input = DrawInput {
///     machines: vec!["a".into(), "b".into(), "c".into()],
///     clients: Vec::new(),
///     selectors: Vec::new(),
///     duration_ms: 20_000,
///     max_faults: 10,
///     kinds: Profile::Network.kinds(),
/// };
/// assert_eq!(draw(7, &input), draw(7, &input));
/// ```
pub fn draw(seed: u64, input: &DrawInput) -> Vec<Fault> {
    let mut rng = Rng::new(seed, Purpose::Plan);
    let mut kinds: Vec<&str> = input.kinds.iter().copied().filter(|_| rng.chance(KIND_EXISTS)).collect();
    if kinds.is_empty() {
        kinds.extend(rng.pick(&input.kinds));
    }
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
    Fault { at_ms, for_ms, kind: kind::draw(rng, kind, input) }
}

/// One fault of each kind, of moderate strength, on `machines` (three at least).
pub fn one_of_each(machines: &[String]) -> Vec<FaultKind> {
    let input = DrawInput {
        machines: machines.to_vec(),
        clients: Vec::new(),
        selectors: Vec::new(),
        duration_ms: 0,
        max_faults: 0,
        kinds: Vec::new(),
    };
    let mut rng = Rng::new(0, Purpose::Plan);
    FaultKind::NAMES.iter().map(|name| kind::draw(&mut rng, name, &input)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn input(profile: Profile) -> DrawInput {
        DrawInput {
            machines: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            clients: vec!["x".into(), "y".into()],
            selectors: vec!["@leader:1".into()],
            duration_ms: 20_000,
            max_faults: 10,
            kinds: profile.kinds(),
        }
    }

    fn drawn(profile: Profile) -> Vec<FaultKind> {
        (0..200).flat_map(|seed| draw(seed, &input(profile))).map(|fault| fault.kind).collect()
    }

    #[test]
    fn a_seed_draws_one_plan_and_seeds_draw_all_kinds_of_a_profile() {
        for profile in Profile::ALL {
            assert_eq!(draw(5, &input(profile)), draw(5, &input(profile)));
            let names: BTreeSet<&str> = drawn(profile).iter().map(FaultKind::name).collect();
            assert_eq!(names, profile.kinds().into_iter().collect(), "{profile}");
        }
    }

    #[test]
    fn what_is_drawn_is_within_the_limits_and_sides_are_apart() {
        for kind in drawn(Profile::Swarm) {
            for number in kind.numbers() {
                assert!((number.low..=number.high).contains(&number.value), "{kind:?}: {number:?}");
            }
            let names = kind.machines();
            assert!(!names.is_empty(), "{kind:?}");
            if !names.iter().any(|name| name.starts_with('@')) {
                let apart: BTreeSet<&str> = names.iter().copied().collect();
                assert!(kind.name() == "crash" || apart.len() == names.len(), "{kind:?}");
            }
        }
    }

    #[test]
    fn all_shapes_of_a_cut_are_drawn() {
        let mut sizes = BTreeSet::new();
        for kind in drawn(Profile::Network) {
            if let FaultKind::CutSymmetric { left, right } = kind {
                sizes.insert((left.len(), right.len()));
            }
        }
        let cut_off = |kind: &FaultKind| kind.machines().contains(&"x");
        assert!(drawn(Profile::Network).iter().any(cut_off), "clients are never cut off");
        assert!(!drawn(Profile::Upgrade).iter().any(cut_off), "clients are no part of the cluster");
        for (shape, size) in [("halves", (2, 2)), ("a minority", (1, 3)), ("a pair of machines", (1, 1))] {
            assert!(sizes.contains(&size), "{shape} never drawn: {sizes:?}");
        }
    }
}
