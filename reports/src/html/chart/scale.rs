//! From a value to a place on an axis, linear or logarithmic, and the ticks between.
//!
//! Leaves out the text of the ticks.

/// An axis: a domain of values and the stretch of the drawing that shows it.
#[derive(Clone, Copy, Debug)]
pub(in crate::html) struct Scale {
    log: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Linear from `low` to `high`. A domain that is empty or no number becomes one unit long.
    pub(in crate::html) fn linear(low: f64, high: f64, (from, to): (f64, f64)) -> Self {
        let low = if low.is_finite() { low } else { 0.0 };
        let high = if high.is_finite() && high > low { high } else { low + 1.0 };
        Self { log: false, low, high, from, to }
    }

    /// Linear from 0 to a round number at or above every value.
    pub(in crate::html) fn linear_to(values: impl IntoIterator<Item = f64>, range: (f64, f64)) -> Self {
        let most = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let step = nice_step(most / 6.0);
        Self::linear(0.0, (most / step).ceil() * step, range)
    }

    /// Logarithmic over exactly `low` to `high`, both above 0.
    pub(in crate::html) fn log(low: f64, high: f64, (from, to): (f64, f64)) -> Self {
        let low = if low.is_finite() && low > 0.0 { low } else { 1.0 };
        let high = if high.is_finite() && high > low { high } else { low * 10.0 };
        Self { log: true, low, high, from, to }
    }

    /// Logarithmic over all positive values, widened to 1, 2 or 5 times a power of ten and to at least
    /// one decade.
    pub(in crate::html) fn log_over(values: impl IntoIterator<Item = f64>, range: (f64, f64)) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0 && *value < 1e100);
        let (low, high) = positive
            .fold((f64::INFINITY, 0.0), |(low, high), value| (f64::min(low, value), f64::max(high, value)));
        if high == 0.0 {
            return Self::log(1.0, 10.0, range);
        }
        let low = down_125(low);
        Self::log(low, up_125(high).max(low * 10.0), range)
    }

    /// Place of `value`, held within the axis; none for what has no place on it.
    pub(in crate::html) fn at(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || (self.log && value <= 0.0) {
            return None;
        }
        let value = value.clamp(self.low, self.high);
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        Some(self.from + share * (self.to - self.from)).filter(|place| place.is_finite())
    }

    /// Largest value of the domain.
    pub(in crate::html) fn high(&self) -> f64 {
        self.high
    }

    /// Round values within the domain, about `about` of them.
    pub(in crate::html) fn ticks(&self, about: usize) -> Vec<f64> {
        if self.log { self.log_ticks(about) } else { self.linear_ticks(about) }
    }

    fn linear_ticks(&self, about: usize) -> Vec<f64> {
        let step = nice_step((self.high - self.low) / about.max(1) as f64);
        let first = (self.low / step).ceil();
        let ticks = (0..50).map(|index| (first + f64::from(index)) * step);
        // The margin keeps the last tick although 0.1 * 3 is above 0.3.
        ticks.take_while(|tick| *tick <= self.high + step * 1e-6).collect()
    }

    fn log_ticks(&self, about: usize) -> Vec<f64> {
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let inside = |tick: &f64| *tick >= self.low * (1.0 - 1e-9) && *tick <= self.high * (1.0 + 1e-9);
        let with = |mantissas: &[f64]| -> Vec<f64> {
            let decades = (first..=last).map(|exponent| 10f64.powi(exponent));
            decades.flat_map(|decade| mantissas.iter().map(move |m| m * decade)).filter(inside).collect()
        };
        [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]]
            .into_iter()
            .map(with)
            .find(|ticks| ticks.len() <= about + about / 2)
            .unwrap_or_else(|| {
                let decades = with(&[1.0]);
                let every = decades.len().div_ceil(about.max(1));
                decades.into_iter().step_by(every).collect()
            })
    }
}

/// Length of a step between ticks that are about `rough` apart.
fn nice_step(rough: f64) -> f64 {
    if rough.is_finite() && rough > 0.0 { up_125(rough) } else { 1.0 }
}

/// The next 1, 2 or 5 times a power of ten at or above `value`.
fn up_125(value: f64) -> f64 {
    let (mantissa, decade) = split(value);
    [1.0, 2.0, 5.0].into_iter().find(|step| mantissa <= *step).unwrap_or(10.0) * decade
}

/// The next 1, 2 or 5 times a power of ten at or below `value`.
fn down_125(value: f64) -> f64 {
    let (mantissa, decade) = split(value);
    [5.0, 2.0].into_iter().find(|step| mantissa >= *step).unwrap_or(1.0) * decade
}

/// `value` as a number from 1 to 10 and a power of ten.
fn split(value: f64) -> (f64, f64) {
    let decade = 10f64.powf(value.log10().floor());
    // Rounded, since a quotient such as 1000 / 10^3 may come out as 0.9999...
    ((value / decade * 1e9).round() / 1e9, decade)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: (f64, f64) = (0.0, 100.0);

    #[test]
    fn linear_ends_at_a_round_number() {
        let scale = Scale::linear_to([3.0, 9_770.0, f64::NAN], RANGE);
        assert_eq!(scale.ticks(6), [0.0, 2_000.0, 4_000.0, 6_000.0, 8_000.0, 10_000.0]);
        assert_eq!(scale.at(5_000.0), Some(50.0));
        assert_eq!(scale.at(1e9), Some(100.0));
        assert_eq!(scale.at(f64::NAN), None);
    }

    #[test]
    fn log_is_widened_to_round_numbers() {
        let scale = Scale::log_over([230.0, 41_000.0, 0.0], RANGE);
        assert_eq!((scale.low, scale.high), (200.0, 50_000.0));
        assert_eq!(
            scale.ticks(6),
            [200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0][..].to_vec()
        );
        assert_eq!(scale.at(0.0), None);
        let narrow = Scale::log_over([1_000.0, 1_000.0], RANGE);
        assert_eq!((narrow.low, narrow.high), (1_000.0, 10_000.0));
    }

    #[test]
    fn no_domain_is_bad_enough_for_an_infinite_place() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, 1e-300, 5.0];
        for low in odd {
            for high in odd {
                for scale in [Scale::linear(low, high, RANGE), Scale::log(low, high, RANGE)] {
                    for value in odd {
                        assert!(scale.at(value).is_none_or(f64::is_finite), "{scale:?} at {value}");
                    }
                    assert!(scale.ticks(5).len() <= 50, "{scale:?}");
                }
                for scale in [Scale::linear_to([low, high], RANGE), Scale::log_over([low, high], RANGE)] {
                    assert!(scale.at(5.0).is_none_or(f64::is_finite), "{scale:?}");
                }
            }
        }
    }
}
