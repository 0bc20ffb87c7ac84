//! Faults of links and connections.

use super::{Deed, Nemesis};
use crate::plan::{Blocked, FaultKind, Shape};
use rt::sim::machine::MachineId;
use rt::sim::net::{Connects, Latency, Link};
use rt::time::{self, Instant};
use std::time::Duration;

/// Directions between machines.
type Links = Vec<(MachineId, MachineId)>;

impl Nemesis {
    pub(super) async fn disturb_network(&self, kind: &FaultKind, pause: Duration) -> Deed {
        let Some((hit, links)) = self.links(kind) else { return Deed::default() };
        let injection = match kind {
            FaultKind::Flapping { period_ms, .. } => {
                return self.flap(hit, &links, Duration::from_millis(*period_ms), pause).await;
            }
            FaultKind::Clog { .. } => self.world.clog(&links),
            FaultKind::BlockedConnects { how, .. } => {
                let blocked = self.world.block_connects(&links, connects(*how));
                // Or nobody would want a new one. It bites when that one is refused.
                self.world.reset_connections(&links);
                blocked
            }
            FaultKind::ResetConnections { .. } => self.world.reset_connections(&links),
            FaultKind::ForgottenConnections { .. } => self.world.forget_connections(&links),
            other => match link(other) {
                Some(link) => self.world.degrade(&links, link),
                None => self.world.cut_links(&links),
            },
        };
        self.for_a_while(hit, vec![injection], pause).await
    }

    /// Machines and directions that a fault names; `None` if a selector finds nobody now.
    fn links(&self, kind: &FaultKind) -> Option<(Vec<MachineId>, Links)> {
        use FaultKind as F;
        let (one, other, both_ways) = match kind {
            F::CutSymmetric { left, right }
            | F::Flapping { left, right, .. }
            | F::ResetConnections { left, right }
            | F::ForgottenConnections { left, right }
            | F::Bridge { left, right, .. } => (self.find_all(left), self.find_all(right), true),
            F::CutOneWay { from, to }
            | F::Clog { from, to }
            | F::SlowLink { from, to, .. }
            | F::LossyLink { from, to, .. }
            | F::ThinLink { from, to, .. }
            | F::BlockedConnects { from, to, .. } => (self.find_all(from), self.find_all(to), false),
            F::Isolate { node } => {
                let one = self.find(node)?;
                let others: Vec<MachineId> =
                    self.machines.values().copied().filter(|machine| *machine != one).collect();
                return Some((vec![one], pairs(&[one], &others, true)));
            }
            F::MajoritiesRing { nodes } => {
                let nodes = self.find_all(nodes);
                let links = strangers_in_ring(&nodes);
                // In a ring of three everybody is everybody's neighbour.
                return (!links.is_empty()).then_some((nodes, links));
            }
            _ => return None,
        };
        let links = pairs(&one, &other, both_ways);
        (!links.is_empty()).then(|| ([one, other].concat(), links))
    }

    async fn flap(&self, hit: Vec<MachineId>, links: &Links, period: Duration, pause: Duration) -> Deed {
        let end = Instant::now() + pause;
        let mut injections = Vec::new();
        while Instant::now() < end {
            let injection = self.world.cut_links(links);
            injections.push(injection);
            time::sleep(period / 2).await;
            self.world.mend(injection);
            time::sleep(period / 2).await;
        }
        Deed { hit, bit: false, injections }
    }
}

fn link(kind: &FaultKind) -> Option<Link> {
    let millis = Duration::from_millis;
    Some(match kind {
        FaultKind::SlowLink { shape, typical_ms, worst_ms, .. } => {
            let (typical, worst) = (millis(*typical_ms), millis(*worst_ms));
            let latency = match shape {
                Shape::Fixed => Latency::Fixed(typical),
                Shape::Uniform => Latency::Uniform { min: typical, max: worst },
                Shape::Exponential => Latency::Exponential { floor: typical / 4, mean: typical, cap: worst },
                Shape::TwoMode => Latency::TwoMode {
                    usual: (typical / 2, typical),
                    rare: (worst / 2, worst),
                    rare_chance: 0.05,
                },
            };
            Link { latency: Some(latency), ..Link::default() }
        }
        FaultKind::LossyLink { loss_percent, .. } => {
            Link { loss: *loss_percent as f64 / 100.0, ..Link::default() }
        }
        FaultKind::ThinLink { bytes_per_s, queue_bytes, .. } => Link {
            bandwidth_bytes_per_s: Some(*bytes_per_s),
            queue_bytes: Some(*queue_bytes),
            ..Link::default()
        },
        _ => return None,
    })
}

fn connects(how: Blocked) -> Connects {
    match how {
        Blocked::Hang => Connects::Hang,
        Blocked::Refuse => Connects::Refuse,
        Blocked::Reset => Connects::Reset,
    }
}

fn pairs(from: &[MachineId], to: &[MachineId], both_ways: bool) -> Links {
    let there = from.iter().flat_map(|from| to.iter().map(|to| (*from, *to)));
    let links: Links = there.filter(|(from, to)| from != to).collect();
    let back = links.iter().filter(|_| both_ways).map(|(from, to)| (*to, *from)).collect();
    [links, back].concat()
}

/// All pairs of a ring in which each machine still sees a majority, itself included.
fn strangers_in_ring(ring: &[MachineId]) -> Links {
    let size = ring.len();
    // Neighbours on each side, so that with the machine itself they are a majority.
    let reach = (size / 2).div_ceil(2);
    let mut links = Vec::new();
    for (place, from) in ring.iter().enumerate() {
        for (other, to) in ring.iter().enumerate() {
            let distance = place.abs_diff(other).min(size - place.abs_diff(other));
            if distance > reach {
                links.push((*from, *to));
            }
        }
    }
    links
}
