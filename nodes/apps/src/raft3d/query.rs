//! What can be asked of Raft3D's state.

use client::raft3d::{Filament, JobStatus, PrintJob, Printer};
use serde::{Deserialize, Serialize};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// A printer; the answer is an `Option<Printer>`.
    Printer(String),
    /// A filament; the answer is an `Option<Filament>`.
    Filament(String),
    /// A job; the answer is an `Option<PrintJob>`.
    Job(String),
    /// Printers in the order of their ids; the answer is a `Vec<Printer>`.
    Printers(Page),
    /// Filaments in the order of their ids; the answer is a `Vec<Filament>`.
    Filaments(Page),
    /// Jobs in the order of their ids; the answer is a `Vec<PrintJob>`.
    Jobs {
        /// Which.
        page: Page,
        /// Only those of this status.
        status: Option<JobStatus>,
    },
    /// Number of changes so far; the answer is a `u64`.
    Revision,
    /// Everything; the answer is an [`Everything`].
    Everything,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Id to begin after.
    pub after: Option<String>,
    /// So many at most.
    pub limit: u64,
}

/// Everything there is, in the order of the ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Everything {
    /// Number of changes that made it.
    pub revision: u64,
    /// All printers.
    pub printers: Vec<Printer>,
    /// All filaments.
    pub filaments: Vec<Filament>,
    /// All jobs.
    pub print_jobs: Vec<PrintJob>,
}
