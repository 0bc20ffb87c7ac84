//! Limits: a client never gets more than its rate in any window, on any clock.
//!
//! Law: of the admissions of one client by one counter (a node, for as long as it lives) at most `limit`
//! lie within any window. The node measures the window on its own monotonic clock. That clock may run
//! fast by `drift_ppm_max`, so in the world's time the window that is promised is shorter by as much;
//! wall clocks have no part in it. Source: the sliding-window contract of the rate limiter.
//!
//! Does not check that a client gets what is its due, nor a limit over several nodes or lives: each
//! counts for itself.

use crate::violation::{Findings, Judge, Violation, time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BinaryHeap};

/// The limit that was in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Admissions of a client in a window.
    pub limit: usize,
    /// Length of the window on the node's clock.
    pub window_ns: u64,
    /// By how much a node's monotonic clock ran fast at most, in millionths; 0 for clocks that are right.
    pub drift_ppm_max: u64,
}

impl Rate {
    /// The window in the world's time, at its shortest.
    fn shortest_ns(&self) -> u64 {
        let fast = 1_000_000 + u128::from(self.drift_ppm_max);
        // Not longer than the window itself.
        u64::try_from(u128::from(self.window_ns) * 1_000_000 / fast).unwrap_or(self.window_ns)
    }
}

/// A request that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Whose.
    pub client: String,
    /// Who counted: a node in one of its lives.
    pub counter: String,
    /// Not before this, in simulated nanoseconds: when it was sent, if nothing better is known.
    pub from_ns: u64,
    /// Not after this: when its answer came.
    pub to_ns: u64,
}

/// Judges admissions, in any order. Says nothing where it is not certain that they lie close together.
pub fn judge_limits(rate: &Rate, admissions: &[Admission]) -> Vec<Violation> {
    let mut findings = Findings::new(Judge::Limits);
    let mut of: BTreeMap<(&str, &str), Vec<(u64, u64)>> = BTreeMap::new();
    for admission in admissions {
        let times = of.entry((&admission.client, &admission.counter)).or_default();
        times.push((admission.from_ns, admission.to_ns));
    }
    for ((client, counter), times) in of {
        for (first, last) in too_close(times, rate) {
            findings.add(Some(last), || {
                let Rate { limit, window_ns, drift_ppm_max } = rate;
                format!(
                    "{counter} let {client} in {} times between {} and {}; allowed are {limit} in {} ms \
                     on a clock at most {drift_ppm_max} ppm fast",
                    limit + 1,
                    time(first),
                    time(last),
                    window_ns / 1_000_000,
                )
            });
        }
    }
    findings.into_vec()
}

/// Where one more than the limit fits into a window: begin and end of each such time, the earliest first.
fn too_close(mut times: Vec<(u64, u64)>, rate: &Rate) -> Vec<(u64, u64)> {
    times.sort_unstable_by(|one, other| other.cmp(one));
    // Of all that begin no earlier than the one looked at: the earliest ends, one more than the limit.
    let mut ends = BinaryHeap::new();
    let mut found = Vec::new();
    for (from, to) in times {
        ends.push(to);
        if ends.len() > rate.limit + 1 {
            ends.pop();
        }
        let last = ends.peek().copied().unwrap_or(to);
        if ends.len() > rate.limit && last.saturating_sub(from) < rate.shortest_ns() {
            found.push((from, last));
        }
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn admissions(client: &str, counter: &str, times_ms: &[u64]) -> Vec<Admission> {
        times_ms.iter().map(|ms| within(client, counter, *ms, *ms)).collect()
    }

    fn within(client: &str, counter: &str, from_ms: u64, to_ms: u64) -> Admission {
        let (from_ns, to_ns) = (from_ms * MS, to_ms * MS);
        Admission { client: client.into(), counter: counter.into(), from_ns, to_ns }
    }

    fn rate(drift_ppm_max: u64) -> Rate {
        Rate { limit: 2, window_ns: 1000 * MS, drift_ppm_max }
    }

    #[test]
    fn one_too_many_across_the_border_of_two_seconds_is_a_violation() {
        // Two in each second of the calendar, three within 300 ms.
        let found = judge_limits(&rate(0), &admissions("c", "node-1#0", &[1200, 900, 950, 1500]));
        assert_eq!(
            found[0].evidence,
            "node-1#0 let c in 3 times between t=0.900 s and t=1.200 s; allowed are 2 in 1000 ms on a clock \
             at most 0 ppm fast"
        );
        assert_eq!(found.len(), 2, "and 950, 1200, 1500");
        // A fast clock excuses a tenth, not more.
        assert_eq!(judge_limits(&rate(100_000), &admissions("c", "n", &[0, 0, 909])).len(), 1);
    }

    #[test]
    fn what_took_long_may_have_been_let_in_at_any_time_meanwhile() {
        let one = |from, to| within("c", "n", from, to);
        // Three that may lie a second apart, and three that cannot, beside a fourth that took long.
        assert_eq!(judge_limits(&rate(0), &[one(0, 1), one(10, 900), one(20, 1000)]), []);
        let found = judge_limits(&rate(0), &[one(0, 5000), one(0, 1), one(10, 900), one(20, 999)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].evidence.contains("3 times between t=0.000 s and t=0.999 s"), "{found:?}");
    }

    #[test]
    fn a_burst_a_fast_clock_and_several_counters_are_legal() {
        let mut legal = admissions("c", "node-1#0", &[0, 0, 1000, 1000, 2000]);
        // Another node, another life of the same node, another client: each has a count of its own.
        legal.extend(admissions("c", "node-2#0", &[0, 1]));
        legal.extend(admissions("c", "node-1#1", &[2001, 2001]));
        legal.extend(admissions("d", "node-1#0", &[0, 1]));
        assert_eq!(judge_limits(&rate(0), &legal), []);
        // On a clock a tenth fast a second is over after 909.09 ms of the world.
        assert_eq!(judge_limits(&rate(100_000), &admissions("c", "n", &[0, 0, 910])), []);
        assert_eq!(judge_limits(&rate(0), &[]), []);
    }
}
