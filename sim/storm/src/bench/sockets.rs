//! Our simulated sockets against madsim's own: the same work on both, round by round in turn.
//!
//! madsim's sockets know no windows, halves, resets or cuts that hold, so they are the measure of what
//! that may cost. They stand behind a wrapper that flushes only what was written: without one, every
//! empty flush sends a packet, and the longer it runs the slower it gets.

mod arms;
mod load;

use anyhow::Context;
use arms::{Madsim, Ours};
use load::{Arm, Load, Round, Work};
use std::time::Duration;

/// Rounds of each arm; the first of each warms up and does not count.
const ROUNDS: u64 = 8;
/// The most that ours may take of madsim's time.
const LIMIT: f64 = 1.3;
/// Least and largest latency on both arms: madsim's own.
const LATENCY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));

/// Figures of an arm, the median of its rounds.
struct Figures {
    requests_per_s: f64,
    simulated_per_wall: f64,
    allocations_per_request: f64,
}

/// Measures both arms on both kinds of work and prints it.
///
/// # Errors
/// If an arm does not do its work.
pub(super) fn compare() -> anyhow::Result<bool> {
    println!("sockets    ours against madsim's own with flushes only when dirty, in turn, medians of rounds");
    let mut reached = true;
    for (work, requests) in [(Work::Http, 20_000), (Work::Frames, 60_000)] {
        let load = Load { work, machines: 3, clients: 12, requests };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for seed in 0..ROUNDS {
            ours.push(Ours::run(seed, load).context("our sockets")?);
            theirs.push(Madsim::run(seed, load).context("madsim's sockets")?);
        }
        let ratio = median(ours.iter().zip(&theirs).skip(1).map(|(ours, theirs)| {
            // The same number of requests: wall time is what differs.
            ours.wall.as_secs_f64() / theirs.wall.as_secs_f64()
        }));
        let events = median(ours.iter().skip(1).map(|round| round.events as f64 / round.wall.as_secs_f64()));
        let each = median(ours.iter().skip(1).map(|round| {
            let allocations = round.allocations as f64;
            allocations / round.events.max(1) as f64
        }));
        for (name, rounds) in [("ours", &ours), ("madsim's", &theirs)] {
            let Figures { requests_per_s, simulated_per_wall, allocations_per_request } =
                figures(load, &rounds[1..]);
            println!(
                "  {:<7} {name:<9} {requests_per_s:>7.0} requests/s of wall time, \
                 {simulated_per_wall:>5.0} simulated seconds/s, {allocations_per_request:.1} allocations/request",
                work.name()
            );
        }
        let verdict = super::word(ratio <= LIMIT);
        reached &= ratio <= LIMIT;
        println!("          ours: {events:.0} events/s, {each:.2} allocations/event");
        println!("          wall time of ours to madsim's {ratio:.2} (target at most {LIMIT}: {verdict})");
    }
    Ok(reached)
}

fn figures(load: Load, rounds: &[Round]) -> Figures {
    let requests = (load.clients * load.requests_per_client()) as f64;
    let wall = |round: &Round| round.wall.as_secs_f64();
    Figures {
        requests_per_s: median(rounds.iter().map(|round| requests / wall(round))),
        simulated_per_wall: median(rounds.iter().map(|round| round.simulated.as_secs_f64() / wall(round))),
        allocations_per_request: median(rounds.iter().map(|round| round.allocations as f64 / requests)),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_arms_do_the_work() {
        for work in [Work::Http, Work::Frames] {
            let load = Load { work, machines: 2, clients: 3, requests: 30 };
            for round in [Ours::run(1, load).unwrap(), Madsim::run(1, load).unwrap()] {
                // Each of a client's ten requests takes two ways.
                assert!(round.simulated >= 20 * LATENCY.0, "{:?}", round.simulated);
                assert!(round.simulated <= 12 * 2 * LATENCY.1, "{:?}", round.simulated);
            }
        }
    }
}
