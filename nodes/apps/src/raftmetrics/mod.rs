//! RaftMetrics: named series of numbers, their values in insertion order and their aggregates.
//!
//! Beside the four files of every app: [`exact_sum`] (sums that do not depend on order), [`sketch`]
//! (quantiles from logarithmic buckets), [`series`] (one metric), [`exposition`] (Prometheus text).

pub mod command;
pub mod exposition;
pub mod query;
pub mod routes;
pub mod series;
pub mod sketch;
mod state;

pub use engine::exact_sum;
pub use state::State;

use crate::app::{App, Home};

/// RaftMetrics, the founder of the partitions.
pub const APP: App = App {
    name: "raftmetrics",
    number: 0,
    home: Home::Partitions,
    machine: || Box::new(State::default()),
    routes: routes::routes,
    measure: Some(|cluster, registry| Box::pin(exposition::measure(cluster, registry))),
    bind: None,
    service: None,
    check_settings: None,
    openapi: Some(include_str!("openapi.json")),
};
