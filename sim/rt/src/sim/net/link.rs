//! What a link between two machines can be told to do to what is sent over it: plain data.

use crate::sim::rng::Rng;
use std::time::Duration;

/// How long a segment or datagram is under way, one way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// Always the same.
    Fixed(Duration),
    /// Anything in a range, all of it equally likely.
    Uniform {
        /// Least.
        min: Duration,
        /// Largest.
        max: Duration,
    },
    /// Mostly short with a long tail, as of a queue.
    Exponential {
        /// Least; what follows is added to it.
        floor: Duration,
        /// Mean of what is added.
        mean: Duration,
        /// Largest, the floor included.
        cap: Duration,
    },
    /// Two ways through the network, for example one past a congested switch.
    TwoMode {
        /// Least and largest of the usual way.
        usual: (Duration, Duration),
        /// Least and largest of the rare way.
        rare: (Duration, Duration),
        /// Chance of the rare way.
        rare_chance: f64,
    },
}

impl Latency {
    /// One latency.
    pub fn draw(&self, rng: &mut Rng) -> Duration {
        match *self {
            Latency::Fixed(latency) => latency,
            Latency::Uniform { min, max } => rng.duration(min, max),
            Latency::Exponential { floor, mean, cap } => {
                // In (0, 1], so that the logarithm is finite.
                let uniform = ((rng.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64;
                floor.saturating_add(mean.mul_f64(-uniform.ln())).min(cap)
            }
            Latency::TwoMode { usual, rare, rare_chance } => {
                let (min, max) = if rng.chance(rare_chance) { rare } else { usual };
                rng.duration(min, max)
            }
        }
    }
}

/// What is wrong with a link, one way. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Latency instead of the world's own.
    pub latency: Option<Latency>,
    /// Added to each latency: anything up to this.
    pub jitter: Duration,
    /// Chance that a segment is lost, for each try. TCP sends it again after 200 ms, then after twice as
    /// long each time, and gives the connection up as [`crate::sim::Options::retransmission_limit`] says.
    /// A lost datagram is gone.
    pub loss: f64,
    /// What goes through in a second; more waits in the link's queue.
    pub bandwidth_bytes_per_s: Option<u64>,
    /// What the queue holds; more is lost. Says nothing without a bandwidth.
    pub queue_bytes: Option<u64>,
    /// Chance that a datagram arrives twice.
    pub duplicate: f64,
    /// Chance that a datagram is held up, so that later ones overtake it.
    pub reorder: f64,
}

/// How attempts to connect fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connects {
    /// No answer: they hang until they are given up, or until this ends.
    Hang,
    /// `ConnectionRefused`, although somebody listens.
    Refuse,
    /// The connection comes about and is reset at once; who listens never sees it.
    Reset,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rng::Purpose;

    const MS: Duration = Duration::from_millis(1);

    fn draws(latency: Latency) -> Vec<Duration> {
        let mut rng = Rng::new(3, Purpose::Network);
        (0..10_000).map(|_| latency.draw(&mut rng)).collect()
    }

    fn mean(draws: &[Duration]) -> Duration {
        draws.iter().sum::<Duration>() / 10_000
    }

    #[test]
    fn latencies_are_drawn_as_they_say() {
        assert!(draws(Latency::Fixed(3 * MS)).iter().all(|latency| *latency == 3 * MS));
        let uniform = draws(Latency::Uniform { min: 2 * MS, max: 4 * MS });
        assert!(uniform.iter().all(|latency| (2 * MS..=4 * MS).contains(latency)));
        assert!((29 * MS / 10..31 * MS / 10).contains(&mean(&uniform)), "{:?}", mean(&uniform));
        let tail = draws(Latency::Exponential { floor: MS, mean: 10 * MS, cap: 60 * MS });
        assert!(tail.iter().all(|latency| (MS..=60 * MS).contains(latency)));
        assert!((10 * MS..12 * MS).contains(&mean(&tail)), "{:?}", mean(&tail));
        assert!(tail.iter().any(|latency| *latency == 60 * MS), "a tail");
        let two = draws(Latency::TwoMode { usual: (MS, 2 * MS), rare: (50 * MS, 60 * MS), rare_chance: 0.1 });
        let rare = two.iter().filter(|latency| **latency >= 50 * MS).count();
        assert!((900..1100).contains(&rare), "{rare} of 10,000");
        assert!(two.iter().all(|latency| *latency <= 2 * MS || *latency >= 50 * MS));
    }
}
