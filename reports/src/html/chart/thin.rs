//! Fewer points where there are more than a drawing can show.

use crate::model::{LoadSecond, OperationDot};

/// `dots` down to `most`. Every one that is not `ok` stays as long as they fit; of the others every n-th.
pub(in crate::html) fn dots(dots: &[OperationDot], most: usize) -> Vec<&OperationDot> {
    if dots.len() <= most {
        return dots.iter().collect();
    }
    let (fine, rare): (Vec<_>, Vec<_>) = dots.iter().partition(|dot| dot.outcome == "ok");
    let rare = every(&rare, most);
    let fine = every(&fine, most - rare.len());
    rare.into_iter().chain(fine).collect()
}

/// At most `most` of `items`, evenly spread.
fn every<T: Copy>(items: &[T], most: usize) -> Vec<T> {
    if items.len() <= most {
        return items.to_vec();
    }
    (0..most).map(|index| items[index * items.len() / most]).collect()
}

/// `seconds` down to `most` points, each of the same number of seconds: the mean of the rates, the worst
/// of the latencies. Returns that number too.
pub(in crate::html) fn seconds(seconds: &[LoadSecond], most: usize) -> (Vec<LoadSecond>, usize) {
    let width = seconds.len().div_ceil(most.max(1)).max(1);
    (seconds.chunks(width).map(merge).collect(), width)
}

fn merge(chunk: &[LoadSecond]) -> LoadSecond {
    let mean = |rate: fn(&LoadSecond) -> u64| {
        let sum: u128 = chunk.iter().map(|second| u128::from(rate(second))).sum();
        u64::try_from(sum / chunk.len().max(1) as u128).unwrap_or(u64::MAX)
    };
    let worst = |latency: fn(&LoadSecond) -> u64| chunk.iter().map(latency).max().unwrap_or(0);
    LoadSecond {
        at_seconds: chunk.first().map_or(0.0, |second| second.at_seconds),
        offered: mean(|second| second.offered),
        sent: mean(|second| second.sent),
        ok: mean(|second| second.ok),
        failed: mean(|second| second.failed),
        intended_p50_us: worst(|second| second.intended_p50_us),
        intended_p99_us: worst(|second| second.intended_p99_us),
        service_p50_us: worst(|second| second.service_p50_us),
        service_p99_us: worst(|second| second.service_p99_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(outcome: &str) -> OperationDot {
        OperationDot { outcome: outcome.to_owned(), ..OperationDot::default() }
    }

    #[test]
    fn what_failed_stays() {
        let mut all: Vec<OperationDot> = (0..9_000).map(|_| dot("ok")).collect();
        all.extend((0..40).map(|_| dot("unknown")));
        let kept = dots(&all, 3_000);
        assert_eq!(kept.len(), 3_000);
        assert_eq!(kept.iter().filter(|dot| dot.outcome == "unknown").count(), 40);
        let failed: Vec<OperationDot> = (0..9_000).map(|_| dot("rejected")).collect();
        assert_eq!(dots(&failed, 3_000).len(), 3_000);
        assert_eq!(dots(&all[..5], 3_000).len(), 5);
    }

    #[test]
    fn a_spike_survives_and_a_rate_is_a_mean() {
        let mut all: Vec<LoadSecond> = (0..1_201)
            .map(|at| LoadSecond { at_seconds: f64::from(at), offered: 100, ..LoadSecond::default() })
            .collect();
        all[700].intended_p99_us = 9_999;
        all[0].offered = 400;
        let (thin, width) = seconds(&all, 600);
        assert_eq!((thin.len(), width), (401, 3));
        assert_eq!(thin[0].offered, 200);
        assert_eq!(thin.iter().map(|second| second.intended_p99_us).max(), Some(9_999));
        assert_eq!(seconds(&[], 600), (Vec::new(), 1));
    }
}
