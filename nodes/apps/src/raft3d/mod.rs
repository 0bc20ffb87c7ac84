//! Raft3D: printers, rolls of filament, and print jobs that use them up.
//!
//! All of it is state of group 0, because jobs refer to printers and filaments. Beside the four files of
//! every app: [`admin`] (who leads, and moving that), [`snapshots`] (readable copies of the state in the
//! data folder), [`exposition`] (measurements).

pub mod admin;
pub mod command;
pub mod exposition;
pub mod query;
mod reads;
pub mod routes;
pub mod snapshots;
mod state;

pub use state::State;

use crate::app::{App, Home};
use prometheus_client::metrics::counter::Counter;

/// Raft3D.
pub static APP: App = App {
    name: "raft3d",
    number: 1,
    home: Home::Meta,
    machine: || Box::new(State::default()),
    routes: routes::routes,
    measure: Some(|cluster, registry| Box::pin(exposition::measure(cluster, registry))),
    bind: None,
    service: Some(|cluster| Box::pin(snapshots::run(cluster))),
    check_settings: Some(snapshots::check_settings),
    openapi: Some(include_str!("openapi.json")),
};

/// What a node counts of Raft3D.
#[derive(Default)]
pub struct Counts {
    /// Requests to its routes.
    pub requests: Counter,
    /// Readable snapshots written.
    pub snapshots: Counter,
}
