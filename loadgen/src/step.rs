//! May a step's figures be used, and did the cluster carry the step? Pure.
//!
//! The two are kept apart: a generator that did not keep its schedule says nothing about the cluster, and
//! a cluster that kept every user waiting is not the generator's fault.

use std::time::Duration;

use reports::model::Validity;

/// A ticket sent within this of its due time is on time.
pub const ON_TIME: Duration = Duration::from_millis(10);

/// Share of the offered tickets that must be sent on time.
pub const ON_TIME_SHARE: f64 = 0.995;

/// Share of the machine's processors above which the generator drowns what it measures.
pub const CLIENT_SHARE: f64 = 0.8;

/// Share of the probe's looks that may be late before the generator counts as starved.
pub const STARVED_SHARE: f64 = 0.01;

/// What is known of a step when it is over. Counts are those of the measured part.
#[derive(Clone, Debug, Default)]
pub struct StepFacts {
    /// Arrivals that fell due.
    pub offered: u64,
    /// Of these: sent.
    pub sent: u64,
    /// Of these: sent within [`ON_TIME`] of their due time.
    pub sent_on_time: u64,
    /// Sent late because every user waited for the cluster.
    pub late_all_busy: u64,
    /// Answered as expected.
    pub ok: u64,
    /// The class that most of the others fell into.
    pub worst_error: Option<String>,
    /// Requests that can be under way at once.
    pub users: usize,
    /// Processors the generator's threads used.
    pub client_cpus: f64,
    /// Processors there are.
    pub machine_cpus: usize,
    /// Share of the probe's looks at the generator's own threads that came late.
    pub starved_share: f64,
    /// The run was cancelled within this step.
    pub interrupted: bool,
}

/// What is to be said of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// May the figures be used?
    pub validity: Validity,
    /// Did the cluster carry the step?
    pub carried: bool,
    /// Why not.
    pub missed: Option<String>,
}

/// Judges a step: the first rule that binds decides.
pub fn judge(facts: &StepFacts) -> Verdict {
    if let Some(reason) = generator_fault(facts) {
        return Verdict { validity: Validity::Invalid(reason), carried: false, missed: None };
    }
    let missed = cluster_miss(facts);
    Verdict { validity: Validity::Valid, carried: missed.is_none(), missed }
}

fn generator_fault(facts: &StepFacts) -> Option<String> {
    if facts.offered == 0 {
        return Some("nothing was offered".to_owned());
    }
    let allowed_cpus = CLIENT_SHARE * facts.machine_cpus as f64;
    if facts.client_cpus > allowed_cpus {
        return Some(format!(
            "the load generator used {:.2} of {} processors, more than the {allowed_cpus:.2} allowed",
            facts.client_cpus, facts.machine_cpus
        ));
    }
    let late = facts.offered - facts.sent_on_time;
    let allowed_late = (1.0 - ON_TIME_SHARE) * facts.offered as f64;
    if late as f64 <= allowed_late {
        return None;
    }
    // A ticket that was never sent found the queue full: no user was free for it either.
    let excused = facts.late_all_busy + (facts.offered - facts.sent);
    let own = late.saturating_sub(excused);
    if own as f64 > allowed_late {
        return Some(format!(
            "{} of the arrivals were sent within {} ms of their due time, {} are required",
            share(facts.sent_on_time, facts.offered),
            ON_TIME.as_millis(),
            percent(ON_TIME_SHARE),
        ));
    }
    (facts.starved_share > STARVED_SHARE).then(|| {
        format!(
            "the load generator's own threads waited for a processor: {} of its looks at the clock were late",
            percent(facts.starved_share)
        )
    })
}

fn cluster_miss(facts: &StepFacts) -> Option<String> {
    if facts.interrupted {
        return Some("interrupted before its end".to_owned());
    }
    let mut reasons = Vec::new();
    if (facts.sent_on_time as f64) < ON_TIME_SHARE * facts.offered as f64 {
        reasons.push(format!(
            "all {} users were waiting for the cluster, so that only {} of the arrivals could be sent on time",
            facts.users,
            share(facts.sent_on_time, facts.offered)
        ));
    }
    if facts.ok < facts.offered {
        let failed = facts.offered - facts.ok;
        let why =
            facts.worst_error.as_ref().map(|class| format!(", most of them: {class}")).unwrap_or_default();
        reasons.push(format!("{failed} of {} arrivals were not answered with success{why}", facts.offered));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// A part of a whole in percent, rounded down, so that a near miss does not read as a hit.
fn share(part: u64, whole: u64) -> String {
    percent(part as f64 / whole as f64)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", (share * 10_000.0 + 1e-9).floor() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step of 1,000 arrivals that went well.
    fn good() -> StepFacts {
        StepFacts {
            offered: 1_000,
            sent: 1_000,
            sent_on_time: 1_000,
            ok: 1_000,
            users: 50,
            client_cpus: 0.6,
            machine_cpus: 2,
            ..StepFacts::default()
        }
    }

    #[derive(Debug, PartialEq)]
    enum Expected {
        Carried,
        Missed(&'static str),
        Invalid(&'static str),
    }

    fn verdict(facts: &StepFacts, expected: &Expected) -> bool {
        let verdict = judge(facts);
        match (expected, &verdict.validity, &verdict.missed) {
            (Expected::Carried, Validity::Valid, None) => verdict.carried,
            (Expected::Missed(part), Validity::Valid, Some(reason)) => {
                !verdict.carried && reason.contains(part)
            }
            (Expected::Invalid(part), Validity::Invalid(reason), None) => {
                !verdict.carried && reason.contains(part)
            }
            _ => false,
        }
    }

    #[test]
    fn the_gate() {
        use Expected::{Carried, Invalid, Missed};
        let late =
            |late: u64, all_busy| StepFacts { sent_on_time: 1_000 - late, late_all_busy: all_busy, ..good() };
        let table = [
            ("all well", good(), Carried),
            ("five late, the generator's fault", late(5, 0), Carried),
            ("six late, the generator's fault", late(6, 0), Invalid("99.40 % of the arrivals")),
            ("all users busy", late(400, 400), Missed("all 50 users were waiting")),
            ("all users busy, five late otherwise", late(400, 395), Missed("only 60.00 %")),
            ("all users busy, six late otherwise", late(400, 394), Invalid("60.00 % of the arrivals")),
            (
                "all users busy for lack of a processor",
                StepFacts { starved_share: 0.3, ..late(400, 400) },
                Invalid("waited for a processor: 30.00 %"),
            ),
            ("starved but on time", StepFacts { starved_share: 0.3, ..good() }, Carried),
            ("the queue overflowed", StepFacts { sent: 600, ok: 600, ..late(400, 0) }, Missed("400 of 1000")),
            (
                "one failed",
                StepFacts { ok: 999, worst_error: Some("timeout".to_owned()), ..good() },
                Missed("1 of 1000 arrivals were not answered with success, most of them: timeout"),
            ),
            ("too much processor", StepFacts { client_cpus: 1.61, ..good() }, Invalid("used 1.61 of 2")),
            ("much processor", StepFacts { client_cpus: 1.6, ..good() }, Carried),
            ("nothing offered", StepFacts { offered: 0, ..good() }, Invalid("nothing was offered")),
            ("interrupted", StepFacts { interrupted: true, ..good() }, Missed("interrupted")),
        ];
        for (name, facts, expected) in table {
            assert!(verdict(&facts, &expected), "{name}: expected {expected:?}, got {:?}", judge(&facts));
        }
    }
}
