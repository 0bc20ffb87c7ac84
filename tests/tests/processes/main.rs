//! Real processes: what `kill -9`, a polite signal and a wrong command line do to them.
//!
//! | module | what it holds |
//! |---|---|
//! | `analytics` | Distributed Analytics, while whoever leads is killed |
//! | `by_hand` | the README's way: start, write, stop a worker, start it again |
//! | `discovery` | who can be asked, while some work, some cannot, and some are gone |
//! | `distri` | Distri's nodes, while whoever leads is killed |
//! | `joining` | a worker that joins while writers work, and leaves again |
//! | `killed` | `kill -9` in the middle of a stream of writes |
//! | `metricstream` | `test_client` against MetricStream, while leaders of partitions are killed |
//! | `quick_starts` | every system's quick start, typed line by line |
//! | `raft3d` | Raft3D's peers, while whoever leads is killed |
//! | `refused` | command lines and data folders that a node does not start with |
//! | `regions` | two nodes in each of three regions, one of which dies |
//! | `settings` | the configuration file, the environment, signals |
//! | `under_load` | the load generator while a worker is killed |
//! | `writers` | the stream of writes, and the account of what became of each |

#![allow(clippy::disallowed_methods, reason = "tests look at real nodes from the outside")]

use std::sync::{Mutex, MutexGuard, PoisonError};

mod analytics;
mod by_hand;
mod discovery;
mod distri;
mod joining;
mod killed;
mod metricstream;
mod quick_starts;
mod raft3d;
mod refused;
mod regions;
mod settings;
mod under_load;
mod writers;

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");

/// Heavy tests one after another: two clusters under load at once would measure the machine's patience.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    // A test that failed says nothing about the next one.
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}
