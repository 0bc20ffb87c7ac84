//! The invented load run: 200 to 10,000 requests a second, 30 s a step.

use super::dice::Dice;
use crate::model::{ErrorCount, LatencySummary, LoadConsistency, LoadReport, LoadSecond, LoadStep, Validity};

const RATES: [f64; 6] = [200.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0];
const STEP_SECONDS: f64 = 30.0;

pub(super) fn run() -> LoadReport {
    let mut dice = Dice::new(0x10ad);
    let steps: Vec<LoadStep> = RATES.iter().map(|rate| step(*rate)).collect();
    let acknowledged = steps.iter().map(|step| step.ok).sum::<u64>() / 2;
    LoadReport {
        target: "embedded cluster: 1 control + 3 workers, 4 groups, fsync on".to_owned(),
        target_rps: 10_000.0,
        seconds: (0..RATES.len() as u64 * 30).map(|at| second(&mut dice, at)).collect(),
        consistency: Some(LoadConsistency {
            acknowledged,
            unknown: 1_184,
            stored: acknowledged + 611,
            held: true,
        }),
        elapsed_seconds: 199.1,
        steps,
    }
}

fn step(rate: f64) -> LoadStep {
    let offered = (rate * STEP_SECONDS) as u64;
    let overloaded = rate >= 10_000.0;
    let late_generator = rate == 1_000.0;
    let failed = if overloaded { offered / 31 } else { offered / 9_000 };
    let service = latency(offered, 900.0 + rate * 0.12, if overloaded { 60.0 } else { 9.0 });
    let queue = latency(offered, 22.0, if late_generator { 2_900.0 } else { 40.0 });
    let intended = latency(
        offered,
        if overloaded { 58_000.0 } else { 960.0 + rate * 0.14 },
        if overloaded {
            60.0
        } else if late_generator {
            80.0
        } else {
            10.0
        },
    );
    let p99 = intended.p99_us;
    LoadStep {
        target_rps: rate,
        duration_seconds: STEP_SECONDS,
        offered,
        sent: if overloaded { offered - 812 } else { offered },
        sent_on_time: if late_generator { offered * 973 / 1_000 } else { offered - offered / 2_000 },
        ok: offered - failed,
        errors: errors(failed, overloaded),
        intended,
        service,
        queue,
        pacer_lag: latency(offered, 19.0, if late_generator { 700.0 } else { 12.0 }),
        client_cpus: 0.08 + rate * 0.000_088,
        cluster_cpus: Some(0.2 + rate * 0.000_31),
        validity: if late_generator {
            Validity::Invalid(
                "97.30 % of arrivals sent within 10 ms of their due time, 99.5 % asked".to_owned(),
            )
        } else {
            Validity::Valid
        },
        carried: !overloaded && !late_generator,
        missed: overloaded.then(|| {
            format!(
                "intended p99 is {} ms, at most 250 ms asked; 3.23 % errors, at most 0.1 % asked",
                p99 / 1_000
            )
        }),
    }
}

fn errors(failed: u64, overloaded: bool) -> Vec<ErrorCount> {
    let classes: &[(&str, u64)] = if overloaded {
        &[("status 503", 62), ("timeout", 30), ("shed by generator", 8)]
    } else {
        &[("timeout", 100)]
    };
    classes
        .iter()
        .map(|(class, share)| ErrorCount { class: (*class).to_owned(), count: failed * share / 100 })
        .filter(|error| error.count > 0)
        .collect()
}

/// A curve from `median` up to `median * tail` at the top.
fn latency(count: u64, median: f64, tail: f64) -> LatencySummary {
    let value = |percentile: f64| {
        let nines = -(1.0 - percentile / 100.0).max(1e-6).log10();
        // 0 at the median, 1 at the 99.99th percentile.
        let climb = ((nines - 0.301) / 3.7).max(-0.06);
        (median * tail.powf(climb.signum() * climb.abs().powf(1.25))) as u64
    };
    let percentiles =
        [0.0, 10.0, 25.0, 50.0, 75.0, 85.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99, 99.995];
    let max_us = value(99.998);
    let mut curve: Vec<(f64, u64)> = percentiles.iter().map(|at| (*at, value(*at))).collect();
    curve.push((100.0, max_us));
    LatencySummary {
        count,
        min_us: value(0.0),
        mean_us: value(62.0) as f64,
        p50_us: value(50.0),
        p90_us: value(90.0),
        p99_us: value(99.0),
        p999_us: value(99.9),
        max_us,
        curve,
    }
}

fn second(dice: &mut Dice, at: u64) -> LoadSecond {
    let rate = RATES[(at / 30) as usize];
    let overloaded = rate >= 10_000.0;
    let offered = (rate * dice.between(0.985, 1.015)) as u64;
    let failed =
        if overloaded { (rate * dice.between(0.01, 0.055)) as u64 } else { u64::from(dice.chance(0.2)) };
    // One second in which the generator slept, and a cluster that falls behind at the end.
    let slept = at == 75;
    let behind = if overloaded { 1.0 + (at % 30) as f64 * 0.9 } else { 1.0 };
    let service_p50 = dice.skewed(900.0 + rate * 0.12, 0.05) * behind.sqrt();
    let service_p99 = service_p50 * dice.between(3.0, 4.2);
    let wait = if slept { 880_000.0 } else { dice.between(20.0, 140.0) * behind * behind * behind.min(5.0) };
    LoadSecond {
        at_seconds: at as f64,
        offered,
        sent: if slept { offered / 8 } else { offered - if overloaded { offered / 300 } else { 0 } },
        ok: if slept { offered / 9 } else { offered - failed },
        failed,
        intended_p50_us: (service_p50 + wait * 0.4) as u64,
        intended_p99_us: (service_p99 + wait) as u64,
        service_p50_us: service_p50 as u64,
        service_p99_us: service_p99 as u64,
    }
}
