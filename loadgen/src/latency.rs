//! HDR histograms of latencies, and the figures taken from them.

use std::time::Duration;

use hdrhistogram::Histogram;
use reports::model::LatencySummary;

/// Latencies in microseconds.
pub(crate) type Latencies = Histogram<u64>;

/// Longest latency that is told apart from a longer one: a minute, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// An empty histogram.
pub(crate) fn latencies() -> Latencies {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("constant bounds that the crate documents as good")
}

/// Adds one latency.
pub(crate) fn record(histogram: &mut Latencies, latency: Duration) {
    histogram.saturating_record(latency.as_micros().min(u128::from(LONGEST_US)) as u64);
}

/// The figures of a histogram.
pub(crate) fn summary(histogram: &Latencies) -> LatencySummary {
    if histogram.is_empty() {
        return LatencySummary::default();
    }
    let curve =
        histogram.iter_quantiles(5).map(|point| (100.0 * point.quantile(), point.value_iterated_to()));
    LatencySummary {
        count: histogram.len(),
        min_us: histogram.min(),
        mean_us: histogram.mean(),
        p50_us: histogram.value_at_quantile(0.5),
        p90_us: histogram.value_at_quantile(0.9),
        p99_us: histogram.value_at_quantile(0.99),
        p999_us: histogram.value_at_quantile(0.999),
        max_us: histogram.max(),
        curve: curve.collect(),
    }
}

/// Adds the latencies of `one` to `all`.
pub(crate) fn add(all: &mut Latencies, one: &Latencies) {
    all.add(one).expect("both have the same bounds");
}
