//! When each arrival is due, and which rates make up the ladder. Pure: no clock, no thread.

use std::time::Duration;

/// Slack for decimal fractions: 0.1 s at 10/s is one arrival and not two.
const ROUNDING: f64 = 1e-6;

/// A rung closer than this to the target would only repeat it.
const NEAR_TARGET: f64 = 1.25;

/// A constant rate: first a settle window, then the measured part.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    rps: f64,
    settle: Duration,
    measured: Duration,
}

impl Schedule {
    /// `rps` arrivals a second over `settle` and then `measured`.
    pub fn constant(rps: f64, settle: Duration, measured: Duration) -> Self {
        Self { rps, settle, measured }
    }

    /// When arrival `k` is due, from the begin of the step. Computed from `k` alone, so nothing drifts.
    pub fn due(&self, k: u64) -> Duration {
        Duration::from_secs_f64(k as f64 / self.rps)
    }

    /// Arrivals of the settle window and the measured part together.
    pub fn arrivals(&self) -> u64 {
        self.before(self.length())
    }

    /// The first arrival of the measured part.
    pub fn first_measured(&self) -> u64 {
        self.before(self.settle)
    }

    /// From the begin of the step to the end of its schedule.
    pub fn length(&self) -> Duration {
        self.settle + self.measured
    }

    /// Length of the settle window.
    pub fn settle(&self) -> Duration {
        self.settle
    }

    /// How many arrivals are due before `time`.
    fn before(&self, time: Duration) -> u64 {
        (time.as_secs_f64() * self.rps - ROUNDING).ceil().max(0.0) as u64
    }
}

/// Rates from `first` to `target` in the steps 1, 2, 5, 10, ...; the target is always the last.
pub fn ladder(first: f64, target: f64) -> Vec<f64> {
    let mut rungs = Vec::new();
    let mut decade = 10_f64.powf(first.log10().floor());
    if first < target {
        rungs.push(first);
    }
    while decade < target {
        for round in [1.0, 2.0, 5.0] {
            let rate = round * decade;
            if rate > first && rate * NEAR_TARGET <= target {
                rungs.push(rate);
            }
        }
        decade *= 10.0;
    }
    rungs.push(target);
    rungs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn eight_seconds_at_ten_thousand_are_eighty_thousand_arrivals() {
        let schedule = Schedule::constant(10_000.0, seconds(0.0), seconds(8.0));
        assert_eq!(schedule.arrivals(), 80_000);
        for k in 0..80_000 {
            // 100 us apart to the nanosecond, the last one included: nothing adds up.
            let exact = Duration::from_micros(100 * k);
            assert!(schedule.due(k).abs_diff(exact) <= Duration::from_nanos(1), "arrival {k}");
        }
        assert!(schedule.due(79_999) < schedule.length());
        assert!(schedule.due(80_000) >= schedule.length());
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        let schedule = Schedule::constant(30_000.0 / 7.0, seconds(0.0), seconds(700.0));
        assert_eq!(schedule.arrivals(), 3_000_000);
        assert!(schedule.due(3_000_000).abs_diff(seconds(700.0)) <= Duration::from_nanos(1));
    }

    #[test]
    fn the_settle_window_comes_first() {
        let schedule = Schedule::constant(200.0, seconds(1.5), seconds(10.0));
        assert_eq!((schedule.first_measured(), schedule.arrivals()), (300, 2_300));
        assert_eq!(schedule.due(schedule.first_measured()), schedule.settle());
    }

    #[test]
    fn the_ladder_ends_with_the_target() {
        assert_eq!(ladder(200.0, 10_000.0), [200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0]);
        assert_eq!(ladder(200.0, 12_000.0), [200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 12_000.0]);
        assert_eq!(ladder(200.0, 200.0), [200.0]);
        assert_eq!(ladder(200.0, 150.0), [150.0]);
        assert_eq!(ladder(300.0, 700.0), [300.0, 500.0, 700.0]);
        assert_eq!(ladder(1.0, 3.0), [1.0, 2.0, 3.0]);
    }
}
