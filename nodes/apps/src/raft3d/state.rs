//! Raft3D's state machine: what exists, and what may become of it.
//!
//! What queued and running jobs will take of a roll is reserved. It follows from the jobs, so it is kept
//! beside them and not stored.

use super::command::{Command, MAX_FILAMENTS, MAX_JOBS, MAX_PRINTERS, Refused, Reply};
use super::query::{Everything, Page, Query};
use client::raft3d::{Filament, JobStatus, PrintJob, Printer};
use replica::StateMachine;
use replica::machine::{Row, RowChange, Stored};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// First bytes of rows.
const PRINTER: u8 = b'p';
const FILAMENT: u8 = b'f';
const JOB: u8 = b'j';
const REVISION: &[u8] = b"r";

/// Everything.
#[derive(Default)]
pub struct State {
    printers: BTreeMap<String, Printer>,
    filaments: BTreeMap<String, Filament>,
    jobs: BTreeMap<String, PrintJob>,
    /// What jobs that are not over will take of each filament.
    reserved: BTreeMap<String, u64>,
    /// Number of changes so far.
    revision: u64,
    changed: BTreeSet<(u8, String)>,
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Serialisation of plain data into memory has no way to fail.
    postcard::to_stdvec(value).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(kind: u8, id: &str, row: &[u8]) -> Result<T, String> {
    postcard::from_bytes(row).map_err(|error| format!("row {}{id:?}: {error}", kind as char))
}

impl State {
    fn carry_out(&mut self, command: Command) -> Result<Reply, Refused> {
        if !command.is_sound() {
            return Err(Refused::Invalid);
        }
        let reply = match command {
            Command::AddPrinter(printer) => self.add_printer(printer),
            Command::AddFilament(filament) => self.add_filament(filament),
            Command::AddJob(job) => self.add_job(job),
            Command::SetStatus { id, status } => self.set_status(&id, status),
        }?;
        self.revision += 1;
        Ok(reply)
    }

    fn add_printer(&mut self, printer: Printer) -> Result<Reply, Refused> {
        may_add(&self.printers, &printer.id, MAX_PRINTERS)?;
        self.changed.insert((PRINTER, printer.id.clone()));
        self.printers.insert(printer.id.clone(), printer);
        Ok(Reply::Done)
    }

    fn add_filament(&mut self, filament: Filament) -> Result<Reply, Refused> {
        may_add(&self.filaments, &filament.id, MAX_FILAMENTS)?;
        self.changed.insert((FILAMENT, filament.id.clone()));
        self.filaments.insert(filament.id.clone(), filament);
        Ok(Reply::Done)
    }

    fn add_job(&mut self, job: PrintJob) -> Result<Reply, Refused> {
        may_add(&self.jobs, &job.id, MAX_JOBS)?;
        if !self.printers.contains_key(&job.printer_id) {
            return Err(Refused::NoPrinter);
        }
        let filament = self.filaments.get(&job.filament_id).ok_or(Refused::NoFilament)?;
        let remaining = filament.remaining_weight_in_grams;
        let reserved = self.reserved.entry(job.filament_id.clone()).or_default();
        let after = *reserved + u64::from(job.print_weight_in_grams);
        if after > u64::from(remaining) {
            return Err(Refused::TooHeavy { remaining, reserved: *reserved });
        }
        *reserved = after;
        self.changed.insert((JOB, job.id.clone()));
        self.jobs.insert(job.id.clone(), job);
        Ok(Reply::Done)
    }

    fn set_status(&mut self, id: &str, status: JobStatus) -> Result<Reply, Refused> {
        let job = self.jobs.get_mut(id).ok_or(Refused::NoJob)?;
        if !job.status.next().contains(&status) {
            return Err(Refused::NotNext { now: job.status });
        }
        job.status = status;
        self.changed.insert((JOB, id.to_owned()));
        if !status.reserves() {
            let weight = job.print_weight_in_grams;
            // Reserved by this job, and never more than what is left: neither difference is negative.
            if let Some(reserved) = self.reserved.get_mut(&job.filament_id) {
                *reserved = reserved.saturating_sub(u64::from(weight));
            }
            if status == JobStatus::Done
                && let Some(filament) = self.filaments.get_mut(&job.filament_id)
            {
                let left = filament.remaining_weight_in_grams.saturating_sub(weight);
                filament.remaining_weight_in_grams = left;
                self.changed.insert((FILAMENT, job.filament_id.clone()));
            }
        }
        Ok(Reply::Job(job.clone()))
    }

    fn row(&self, kind: u8, id: &str) -> Option<Vec<u8>> {
        match kind {
            PRINTER => self.printers.get(id).map(encode),
            FILAMENT => self.filaments.get(id).map(encode),
            _ => self.jobs.get(id).map(encode),
        }
    }

    fn restore_row(&mut self, key: &[u8], row: &[u8]) -> Result<(), String> {
        if key == REVISION {
            self.revision = decode(b'r', "", row)?;
            return Ok(());
        }
        let unknown = || format!("unknown row {key:?}");
        let (kind, id) = key.split_first().ok_or_else(unknown)?;
        let id = std::str::from_utf8(id).map_err(|_| unknown())?;
        let own = match *kind {
            PRINTER => insert(&mut self.printers, decode::<Printer>(PRINTER, id, row)?, |p| &p.id),
            FILAMENT => insert(&mut self.filaments, decode::<Filament>(FILAMENT, id, row)?, |f| &f.id),
            JOB => {
                let job: PrintJob = decode(JOB, id, row)?;
                if job.status.reserves() {
                    let weight = u64::from(job.print_weight_in_grams);
                    *self.reserved.entry(job.filament_id.clone()).or_default() += weight;
                }
                insert(&mut self.jobs, job, |job| &job.id)
            }
            _ => return Err(unknown()),
        };
        if own == id { Ok(()) } else { Err(format!("row {key:?} holds {own:?}")) }
    }

    /// What must hold between rows.
    fn check(&self) -> Result<(), String> {
        for job in self.jobs.values() {
            if !self.printers.contains_key(&job.printer_id) || !self.filaments.contains_key(&job.filament_id)
            {
                return Err(format!("job {:?} has lost its printer or its filament", job.id));
            }
        }
        for (id, reserved) in &self.reserved {
            let left = self.filaments.get(id).map_or(0, |filament| filament.remaining_weight_in_grams);
            if *reserved > u64::from(left) {
                return Err(format!("filament {id:?} has {left} g left, and {reserved} g are reserved"));
            }
        }
        Ok(())
    }
}

fn insert<T>(objects: &mut BTreeMap<String, T>, object: T, id: fn(&T) -> &String) -> String {
    let id = id(&object).clone();
    objects.insert(id.clone(), object);
    id
}

fn may_add<T>(objects: &BTreeMap<String, T>, id: &str, limit: usize) -> Result<(), Refused> {
    if objects.contains_key(id) {
        return Err(Refused::Known);
    }
    if objects.len() >= limit { Err(Refused::TooMany { limit: limit as u64 }) } else { Ok(()) }
}

fn page<'a, T>(
    objects: &'a BTreeMap<String, T>,
    page: &Page,
    wanted: impl Fn(&T) -> bool + 'a,
) -> Vec<&'a T> {
    let from = page.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
    let objects = objects.range((from, Bound::Unbounded)).map(|(_, object)| object);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    objects.filter(|object| wanted(object)).take(limit).collect()
}

impl StateMachine for State {
    fn apply(&mut self, command: &[u8], _at_ms: u64) -> Vec<u8> {
        let command = postcard::from_bytes(command).map_err(|_| Refused::Invalid);
        encode(&command.and_then(|command| self.carry_out(command)).unwrap_or_else(Reply::Refused))
    }

    fn query(&self, query: &[u8], _stored: &dyn Stored) -> Vec<u8> {
        match postcard::from_bytes(query) {
            Ok(Query::Printer(id)) => encode(&self.printers.get(&id)),
            Ok(Query::Filament(id)) => encode(&self.filaments.get(&id)),
            Ok(Query::Job(id)) => encode(&self.jobs.get(&id)),
            Ok(Query::Printers(part)) => encode(&page(&self.printers, &part, |_| true)),
            Ok(Query::Filaments(part)) => encode(&page(&self.filaments, &part, |_| true)),
            Ok(Query::Jobs { page: part, status }) => {
                encode(&page(&self.jobs, &part, |job| status.is_none_or(|status| job.status == status)))
            }
            Ok(Query::Revision) => encode(&self.revision),
            Ok(Query::Everything) => encode(&Everything {
                revision: self.revision,
                printers: self.printers.values().cloned().collect(),
                filaments: self.filaments.values().cloned().collect(),
                print_jobs: self.jobs.values().cloned().collect(),
            }),
            Err(_) => Vec::new(),
        }
    }

    fn take_changes(&mut self) -> Vec<RowChange> {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() {
            return Vec::new();
        }
        let row = |(kind, id): (u8, String)| {
            let row = self.row(kind, &id);
            ([&[kind], id.as_bytes()].concat(), row)
        };
        let revision = (REVISION.to_vec(), Some(encode(&self.revision)));
        changed.into_iter().map(row).chain([revision]).collect()
    }

    fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        for (key, row) in rows {
            self.restore_row(&key, &row)?;
        }
        self.check()
    }

    fn hash(&self) -> u64 {
        let hash = |kind: u8, bytes: Vec<u8>| xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, u64::from(kind));
        let printers = self.printers.values().map(|printer| hash(PRINTER, encode(printer)));
        let filaments = self.filaments.values().map(|filament| hash(FILAMENT, encode(filament)));
        let jobs = self.jobs.values().map(|job| hash(JOB, encode(job)));
        printers.chain(filaments).chain(jobs).fold(self.revision, u64::wrapping_add)
    }
}

#[cfg(test)]
mod tests;
