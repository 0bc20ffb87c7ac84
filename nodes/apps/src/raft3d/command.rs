//! What the log holds of Raft3D, and the limits that are part of its format.

use client::raft3d::{Filament, JobStatus, PrintJob, Printer};
use serde::{Deserialize, Serialize};

/// Longest id in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// Longest other text in bytes.
pub const MAX_TEXT_BYTES: usize = 512;
/// Heaviest roll, and heaviest job, in grams: a ton.
pub const MAX_GRAMS: u32 = 1_000_000;
/// Printers at most.
pub const MAX_PRINTERS: usize = 10_000;
/// Filaments at most.
pub const MAX_FILAMENTS: usize = 10_000;
/// Jobs at most, those that are over included: they are what was printed.
pub const MAX_JOBS: usize = 100_000;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Creates a printer.
    AddPrinter(Printer),
    /// Creates a filament.
    AddFilament(Filament),
    /// Creates a job, and reserves what it takes.
    AddJob(PrintJob),
    /// Moves a job on.
    SetStatus {
        /// The job.
        id: String,
        /// Where to.
        status: JobStatus,
    },
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Created as asked for.
    Done,
    /// Moved on: the job as it is now.
    Job(PrintJob),
    /// Nothing was done.
    Refused(Refused),
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// There is one of that id already.
    Known,
    /// There are as many as may be.
    TooMany {
        /// How many.
        limit: u64,
    },
    /// The job names a printer that is not there.
    NoPrinter,
    /// The job names a filament that is not there.
    NoFilament,
    /// The roll has less than that left.
    TooHeavy {
        /// What is left of it.
        remaining: u32,
        /// What queued and running jobs will take of that.
        reserved: u64,
    },
    /// There is no such job.
    NoJob,
    /// The job cannot become that.
    NotNext {
        /// What it is.
        now: JobStatus,
    },
    /// Bytes that are no command, or an object that breaks the limits.
    Invalid,
}

/// True if a text has a length that is allowed for ids.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
}

/// True if a text has a length that is allowed for other fields.
fn is_text(text: &str) -> bool {
    (1..=MAX_TEXT_BYTES).contains(&text.len())
}

impl Command {
    /// True if it keeps the limits: the routes say more about what does not.
    pub fn is_sound(&self) -> bool {
        match self {
            Command::AddPrinter(printer) => {
                is_id(&printer.id) && is_text(&printer.company) && is_text(&printer.model)
            }
            Command::AddFilament(filament) => {
                let total = filament.total_weight_in_grams;
                is_id(&filament.id)
                    && is_text(&filament.material)
                    && is_text(&filament.color)
                    && (1..=MAX_GRAMS).contains(&total)
                    && filament.remaining_weight_in_grams <= total
            }
            Command::AddJob(job) => {
                is_id(&job.id)
                    && is_text(&job.filepath)
                    && (1..=MAX_GRAMS).contains(&job.print_weight_in_grams)
                    && job.status == JobStatus::Queued
            }
            Command::SetStatus { id, .. } => is_id(id),
        }
    }
}
