//! The exact sum of binary64 numbers, rounded once at the end.
//!
//! Source: the "superaccumulator" (Kulisch): a fixed-point integer so wide that every finite f64, and
//! 2^60 of the largest, fit without loss. So the order of the numbers does not matter, nothing
//! overflows half-way, and the only rounding (to nearest, ties to even) is the last step. Chosen over
//! Shewchuk's partials for exactly that; and a judge should not share its method with the judged.
//!
//! Does not keep the sign of zero: a sum of zeros is `+0.0` here. See `same_sum`.

/// Bits in a limb. Limbs are `i64`, so that 2^31 additions cannot overflow one between carries.
const LIMB_BITS: usize = 32;
/// 2,098 bits cover 2^-1074 to 2^1023 with all fraction bits; the rest is head-room for carries.
const LIMBS: usize = 68;
/// Additions after which carries must be moved on.
const ADDITIONS_BEFORE_CARRY: u32 = 1 << 30;
/// Bits of an f64's significand, with the leading one.
const SIGNIFICAND_BITS: usize = 53;

/// The exact sum of `values`, rounded once. Empty: `0.0`.
pub fn exact_sum(values: &[f64]) -> f64 {
    let mut sum = ExactSum::new();
    for &value in values {
        sum.add(value);
    }
    sum.value()
}

/// True if two rounded sums are equal bit for bit, where zeros of both signs are one number (the sum of
/// real numbers has no signed zero) and so are all NaN.
pub(crate) fn same_sum(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a == 0.0 && b == 0.0) || (a.is_nan() && b.is_nan())
}

/// A sum that is being built up. Its value can be asked for at any time.
#[derive(Clone, Debug)]
pub struct ExactSum {
    /// Little-endian, in units of 2^-1074.
    limbs: [i64; LIMBS],
    additions: u32,
    /// Sum of the numbers that are not finite; `0.0` if there were none.
    special: f64,
}

impl Default for ExactSum {
    fn default() -> Self {
        Self::new()
    }
}

impl ExactSum {
    /// The empty sum.
    pub fn new() -> Self {
        Self { limbs: [0; LIMBS], additions: 0, special: 0.0 }
    }

    /// Adds one number. Infinities and NaN follow IEEE 754.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.special += value;
            return;
        }
        let bits = value.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as usize;
        let fraction = bits & ((1 << 52) - 1);
        // Subnormal numbers have no leading one and share the exponent of the smallest normal ones.
        let (significand, shift) =
            if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        let sign = if value.is_sign_negative() { -1 } else { 1 };
        let wide = u128::from(significand) << (shift % LIMB_BITS);
        for (step, limb) in self.limbs.iter_mut().skip(shift / LIMB_BITS).take(3).enumerate() {
            *limb += sign * (wide >> (step * LIMB_BITS) & 0xffff_ffff) as i64;
        }
        self.additions += 1;
        if self.additions >= ADDITIONS_BEFORE_CARRY {
            carry(&mut self.limbs);
            self.additions = 0;
        }
    }

    /// The sum so far, rounded once to nearest, ties to even; an infinity if it is too large.
    pub fn value(&self) -> f64 {
        if self.special != 0.0 {
            return self.special;
        }
        let mut limbs = self.limbs;
        carry(&mut limbs);
        let negative = limbs[LIMBS - 1] < 0;
        if negative {
            limbs.iter_mut().for_each(|limb| *limb = -*limb);
            carry(&mut limbs);
        }
        let magnitude = round(&limbs);
        if negative { -magnitude } else { magnitude }
    }
}

/// Brings all limbs but the last into `0..2^32`; the last then carries the sign of the whole.
fn carry(limbs: &mut [i64; LIMBS]) {
    let mut moved = 0;
    for limb in limbs.iter_mut().take(LIMBS - 1) {
        let total = *limb + moved;
        *limb = total & 0xffff_ffff;
        moved = total >> LIMB_BITS;
    }
    limbs[LIMBS - 1] += moved;
}

/// Rounds a carried, non-negative number of 2^-1074 units.
fn round(limbs: &[i64; LIMBS]) -> f64 {
    let bit = |at: usize| limbs[at / LIMB_BITS] >> (at % LIMB_BITS) & 1 == 1;
    let Some(top) = (0..LIMBS * LIMB_BITS).rev().find(|&at| bit(at)) else { return 0.0 };
    // Below 2^53 units the number is an f64 as it stands: its unit is the smallest there is.
    let low = (top + 1).saturating_sub(SIGNIFICAND_BITS);
    let mut significand = (low..=top).rev().fold(0_u64, |bits, at| bits << 1 | u64::from(bit(at)));
    if low > 0 && bit(low - 1) {
        let above_half = (0..low - 1).any(bit);
        significand += u64::from(above_half || significand & 1 == 1);
    }
    // Rounding up may have carried into a 54th bit; the encoding below takes that in its stride, as the
    // exponent field lies right above the fraction. The same goes for subnormal to normal.
    let exponent_field = low as u64;
    if exponent_field >= 0x7fe {
        return f64::INFINITY;
    }
    let bits = (exponent_field << 52) + significand;
    f64::from_bits(bits.min(f64::INFINITY.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_sums() {
        assert_eq!(exact_sum(&[]), 0.0);
        assert_eq!(exact_sum(&[0.1; 10]), 1.0);
        assert_eq!(exact_sum(&[1e100, 1.0, -1e100]), 1.0);
        assert_eq!(exact_sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
        assert_eq!(exact_sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(exact_sum(&[-f64::MAX, -1e300]), f64::NEG_INFINITY);
        assert_eq!(exact_sum(&[5e-324, 5e-324]), 1e-323);
        assert_eq!(exact_sum(&[f64::MIN_POSITIVE, -5e-324]), f64::MIN_POSITIVE - 5e-324);
        assert!(exact_sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn ties_go_to_even_and_the_smallest_bit_decides() {
        let big = 2_f64.powi(53);
        assert_eq!(exact_sum(&[big, 1.0]), big);
        assert_eq!(exact_sum(&[big + 2.0, 1.0]), big + 4.0);
        assert_eq!(exact_sum(&[big, 1.0, 5e-324]), big + 2.0);
        assert_eq!(exact_sum(&[-big, -1.0, -5e-324]), -big - 2.0);
        assert_eq!(exact_sum(&[f64::MAX, 2_f64.powi(969)]), f64::MAX);
        assert_eq!(exact_sum(&[f64::MAX, 2_f64.powi(970)]), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn two_numbers_sum_as_the_processor_does(a: f64, b: f64) {
            prop_assert!(same_sum(exact_sum(&[a, b]), a + b), "{a:e} + {b:e}");
        }

        #[test]
        fn order_does_not_matter_and_opposites_cancel(mut values: Vec<f64>) {
            values.retain(|value| value.is_finite());
            let sum = exact_sum(&values);
            let negated: Vec<f64> = values.iter().rev().map(|value| -value).collect();
            prop_assert!(same_sum(exact_sum(&negated), -sum));
            prop_assert_eq!(exact_sum(&[values, negated].concat()), 0.0);
        }
    }
}
