//! Quantiles and histograms from logarithmic buckets.
//!
//! A bucket is named by a float's own top bits: sign, exponent and the first five bits of the fraction,
//! 32 buckets for each power of two (the layout of HDR histograms, on floats). That is exact integer
//! arithmetic, the same on every machine, which a logarithm is not; so replicas stay equal. A value is
//! told within 1.6 %.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const FRACTION_BITS: u32 = 5;
const SHIFT: u32 = 52 - FRACTION_BITS;
/// Buckets kept; beyond it the two lowest become one.
const MAX_BUCKETS: usize = 1024;

/// Counts by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    buckets: BTreeMap<i32, u64>,
}

fn bucket_of(value: f64) -> i32 {
    // The top 17 bits of a float fit.
    let magnitude = (value.abs().to_bits() >> SHIFT) as i32;
    if value < 0.0 { -1 - magnitude } else { magnitude }
}

/// The bounds of a bucket, the smaller one first.
fn bounds(bucket: i32) -> (f64, f64) {
    let edge = |magnitude: i32| f64::from_bits(u64::from(magnitude.unsigned_abs()) << SHIFT);
    if bucket < 0 {
        let magnitude = -1 - bucket;
        (-edge(magnitude + 1), -edge(magnitude))
    } else {
        (edge(bucket), edge(bucket + 1))
    }
}

impl Sketch {
    /// Counts a finite value.
    pub fn add(&mut self, value: f64) {
        *self.buckets.entry(bucket_of(value)).or_default() += 1;
        self.shrink();
    }

    /// Counts what another has counted.
    pub fn merge(&mut self, other: &Sketch) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.buckets.len() > MAX_BUCKETS {
            if let Some((_, count)) = self.buckets.pop_first()
                && let Some(mut lowest) = self.buckets.first_entry()
            {
                *lowest.get_mut() += count;
            }
        }
    }

    /// The value below which a share `quantile` of all values lies, about; 0 if there are none.
    pub fn quantile(&self, quantile: f64) -> f64 {
        let count: u64 = self.buckets.values().sum();
        let rank = ((quantile * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        for (bucket, n) in &self.buckets {
            seen += n;
            if seen >= rank {
                let (low, high) = bounds(*bucket);
                return low + (high - low) / 2.0;
            }
        }
        0.0
    }

    /// Counts by upper bound, at powers of two, in rising order.
    pub fn powers_of_two(&self) -> Vec<(f64, u64)> {
        let mut found: Vec<(f64, u64)> = Vec::new();
        for (bucket, n) in &self.buckets {
            // All buckets of one power of two share the bits above the fraction.
            let group = bucket >> FRACTION_BITS;
            let upper = if *bucket < 0 {
                let magnitude = (-1 - group) << FRACTION_BITS;
                -f64::from_bits(u64::from(magnitude.unsigned_abs()) << SHIFT)
            } else {
                f64::from_bits(u64::from(((group + 1) << FRACTION_BITS).unsigned_abs()) << SHIFT)
            };
            match found.last_mut() {
                Some((last, count)) if *last == upper => *count += n,
                _ => found.push((upper, *n)),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(value in proptest::num::f64::NORMAL) {
            let (low, high) = bounds(bucket_of(value));
            prop_assert!(low <= value && value <= high, "{low} {value} {high}");
        }

        #[test]
        fn the_median_is_close(mut values in proptest::collection::vec(0.001f64..1e6, 1..200)) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|value| sketch.add(*value));
            values.sort_by(f64::total_cmp);
            let exact = values[values.len().div_ceil(2) - 1];
            prop_assert!((sketch.quantile(0.5) - exact).abs() <= exact * 0.016);
        }

        #[test]
        fn powers_of_two_count_everything_below_their_bound(
            values in proptest::collection::vec(-1e9f64..1e9, 0..100)
        ) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|value| sketch.add(*value));
            let mut below = 0;
            for (upper, count) in sketch.powers_of_two() {
                below += count;
                let exact = values.iter().filter(|value| **value < upper).count() as u64;
                // A value on the very bound of a negative bucket may count on either side.
                let on_bound = values.iter().filter(|value| **value == upper).count() as u64;
                prop_assert!(below >= exact && below <= exact + on_bound, "{upper}: {below} {exact}");
            }
            prop_assert_eq!(below, values.len() as u64);
        }
    }

    #[test]
    fn it_stays_small() {
        let mut sketch = Sketch::default();
        (1..2000u64).for_each(|i| sketch.add(f64::from_bits(i << 52 | 1 << 51)));
        assert!(sketch.buckets.len() <= MAX_BUCKETS);
        assert_eq!(sketch.buckets.values().sum::<u64>(), 1999);
    }
}
