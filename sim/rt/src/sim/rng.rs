//! Seeded randomness with a stream of its own for each purpose, so that one more draw for one purpose
//! does not shift the others.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use std::time::Duration;

/// What randomness is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Which faults happen, and when.
    Plan = 1,
    /// What clients do.
    Workload = 2,
    /// Latencies.
    Network = 3,
    /// Disk delays and what a power loss keeps.
    Disk = 4,
    /// What node code draws through [`crate::random`].
    Node = 5,
    /// How clocks go wrong.
    Clock = 6,
    /// Which `buggify!` sites are on, and when they fire.
    Buggify = 7,
}

/// A ChaCha stream of the seed.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The stream of `seed` for `purpose`.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Self::numbered(seed, purpose, 0)
    }

    /// One of several streams for a purpose, for example one a client.
    pub fn numbered(seed: u64, purpose: Purpose, number: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream((purpose as u64) << 32 | u64::from(number));
        Rng(rng)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // Multiply-shift: the bias is at most limit / 2^64.
        (u128::from(self.bits()).wrapping_mul(u128::from(limit)) >> 64) as u64
    }

    /// A number in `low..=high`; `low` if the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True with `probability`.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.bits() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    /// A duration in `min..=max`, to the nanosecond.
    pub fn duration(&mut self, min: Duration, max: Duration) -> Duration {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.between(nanos(min), nanos(max)))
    }

    /// One of `items`, `None` if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(usize::try_from(self.below(items.len() as u64)).unwrap_or(0))
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_apart() {
        let draws = |purpose| {
            let mut rng = Rng::new(7, purpose);
            (0..4).map(|_| rng.bits()).collect::<Vec<_>>()
        };
        assert_eq!(draws(Purpose::Plan), draws(Purpose::Plan));
        assert_ne!(draws(Purpose::Plan), draws(Purpose::Network));
    }

    #[test]
    fn ranges_hold() {
        let mut rng = Rng::new(1, Purpose::Plan);
        assert!((0..1000).all(|_| (3..=5).contains(&rng.between(3, 5))));
        assert_eq!(rng.below(0), 0);
        assert_eq!((0..1000).filter(|_| rng.chance(0.0)).count(), 0);
        assert_eq!((0..1000).filter(|_| rng.chance(1.0)).count(), 1000);
    }
}
