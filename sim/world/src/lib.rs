//! The simulated world: machines, faults as data, and the record of what clients saw. Knows no node: a
//! machine is a name, an address and an `async fn` that starts it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`plan`] | a run's knobs and timed faults, as data |
//! | [`mod@draw`] | a plan drawn from a seed |
//! | [`atlas`] | which machine may be damaged now |
//! | [`nemesis`] | carries a plan out |
//! | [`record`] | client operations as they happen |
//! | [`stage`] | a stage for systems of one's own: machines, clients, faults, the verdict |
//! | [`mod@run`] | runs a scenario once, or twice to compare |
//! | [`mod@sweep`] | many seeds of a scenario |
//!
//! Newcomers start with [`mod@run`]; the repository's README walks through an example.
//!
//! Empty without the feature `sim`.
#![cfg(feature = "sim")]

pub mod atlas;
pub mod draw;
pub mod nemesis;
pub mod plan;
pub mod record;
pub mod run;
pub mod stage;
pub mod sweep;

pub use atlas::Atlas;
pub use draw::{Profile, draw};
pub use nemesis::Nemesis;
pub use plan::{Fault, FaultKind, Plan, PlanError};
pub use record::Recorder;
pub use run::{Run, check_determinism, check_determinism_with, run, run_with};
pub use stage::{Stage, Verdict};
pub use sweep::{Sweep, sweep, sweep_with};

/// The README's Rust is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
