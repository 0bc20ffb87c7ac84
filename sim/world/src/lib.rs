//! The simulated world: machines, faults as data, and the record of what clients saw. Knows no node: a
//! machine is a name, an address and an `async fn` that starts it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`plan`] | a run's knobs and timed faults, as data |
//! | [`mod@draw`] | a plan drawn from a seed |
//! | [`nemesis`] | carries a plan out |
//! | [`record`] | client operations as they happen |
//!
//! Empty without the feature `sim`.
#![cfg(feature = "sim")]

pub mod draw;
pub mod nemesis;
pub mod plan;
pub mod record;

pub use draw::draw;
pub use nemesis::Nemesis;
pub use plan::{Fault, FaultKind, Plan, PlanError};
pub use record::Recorder;
