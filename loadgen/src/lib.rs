//! How fast is it? Open-loop load on a cluster, with figures that say when they may not be used.
//!
//! The schedule decides when a request is due, whatever the cluster does; goose's users only carry the
//! requests out. In reading order:
//!
//! | file | holds |
//! |---|---|
//! | `options` | what a caller may choose, and what is refused |
//! | `schedule` | when each arrival is due, and which rates make up the ladder: pure |
//! | `ticket`, `queue` | arrivals on their way from the pacer to a user |
//! | `pacer` | the thread that turns the schedule into tickets |
//! | `request` | the request behind a ticket, and what counts as its success |
//! | `executor`, `hush` | goose: users that take tickets and send requests, without a word |
//! | `recorder`, `latency` | what happened, in HDR histograms |
//! | `probe`, `cpu`, `os` | how the generator itself was doing |
//! | `step` | may a step's figures be used, and did the cluster carry it: pure |
//! | `run` | the ladder from its first step to its last |
//! | `consistency` | after the load: is every acknowledged write stored? |
//! | `embedded` | the same against a cluster in this process |
//! | `test_client` | many clients of MetricStream, and whether each of their batches was counted |
//! | `progress`, `cli` | what a person sees |
#![allow(clippy::disallowed_methods, reason = "runs outside the simulation, beside the cluster")]

pub mod cli;
pub mod progress;
pub mod schedule;
pub mod step;
pub mod test_client;

mod cancel;
mod consistency;
mod cpu;
mod embedded;
mod error;
mod executor;
mod hush;
mod latency;
mod options;
mod os;
mod pacer;
mod probe;
mod queue;
mod recorder;
mod request;
mod run;
mod ticket;

pub use cancel::CancelToken;
pub use embedded::run_embedded;
pub use error::LoadError;
pub use options::LoadOptions;
pub use progress::{Bars, Progress, Silent};
pub use run::run;
