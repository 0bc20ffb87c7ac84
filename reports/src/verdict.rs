//! What a report amounts to: one verdict a half, and one exit code.
//!
//! A half is judged on what ran. It is never called held when nothing was shown: a half that was asked
//! for and came back empty is a fault of the harness, and a load run that was interrupted below its
//! target has no verdict. Leaves out how a verdict looks; that is each form's own business.

use crate::format::{capital, count, list, rate};
use crate::model::{LoadConsistency, LoadReport, LoadStep, Report, SimulationReport, Validity};
use crate::totals::{Campaign, highest_carried, is_valid};

/// How one half ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfVerdict {
    /// Not asked for, or interrupted before it could show anything.
    NotRun,
    /// Everything that ran is as it should be.
    Held,
    /// A law is broken: a judge found it, or acknowledged writes are not stored.
    Violated,
    /// The harness failed; says nothing about the cluster.
    HarnessFault,
    /// Everything held, but a fault never bit or a state was never reached: about that, nothing is shown.
    Vacuous,
    /// No valid step at or above the target rate was carried.
    LoadMissed,
    /// As `LoadMissed`, but only because the generator did not keep its schedule there.
    LoadInvalid,
}

impl HalfVerdict {
    /// Short form in capitals, for headlines.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotRun => "NO VERDICT",
            Self::Held => "HELD",
            Self::Violated => "VIOLATED",
            Self::HarnessFault => "HARNESS FAULT",
            Self::Vacuous => "VACUOUS",
            Self::LoadMissed => "TARGET MISSED",
            Self::LoadInvalid => "LOAD INVALID",
        }
    }

    /// Place in the order of precedence, the most serious first.
    fn rank(self) -> u8 {
        match self {
            Self::Violated => 0,
            Self::HarnessFault => 1,
            Self::Vacuous => 2,
            Self::LoadMissed => 3,
            Self::LoadInvalid => 4,
            Self::Held => 5,
            Self::NotRun => 6,
        }
    }
}

/// A half's verdict and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Half {
    /// How it ended.
    pub verdict: HalfVerdict,
    /// Why, in one or a few full sentences.
    pub sentence: String,
}

/// Both halves of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Does it stay correct?
    pub simulation: Half,
    /// How much load does it carry?
    pub load: Half,
    /// The run was interrupted: both halves are judged on what ran.
    pub interrupted: bool,
}

impl Verdict {
    /// Judges `report`.
    pub fn of(report: &Report) -> Self {
        let none = || half(HalfVerdict::NotRun, "Not asked for.".to_owned());
        Self {
            simulation: report
                .simulation
                .as_ref()
                .map_or_else(none, |simulation| judge_simulation(simulation, report.interrupted)),
            load: report.load.as_ref().map_or_else(none, |load| judge_load(load, report.interrupted)),
            interrupted: report.interrupted,
        }
    }

    /// The more serious verdict of the two halves.
    pub fn overall(&self) -> HalfVerdict {
        let (left, right) = (self.simulation.verdict, self.load.verdict);
        if left.rank() <= right.rank() { left } else { right }
    }

    /// 0 held, 1 violated, 2 harness fault, a vacuous campaign or nothing shown at all, 3 load target missed or not measurable.
    pub fn exit_code(&self) -> u8 {
        match self.overall() {
            HalfVerdict::Held => 0,
            HalfVerdict::Violated => 1,
            HalfVerdict::HarnessFault | HalfVerdict::Vacuous | HalfVerdict::NotRun => 2,
            HalfVerdict::LoadMissed | HalfVerdict::LoadInvalid => 3,
        }
    }
}

/// Does `acknowledged <= stored <= acknowledged + unknown` hold? Both the run's own finding and the
/// figures must say so.
pub fn consistency_held(consistency: &LoadConsistency) -> bool {
    let most = consistency.acknowledged.saturating_add(consistency.unknown);
    consistency.held && (consistency.acknowledged..=most).contains(&consistency.stored)
}

fn half(verdict: HalfVerdict, sentence: String) -> Half {
    Half { verdict, sentence }
}

fn judge_simulation(simulation: &SimulationReport, interrupted: bool) -> Half {
    let campaign = Campaign::of(simulation);
    let ran = simulation.ran();
    let mut parts = Vec::new();
    if interrupted {
        parts.push("interrupted".to_owned());
    }
    if ran < simulation.seeds_requested {
        parts.push(format!("{} of {} seeds ran", count(ran), count(simulation.seeds_requested)));
    }
    if ran == 0 {
        parts.push("no seed was judged".to_owned());
        let verdict = if interrupted { HalfVerdict::NotRun } else { HalfVerdict::HarnessFault };
        return half(verdict, sentence(&parts));
    }
    let held = campaign.held_count();
    parts.push(match (held == ran, ran) {
        (true, 1) => "the seed held".to_owned(),
        (true, _) => format!("all {} seeds held", count(ran)),
        (false, _) => format!("{} of {} seeds held", count(held), count(ran)),
    });
    if !campaign.violated.is_empty() {
        let number = count(campaign.violated.len() as u64);
        parts.push(format!("{number} violated ({})", list(&campaign.violated, 5)));
    }
    if !campaign.harness_faults.is_empty() {
        let number = campaign.harness_faults.len() as u64;
        let faults = crate::format::plural(number, "harness fault");
        parts.push(format!("{faults} ({})", list(&campaign.harness_faults, 5)));
    }
    let verdict = if !campaign.violated.is_empty() {
        HalfVerdict::Violated
    } else if !campaign.harness_faults.is_empty() {
        HalfVerdict::HarnessFault
    } else if !interrupted && !campaign.missing.is_fine() {
        parts.push(campaign.missing.counted().text(8));
        HalfVerdict::Vacuous
    } else {
        HalfVerdict::Held
    };
    half(verdict, sentence(&parts))
}

fn judge_load(load: &LoadReport, interrupted: bool) -> Half {
    let lead = if interrupted { "Interrupted. " } else { "" };
    if let Some(broken) = load.consistency.as_ref().filter(|found| !consistency_held(found)) {
        let best = highest_carried(load)
            .map(|step| format!(" Highest rate carried: {}/s.", rate(step.target_rps)))
            .unwrap_or_default();
        return half(HalfVerdict::Violated, format!("{lead}{}{best}", broken_consistency(broken)));
    }
    if load.steps.is_empty() {
        let verdict = if interrupted { HalfVerdict::NotRun } else { HalfVerdict::HarnessFault };
        return half(verdict, format!("{lead}No step was measured."));
    }
    let (verdict, reason) = judge_steps(load, interrupted);
    let best = match highest_carried(load) {
        Some(_) if verdict == HalfVerdict::Held => String::new(),
        Some(step) => format!(" Highest rate carried: {}/s.", rate(step.target_rps)),
        None => " No step was carried.".to_owned(),
    };
    half(verdict, format!("{lead}{reason}{best}"))
}

fn judge_steps(load: &LoadReport, interrupted: bool) -> (HalfVerdict, String) {
    let target = format!("{}/s", rate(load.target_rps));
    if let Some(best) = highest_carried(load).filter(|step| reaches(step, load)) {
        let above = if best.target_rps > load.target_rps {
            format!(", target {target}")
        } else {
            ", the target".to_owned()
        };
        return (HalfVerdict::Held, format!("{}/s carried{above}.", rate(best.target_rps)));
    }
    let at_target: Vec<&LoadStep> = load.steps.iter().filter(|step| reaches(step, load)).collect();
    if let Some(missed) = at_target.iter().find(|step| is_valid(step)) {
        let reason = missed.missed.as_deref().unwrap_or("no reason given");
        return (
            HalfVerdict::LoadMissed,
            format!("Target {target} missed: {}.", reason.trim_end_matches('.')),
        );
    }
    if let Some(Validity::Invalid(reason)) = at_target.first().map(|step| &step.validity) {
        let reason = reason.trim_end_matches('.');
        let text = format!("No figure for the target {target}, the generator fell short: {reason}.");
        return (HalfVerdict::LoadInvalid, text);
    }
    if !interrupted {
        return (
            HalfVerdict::LoadMissed,
            format!("Target {target} missed: no step of that rate was measured."),
        );
    }
    match load.steps.iter().find(|step| is_valid(step) && !step.carried) {
        Some(step) => {
            let text = format!("Target {target} missed: {}/s was not carried.", rate(step.target_rps));
            (HalfVerdict::LoadMissed, text)
        }
        None => (HalfVerdict::NotRun, format!("The target {target} was not reached.")),
    }
}

/// Is the step's rate at or above the target?
pub(crate) fn reaches(step: &LoadStep, load: &LoadReport) -> bool {
    // A rate that was computed may be a rounding error below the one that was asked for.
    step.target_rps >= load.target_rps * (1.0 - 1e-9)
}

fn broken_consistency(found: &LoadConsistency) -> String {
    let figures = format!(
        "{} acknowledged, {} unknown, {} stored",
        count(found.acknowledged),
        count(found.unknown),
        count(found.stored)
    );
    if found.stored < found.acknowledged {
        format!("Acknowledged writes are lost: {figures}.")
    } else if found.stored > found.acknowledged.saturating_add(found.unknown) {
        format!("More writes are stored than were attempted: {figures}.")
    } else {
        format!("The stored writes do not match the acknowledged ones: {figures}.")
    }
}

fn sentence(parts: &[String]) -> String {
    capital(&parts.join("; ")) + "."
}

#[cfg(test)]
mod tests;
