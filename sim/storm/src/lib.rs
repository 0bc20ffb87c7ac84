//! Our cluster placed in the simulated world, and the main job.
//!
//! | module | what it holds |
//! |---|---|
//! | [`scenario`] | the cluster as a scenario: machines, knobs |
//! | [`system`] | the systems: their clients and their judges |
//! | [`watch`] | replicas' steps on their way to the judges |
//! | [`aftermath`] | after the faults: does everything come back, and what is stored? |
//! | [`run`] | one seed, from plan to verdict |
//! | [`sweep`] | many seeds |
//! | [`campaign`] | the processes that run them, and their limits |
//! | [`determinism`] | one seed, one history: checked |
//! | [`artifacts`] | what a failing seed leaves behind |
//! | [`mod@bench`] | the figures that are promised, measured |
//! | `broker` | a message broker on a machine of its own |
//! | [`job`] | the main job: sweep, load, report |
//! | [`cli`] | the command line |
//!
//! Empty without the feature `sim`.
#![allow(clippy::disallowed_methods, reason = "runs outside the simulation, beside the cluster")]
#![cfg(feature = "sim")]

pub mod aftermath;
pub mod artifacts;
pub mod bench;
mod broker;
pub mod build_info;
pub mod campaign;
pub mod cli;
pub mod determinism;
pub mod job;
mod judging;
mod logs;
mod membership;
pub mod panics;
mod place;
pub mod run;
pub mod scenario;
pub mod sweep;
pub mod system;
pub mod watch;
