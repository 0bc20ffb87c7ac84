//! Seeds in worker processes: a seed that hangs, dies or eats memory costs that seed alone.
//!
//! A thread that loops cannot be stopped, and one that eats memory takes all others with it. So a campaign
//! starts as many processes of this program as there are jobs, hands each of them one seed at a time over
//! its standard input (`protocol`), watches its time and its memory from outside (`pool`), kills what
//! goes beyond its limits, and goes on with a new process. What a worker does is in `worker`.

mod memory;
mod pool;
mod protocol;
mod worker;

pub use memory::{MIB, resident_bytes};
pub use pool::Seat;
pub use protocol::Task;
pub use worker::serve;

use std::path::PathBuf;
use std::time::Duration;

/// Where seeds run.
#[derive(Clone, Debug, Default)]
pub enum Workers {
    /// On threads of this process: for tests, whose program is another one.
    #[default]
    Threads,
    /// In processes of this program, which must be `storm`.
    Processes {
        /// The program.
        program: PathBuf,
        /// What a seed may use.
        limits: Limits,
    },
}

/// What one seed may use. Simulated time is limited by the plan itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall time.
    pub wall: Duration,
    /// Resident memory of the worker.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { wall: Duration::from_secs(60), memory_bytes: 1 << 30 }
    }
}
