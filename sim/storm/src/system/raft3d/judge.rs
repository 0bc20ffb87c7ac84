//! What must hold of Raft3D in the end, whatever happened: weights add up, acknowledged objects are there,
//! and nothing is that nobody asked for. What was seen on the way is judged by [`super::shop`].

use super::shop::{Call, Said, What};
use check::history::{Operation, Outcome};
use check::{Judge, MAX_VIOLATIONS_PER_JUDGE, Violation};
use client::raft3d::{Filament, JobStatus, PrintJob, Printer};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is stored in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// All printers.
    pub printers: Vec<Printer>,
    /// All filaments.
    pub filaments: Vec<Filament>,
    /// All jobs.
    pub jobs: Vec<PrintJob>,
}

/// Ids of a shop's objects.
pub fn printer_id(shop: &str) -> String {
    format!("printer-{shop}")
}

/// Id of a shop's roll.
pub fn filament_id(shop: &str) -> String {
    format!("filament-{shop}")
}

/// Id of a shop's job.
pub fn job_id(shop: &str, number: u32) -> String {
    format!("job-{shop}-{number}")
}

/// An operation of a client of shops.
pub type Done = Operation<Call, Said>;

/// Holds what is stored to what was acknowledged.
pub fn judge(history: &[Done], stored: &Stored) -> Vec<Violation> {
    let mut violations = weights(stored);
    violations.extend(acknowledged(history, stored));
    violations.extend(asked_for(history, stored));
    violations.truncate(MAX_VIOLATIONS_PER_JUDGE);
    violations
}

fn violation(judge: Judge, at_ns: Option<u64>, evidence: String) -> Violation {
    Violation { judge, at_ns, evidence }
}

/// What is left of a roll is what it was, less what was printed; and it covers what is reserved.
fn weights(stored: &Stored) -> Vec<Violation> {
    let mut found = Vec::new();
    for filament in &stored.filaments {
        let Filament { id, total_weight_in_grams: total, remaining_weight_in_grams: left, .. } = filament;
        let jobs = stored.jobs.iter().filter(|job| job.filament_id == *id);
        let sum = |wanted: fn(JobStatus) -> bool| -> u64 {
            let jobs = jobs.clone().filter(|job| wanted(job.status));
            jobs.map(|job| u64::from(job.print_weight_in_grams)).sum()
        };
        let (printed, reserved) = (sum(|status| status == JobStatus::Done), sum(JobStatus::reserves));
        if u64::from(*left) + printed != u64::from(*total) {
            let text =
                format!("{id}: of {total} g jobs that are done took {printed} g, and {left} g are left");
            found.push(violation(Judge::Conservation, None, text));
        }
        if reserved > u64::from(*left) {
            let text = format!("{id}: {reserved} g are reserved of the {left} g that are left");
            found.push(violation(Judge::Conservation, None, text));
        }
    }
    let ids: BTreeSet<&str> = stored.filaments.iter().map(|filament| filament.id.as_str()).collect();
    let lost = stored.jobs.iter().filter(|job| !ids.contains(job.filament_id.as_str()));
    found.extend(lost.map(|job| {
        violation(
            Judge::Durability,
            None,
            format!("{} is printed from {}, which is not there", job.id, job.filament_id),
        )
    }));
    found
}

/// What was acknowledged is there, with the fields that were sent, and as far as it was moved.
fn acknowledged(history: &[Done], stored: &Stored) -> Vec<Violation> {
    let printers: BTreeSet<&str> = stored.printers.iter().map(|printer| printer.id.as_str()).collect();
    let filaments: BTreeMap<&str, &Filament> = stored.filaments.iter().map(|f| (f.id.as_str(), f)).collect();
    let jobs: BTreeMap<&str, &PrintJob> = stored.jobs.iter().map(|job| (job.id.as_str(), job)).collect();
    let mut found = Vec::new();
    for operation in history {
        let Outcome::Ok(Said::Done) = operation.outcome else { continue };
        let shop = &operation.call.shop;
        let job = |number: u32| jobs.get(job_id(shop, number).as_str()).copied();
        let kept = match operation.call.what {
            What::AddPrinter => printers.contains(printer_id(shop).as_str()),
            What::AddFilament(total) => {
                let stored = filaments.get(filament_id(shop).as_str());
                stored.is_some_and(|filament| filament.total_weight_in_grams == total)
            }
            What::AddJob(number, weight) => job(number).is_some_and(|job| {
                let parts = (printer_id(shop), filament_id(shop));
                job.print_weight_in_grams == weight
                    && parts == (job.printer_id.clone(), job.filament_id.clone())
            }),
            What::Move(number, JobStatus::Running) => {
                job(number).is_some_and(|job| job.status != JobStatus::Queued)
            }
            What::Move(number, status) => job(number).is_some_and(|job| job.status == status),
            What::ReadPrinter | What::ReadFilament | What::ReadJob(_) => true,
        };
        if !kept {
            let text = format!(
                "{shop}: operation {} of client {} ({:?}) was acknowledged, and is not stored",
                operation.id, operation.client, operation.call.what
            );
            found.push(violation(Judge::Durability, operation.end_ns, text));
        }
    }
    found
}

/// What is there was asked for.
fn asked_for(history: &[Done], stored: &Stored) -> Vec<Violation> {
    let mut asked: BTreeSet<(String, u32)> = BTreeSet::new();
    for Operation { call: Call { shop, what, .. }, .. } in history {
        match what {
            What::AddPrinter => drop(asked.insert((printer_id(shop), 0))),
            What::AddFilament(total) => drop(asked.insert((filament_id(shop), *total))),
            What::AddJob(number, weight) => drop(asked.insert((job_id(shop, *number), *weight))),
            _ => {}
        }
    }
    let printers = stored.printers.iter().map(|printer| (printer.id.clone(), 0));
    let filaments = stored.filaments.iter().map(|f| (f.id.clone(), f.total_weight_in_grams));
    let jobs = stored.jobs.iter().map(|job| (job.id.clone(), job.print_weight_in_grams));
    let all = printers.chain(filaments).chain(jobs);
    let strange = all.filter(|object| !asked.contains(object));
    strange
        .map(|(id, _)| violation(Judge::Durability, None, format!("nobody asked for {id} as it is stored")))
        .collect()
}
