//! JUnit XML for continuous integration: one suite a half, one case a seed or a load step.
//!
//! The file agrees with the exit code: it holds a failure or an error exactly when the code is not 0.
//! So a step that was missed or invalid while the target was carried elsewhere is *skipped* with its
//! reason, and the target itself is a case of its own. Leaves out the time of the run, which JUnit
//! wants as a calendar type; it is a property instead.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report as Document, TestCase, TestCaseStatus, TestSuite};
use thiserror::Error;

use crate::format::{instant, percent, rate};
use crate::model::{LoadReport, LoadStep, Report, SeedResult, SeedVerdict, SimulationReport, Validity};
use crate::totals::{error_classes, is_valid};
use crate::verdict::{Half, HalfVerdict, Verdict, consistency_held};

/// Why a report could not be written as JUnit XML.
#[derive(Debug, Error)]
#[error("cannot write JUnit XML: {0}")]
pub struct JunitError(#[from] quick_junit::SerializeError);

/// The report as JUnit XML.
pub fn to_bytes(report: &Report) -> Result<Vec<u8>, JunitError> {
    let verdict = Verdict::of(report);
    let mut document = Document::new("seedstorm");
    document.set_time(wall(report.elapsed_seconds));
    if let Some(simulation) = &report.simulation {
        document.add_test_suite(simulation_suite(report, simulation, &verdict.simulation));
    }
    if let Some(load) = &report.load {
        document.add_test_suite(load_suite(report, load, &verdict.load));
    }
    if verdict.overall() == HalfVerdict::NotRun {
        let mut suite = TestSuite::new("run");
        suite.add_test_case(TestCase::new("a half was judged", error("nothing ran", "NotRun")));
        document.add_test_suite(suite);
    }
    let mut bytes = Vec::new();
    document.serialize(&mut bytes)?;
    Ok(bytes)
}

fn simulation_suite(report: &Report, simulation: &SimulationReport, half: &Half) -> TestSuite {
    let mut suite = suite("simulation", report, simulation.elapsed_seconds);
    suite.add_property(Property::new("scenario", simulation.scenario.as_str()));
    for seed in &simulation.seeds {
        suite.add_test_case(seed_case(&simulation.scenario, seed));
    }
    if simulation.seeds.is_empty() && half.verdict == HalfVerdict::HarnessFault {
        suite.add_test_case(TestCase::new("seeds ran", error(&half.sentence, "HarnessFault")));
    }
    if half.verdict == HalfVerdict::Vacuous {
        suite.add_test_case(TestCase::new("every fault bit", error(&half.sentence, "Vacuous")));
    }
    suite
}

fn seed_case(scenario: &str, seed: &SeedResult) -> TestCase {
    let status = match seed.verdict {
        SeedVerdict::Held => TestCaseStatus::success(),
        SeedVerdict::Violated => {
            let first = seed.violations.first();
            let message = first.map_or("violated", |violation| violation.evidence.as_str());
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(first.map_or("violated", |violation| violation.judge.as_str()));
            status.set_message(message).set_description(failure_text(seed));
            status
        }
        SeedVerdict::HarnessFault => {
            let reason = seed.harness_fault.as_deref().unwrap_or("no reason given");
            let mut status = error(reason, "HarnessFault");
            status.set_description(failure_text(seed));
            status
        }
    };
    let mut case = TestCase::new(format!("seed {}", seed.seed), status);
    case.set_classname(format!("simulation.{scenario}")).set_time(wall(seed.wall_seconds));
    case.add_property(Property::new("event_hash", seed.event_hash.as_str()));
    case.add_property(Property::new("replay", seed.replay.as_str()));
    case
}

/// Evidence of every violation, the files, and the way back.
fn failure_text(seed: &SeedResult) -> String {
    let mut lines = Vec::new();
    for violation in &seed.violations {
        let at = violation.at_seconds.map(|at| format!(" at {}", instant(at))).unwrap_or_default();
        lines.push(format!("{}{at}: {}", violation.judge, violation.evidence));
    }
    lines.extend(seed.harness_fault.iter().map(|reason| format!("harness fault: {reason}")));
    lines.extend(seed.artifacts.iter().map(|path| format!("saved: {path}")));
    lines.push(format!("replay: {}", seed.replay));
    lines.join("\n")
}

fn load_suite(report: &Report, load: &LoadReport, half: &Half) -> TestSuite {
    let mut suite = suite("load", report, load.elapsed_seconds);
    suite.add_property(Property::new("target", load.target.as_str()));
    let binding = matches!(half.verdict, HalfVerdict::LoadMissed | HalfVerdict::LoadInvalid);
    for step in &load.steps {
        suite.add_test_case(step_case(step, binding));
    }
    let mut target =
        TestCase::new(format!("target {} requests/s", rate(load.target_rps)), target_status(half));
    target.set_classname("load.target");
    suite.add_test_case(target);
    if let Some(found) = &load.consistency {
        let status = if consistency_held(found) {
            TestCaseStatus::success()
        } else {
            non_success(NonSuccessKind::Failure, &half.sentence, "consistency")
        };
        let mut case = TestCase::new("acknowledged writes are stored", status);
        case.set_classname("load.consistency");
        suite.add_test_case(case);
    }
    suite
}

/// `binding`: the half failed by its rate, so that the steps are its causes.
fn step_case(step: &LoadStep, binding: bool) -> TestCase {
    let (kind, reason, label) = match &step.validity {
        Validity::Invalid(reason) => (Some(NonSuccessKind::Error), reason.as_str(), "INVALID"),
        Validity::Valid if step.carried => (None, "", ""),
        Validity::Valid => {
            let reason = step.missed.as_deref().unwrap_or("no reason given");
            (Some(NonSuccessKind::Failure), reason, "missed")
        }
    };
    let status = match kind {
        None => TestCaseStatus::success(),
        Some(kind) if binding => non_success(kind, reason, label),
        Some(_) => skipped(&format!("{label}: {reason}")),
    };
    let mut case = TestCase::new(format!("step {} requests/s", rate(step.target_rps)), status);
    case.set_classname("load.step").set_time(wall(step.duration_seconds));
    let figures = [
        ("intended_p99_us", step.intended.p99_us.to_string()),
        ("service_p99_us", step.service.p99_us.to_string()),
        ("sent_on_time", percent(step.sent_on_time, step.offered)),
        ("errors", error_classes(step)),
        ("valid", is_valid(step).to_string()),
    ];
    case.add_properties(figures.map(|(name, value)| Property::new(name, value)));
    case
}

fn target_status(half: &Half) -> TestCaseStatus {
    let text = half.sentence.as_str();
    match half.verdict {
        HalfVerdict::Held => TestCaseStatus::success(),
        HalfVerdict::NotRun => skipped(text),
        HalfVerdict::LoadInvalid => error(text, "LoadInvalid"),
        HalfVerdict::HarnessFault => error(text, "HarnessFault"),
        HalfVerdict::Vacuous => error(text, "Vacuous"),
        HalfVerdict::Violated => non_success(NonSuccessKind::Failure, text, "Violated"),
        HalfVerdict::LoadMissed => non_success(NonSuccessKind::Failure, text, "LoadMissed"),
    }
}

fn suite(name: &str, report: &Report, seconds: f64) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.set_time(wall(seconds));
    suite.add_property(Property::new("commit", report.build.commit.as_str()));
    suite.add_property(Property::new("started_at", report.started_at.as_str()));
    suite
}

fn error(message: &str, kind: &str) -> TestCaseStatus {
    non_success(NonSuccessKind::Error, message, kind)
}

fn non_success(kind: NonSuccessKind, message: &str, type_name: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message).set_type(type_name);
    status
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(message);
    status
}

/// A length of time as JUnit takes it; what is not one counts as nothing.
fn wall(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests;
