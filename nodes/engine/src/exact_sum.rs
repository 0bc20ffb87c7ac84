//! Sums of 64-bit floats without rounding until they are asked for.
//!
//! A fixed-point number wide enough for every finite float (2,098 bits and room for 2^63 summands), so
//! the sum does not depend on order, partitions or restarts. The idea is Kulisch's accumulator.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::num::NonZeroU64;

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
        rounded(negative, &digits, Rest::None)
    }

    /// The sum divided by `count`, rounded once to nearest, ties to even.
    pub fn divided_by(&self, count: NonZeroU64) -> f64 {
        let (negative, mut digits) = self.magnitude();
        let divisor = u128::from(count.get());
        let mut left = 0u128;
        for digit in digits.iter_mut().rev() {
            let dividend = left << LIMB_BITS | u128::from(*digit);
            // What is left is below the divisor, so the quotient is below 2^32.
            *digit = (dividend / divisor) as u32;
            left = dividend % divisor;
        }
        let rest = match (left, (left * 2).cmp(&divisor)) {
            (0, _) => Rest::None,
            (_, Ordering::Less) => Rest::BelowHalf,
            (_, Ordering::Equal) => Rest::Half,
            (_, Ordering::Greater) => Rest::AboveHalf,
        };
        rounded(negative, &digits, rest)
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

/// What is left below the last digit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rest {
    None,
    BelowHalf,
    Half,
    AboveHalf,
}

/// The float nearest to `digits` and the rest below them, ties to even; infinite if there is none.
fn rounded(negative: bool, digits: &[u32; LIMBS], rest: Rest) -> f64 {
    let sign = u64::from(negative) << 63;
    let bit = |place: u32| digits[(place / LIMB_BITS) as usize] >> (place % LIMB_BITS) & 1;
    let top = digits.iter().rposition(|digit| *digit != 0).unwrap_or(0);
    let highest = top as u32 * LIMB_BITS + 31u32.saturating_sub(digits[top].leading_zeros());
    // The bits that a float has room for, and what is to be said of those below. Up to bit 52 all have
    // room: a subnormal number, or the lowest normal ones.
    let lowest = highest.saturating_sub(52);
    let mantissa = (lowest..=highest).rev().fold(0u64, |m, place| m << 1 | u64::from(bit(place)));
    let below = match lowest.checked_sub(1) {
        None => rest,
        Some(half) => {
            let more = rest != Rest::None || (0..half).any(|place| bit(place) == 1);
            match (bit(half) == 1, more) {
                (true, true) => Rest::AboveHalf,
                (true, false) => Rest::Half,
                (false, true) => Rest::BelowHalf,
                (false, false) => Rest::None,
            }
        }
    };
    let up = below > Rest::Half || (below == Rest::Half && mantissa & 1 == 1);
    // The bits of a float are those of a counter: the mantissa's leading bit adds one to the exponent, and
    // so does a carry out of it.
    let bits = (u64::from(lowest) << 52) + mantissa + u64::from(up);
    let most = f64::INFINITY.to_bits();
    let magnitude = f64::from_bits(bits.min(most));
    if magnitude == 0.0 { 0.0 } else { f64::from_bits(sign | magnitude.to_bits()) }
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

    fn average(values: &[f64]) -> f64 {
        sum(values).divided_by(NonZeroU64::new(values.len() as u64).unwrap())
    }

    #[test]
    fn known_averages() {
        // Rounding the sum first gives 0.4666666666666666.
        assert_eq!(average(&[1.0, 0.1, 0.3]), 0.4666666666666667);
        assert_eq!(average(&[1e308, 1e308]), 1e308, "the sum does not fit");
        assert_eq!(average(&[-1.0, -2.0]), -1.5);
        assert_eq!(average(&[f64::from_bits(1), 0.0]), 0.0, "a tie goes to even");
        assert_eq!(average(&[f64::from_bits(3), 0.0]), f64::from_bits(2));
        assert_eq!(average(&[f64::from_bits(2), 0.0, 0.0]), f64::from_bits(1));
        assert_eq!(average(&[f64::from_bits(1), 0.0, 0.0]).to_bits(), 0);
        assert_eq!(average(&[-f64::from_bits(1), 0.0, 0.0]).to_bits(), 0);
        assert_eq!(average(&[f64::MAX; 3]), f64::MAX);
        assert_eq!(average(&[f64::MIN_POSITIVE, 0.0]), f64::MIN_POSITIVE / 2.0);
        assert_eq!(sum(&[1.0]).divided_by(NonZeroU64::MAX), 2f64.powi(-64));
    }

    proptest! {
        #[test]
        fn the_average_of_one_number_many_times_is_that_number(
            value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL, times in 1usize..50
        ) {
            prop_assert_eq!(average(&vec![value; times]), value);
        }

        #[test]
        fn integers_divide_like_integers(dividend in 0u64..1 << 53, count in 1u64..1 << 53) {
            // One division of floats that are exact rounds once as well.
            let divided = sum(&[dividend as f64]).divided_by(NonZeroU64::new(count).unwrap());
            prop_assert_eq!(divided, dividend as f64 / count as f64);
        }

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
