//! What a run's facts amount to: the judges' verdict, the counts, the timeline.

use crate::run::{BOOT, Facts};
use crate::system::{Deed, Fate};
use check::Violation;
use reports::model::{
    FaultBand, FaultCount, OperationCounts, OperationDot, SeedResult, SeedVerdict, Timeline, ViolationReport,
};
use rt::sim::sites::Kind;

pub(crate) fn judge(result: &mut SeedResult, facts: &Facts) {
    let mut violations = std::mem::take(&mut result.violations);
    let own =
        |judge: &str, evidence: String| ViolationReport { judge: judge.into(), at_seconds: None, evidence };
    violations.extend(facts.sight.stops.iter().map(|stop| own("no-stop", stop.clone())));
    violations.extend(facts.broken_laws.iter().map(|broken| ViolationReport {
        judge: "always".into(),
        at_seconds: Some(broken.at_ns as f64 / 1e9),
        evidence: broken.to_string(),
    }));
    if !facts.booted {
        let text =
            format!("the cluster was not ready {} s after its start, without any fault", BOOT.as_secs());
        violations.push(own("liveness", text));
    }
    if let Some(liveness) = &facts.liveness {
        violations.extend(check::judge_liveness(liveness).iter().map(report));
    }
    if facts.collected {
        violations.extend(facts.system.judge().iter().map(report));
    } else if facts.booted {
        violations
            .push(own("liveness", "what is stored could not be read after everything was healed".into()));
    }
    result.verdict = if violations.is_empty() { SeedVerdict::Held } else { SeedVerdict::Violated };
    result.violations = violations;
    result.simulated_seconds = facts.end_ns as f64 / 1e9;
    result.event_hash = format!("{:016x}", facts.event_hash);
    result.events = facts.event_count;
    result.elections = facts.sight.elections;
    result.operations = count(&facts.operations);
    let counted = |kinds: &[Kind]| {
        let sites =
            facts.sites.iter().filter(|count| kinds.contains(&count.site.kind()) && count.reached > 0);
        sites.map(|count| (count.site.name().to_owned(), count.reached)).collect()
    };
    result.reached = counted(&[Kind::Sometimes, Kind::Reachable]);
    result.buggified = counted(&[Kind::Buggify]);
    let fault = |(kind, counts): (&&str, &world::nemesis::Counts)| FaultCount {
        kind: (*kind).to_owned(),
        armed: counts.armed,
        fired: counts.fired,
        bit: counts.bit,
    };
    result.faults = facts.deeds.counts.iter().map(fault).collect();
}

pub(crate) fn report(violation: &Violation) -> ViolationReport {
    ViolationReport {
        judge: violation.judge.to_string(),
        at_seconds: violation.at_ns.map(|ns| ns as f64 / 1e9),
        evidence: violation.evidence.clone(),
    }
}

fn count(deeds: &[Deed]) -> OperationCounts {
    let count = |fate| deeds.iter().filter(|deed| deed.fate == fate).count() as u64;
    OperationCounts { ok: count(Fate::Ok), rejected: count(Fate::Rejected), unknown: count(Fate::Unknown) }
}

pub(crate) fn timeline(facts: &Facts) -> Timeline {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let faults = facts.deeds.bands.iter().map(|band| FaultBand {
        kind: band.kind.into(),
        nodes: band.machines.clone(),
        from_seconds: seconds(band.from_ns),
        to_seconds: seconds(band.to_ns),
    });
    let operations = facts.operations.iter().map(|deed| OperationDot {
        at_seconds: seconds(deed.begin_ns),
        latency_ms: deed.end_ns.unwrap_or(facts.end_ns).saturating_sub(deed.begin_ns) as f64 / 1e6,
        outcome: deed.fate.name().into(),
        write: deed.write,
    });
    Timeline {
        end_seconds: seconds(facts.end_ns),
        nodes: facts.machines.clone(),
        faults: faults.collect(),
        leaderships: facts.sight.leaderships.clone(),
        operations: operations.collect(),
    }
}
