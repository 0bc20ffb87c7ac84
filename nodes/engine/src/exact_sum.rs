//! Sums of 64-bit floats without rounding until they are asked for.
//!
//! A fixed-point number wide enough for every finite float (2,098 bits and room for 2^63 summands), so
//! the sum does not depend on order, partitions or restarts. The idea is Kulisch's accumulator.

use serde::{Deserialize, Serialize};

/// Bits of a limb that hold digits; the rest of its 64 holds carries.
const LIMB_BITS: u32 = 32;
const LIMBS: usize = 68;
/// The smallest float is 2^-1074: bit 0 of limb 0.
const LOWEST_EXPONENT: i32 = -1074;
/// Additions before carries might not fit.
const MAX_UNCARRIED: u32 = 1 << 30;

/// A running sum.
#[derive(Clone, PartialEq, Eq)]
pub struct ExactSum {
    /// Digits of 32 bits with carries not yet passed on.
    limbs: Box<[i64; LIMBS]>,
    uncarried: u32,
}

/// The sum as stored: sign, place of the first digit, digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    negative: bool,
    first: u8,
    digits: Vec<u32>,
}

impl Default for ExactSum {
    fn default() -> Self {
        ExactSum { limbs: Box::new([0; LIMBS]), uncarried: 0 }
    }
}

impl ExactSum {
    /// Adds a finite number. Others are left out: they never get this far.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() || value == 0.0 {
            return;
        }
        let bits = value.to_bits();
        let biased = ((bits >> 52) & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) =
            if biased == 0 { (fraction, LOWEST_EXPONENT) } else { (fraction | 1 << 52, biased - 1075) };
        let shift = (exponent - LOWEST_EXPONENT).unsigned_abs();
        let place = (shift / LIMB_BITS) as usize;
        let wide = u128::from(mantissa) << (shift % LIMB_BITS);
        for (offset, limb) in self.limbs.iter_mut().skip(place).take(3).enumerate() {
            let digit = i64::from((wide >> (LIMB_BITS * offset as u32)) as u32);
            *limb += if value < 0.0 { -digit } else { digit };
        }
        self.uncarried += 1;
        if self.uncarried >= MAX_UNCARRIED {
            self.carry();
        }
    }

    /// Passes carries on, so that every limb but the last is in 0..2^32.
    fn carry(&mut self) {
        let mut carry = 0i64;
        for limb in &mut self.limbs[..LIMBS - 1] {
            let total = *limb + carry;
            *limb = total & 0xffff_ffff;
            carry = total >> LIMB_BITS;
        }
        self.limbs[LIMBS - 1] += carry;
        self.uncarried = 0;
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &ExactSum) {
        let mut other = other.clone();
        other.carry();
        self.carry();
        self.limbs.iter_mut().zip(other.limbs.iter()).for_each(|(limb, more)| *limb += more);
        self.uncarried = 2;
    }

    /// Sign and digits of the magnitude.
    fn magnitude(&self) -> (bool, [u32; LIMBS]) {
        let mut copy = self.clone();
        copy.carry();
        let negative = copy.limbs[LIMBS - 1] < 0;
        if negative {
            copy.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            copy.carry();
        }
        let mut digits = [0; LIMBS];
        for (digit, limb) in digits.iter_mut().zip(copy.limbs.iter()) {
            // After `carry` every limb of a magnitude is in 0..2^32.
            *digit = *limb as u32;
        }
        (negative, digits)
    }

    /// The sum, rounded once to nearest, ties to even; infinite if it does not fit.
    pub fn value(&self) -> f64 {
        let (negative, digits) = self.magnitude();
        let bit = |place: u32| digits[(place / LIMB_BITS) as usize] >> (place % LIMB_BITS) & 1;
        let Some(top) = digits.iter().rposition(|digit| *digit != 0) else { return 0.0 };
        let highest = top as u32 * LIMB_BITS + (31 - digits[top].leading_zeros());
        let sign = u64::from(negative) << 63;
        if highest <= 52 {
            // Subnormal, or the lowest normal numbers: the digits are the float's own bits.
            return f64::from_bits(sign | u64::from(digits[0]) | u64::from(digits[1]) << 32);
        }
        let lowest = highest - 52;
        let mut mantissa = (lowest..=highest).rev().fold(0u64, |m, place| m << 1 | u64::from(bit(place)));
        let half = bit(lowest - 1) == 1;
        let sticky = (0..lowest - 1).any(|place| bit(place) == 1);
        let mut exponent = u64::from(lowest) + 1;
        if half && (sticky || mantissa & 1 == 1) {
            mantissa += 1;
            if mantissa == 1 << 53 {
                mantissa >>= 1;
                exponent += 1;
            }
        }
        if exponent >= 2047 {
            return if negative { f64::NEG_INFINITY } else { f64::INFINITY };
        }
        f64::from_bits(sign | exponent << 52 | mantissa & ((1 << 52) - 1))
    }

    /// As it is stored: equal sums have equal forms.
    pub fn to_stored(&self) -> Stored {
        let (negative, digits) = self.magnitude();
        let first = digits.iter().position(|digit| *digit != 0).unwrap_or(0);
        let end = digits.iter().rposition(|digit| *digit != 0).map_or(first, |last| last + 1);
        // 68 limbs fit a byte.
        Stored { negative, first: first as u8, digits: digits[first..end].to_vec() }
    }

    /// Back from the stored form; digits beyond the width are damage and give `None`.
    pub fn from_stored(stored: &Stored) -> Option<Self> {
        let mut sum = ExactSum::default();
        let first = usize::from(stored.first);
        let limbs = sum.limbs.get_mut(first..first + stored.digits.len())?;
        for (limb, digit) in limbs.iter_mut().zip(&stored.digits) {
            *limb = if stored.negative { -i64::from(*digit) } else { i64::from(*digit) };
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum
    }

    #[test]
    fn known_sums() {
        assert_eq!(sum(&[75.5, 80.2, 70.1]).value(), 225.8);
        assert_eq!(sum(&[1e308, 1e308, -1e308]).value(), 1e308);
        assert_eq!(sum(&[1e308, 1e308]).value(), f64::INFINITY);
        assert_eq!(sum(&[f64::from_bits(1), -f64::from_bits(1)]).value(), 0.0);
        assert_eq!(sum(&[1.0, 1e-300, -1.0]).value(), 1e-300);
        assert_eq!(sum(&[9007199254740992.0, 1.0, f64::from_bits(1)]).value(), 9007199254740994.0);
        assert_eq!(sum(&[9007199254740992.0, 1.0]).value(), 9007199254740992.0);
        assert_eq!(sum(&[]).value(), 0.0);
    }

    proptest! {
        #[test]
        fn one_number_is_itself(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(sum(&[value]).value().to_bits(), value.to_bits());
        }

        #[test]
        fn order_does_not_matter_and_storage_keeps_it(
            mut values in proptest::collection::vec(proptest::num::f64::NORMAL, 0..40)
        ) {
            let forward = sum(&values);
            values.reverse();
            let backward = sum(&values);
            prop_assert_eq!(forward.to_stored(), backward.to_stored());
            let back = ExactSum::from_stored(&forward.to_stored()).unwrap();
            prop_assert_eq!(back.value().to_bits(), forward.value().to_bits());
        }

        #[test]
        fn integers_sum_like_integers(values in proptest::collection::vec(-(1i64 << 40)..1i64 << 40, 0..100)) {
            let floats: Vec<f64> = values.iter().map(|value| *value as f64).collect();
            prop_assert_eq!(sum(&floats).value(), values.iter().sum::<i64>() as f64);
        }

        #[test]
        fn what_goes_in_and_out_again_leaves_nothing(
            values in proptest::collection::vec(proptest::num::f64::NORMAL, 0..40)
        ) {
            let mut both = values.clone();
            both.extend(values.iter().map(|value| -value));
            prop_assert_eq!(sum(&both).value(), 0.0);
        }
    }
}
