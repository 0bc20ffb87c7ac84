//! Distri: byte-level services on a cloud of nodes.
//!
//! Collections, the registry of peers and the key are state of group 0. Beside the four files of every app:
//! [`services`] and `documents` (what can be called), [`functions`] (users' own, and the pool), [`cipher`],
//! [`selector`] (which documents are meant), [`listener`] (the byte protocol), [`nodes`] (who is there).

pub mod cipher;
pub mod command;
mod documents;
pub mod functions;
pub mod listener;
pub mod nodes;
pub mod query;
pub mod routes;
pub mod selector;
pub mod services;
mod state;

pub use functions::{Cancelled, Function, Functions};
pub use state::State;

use crate::app::{App, Home};
use prometheus_client::metrics::counter::Counter;
use std::sync::OnceLock;

/// Distri.
pub static APP: App = App {
    name: "distri",
    number: 2,
    home: Home::Meta,
    machine: || Box::new(State::default()),
    routes: routes::routes,
    measure: None,
    bind: Some(|cluster| Box::pin(listener::bind(cluster))),
    service: Some(|cluster| Box::pin(listener::run(cluster))),
    check_settings: Some(listener::check_settings),
    openapi: Some(include_str!("openapi.json")),
};

/// What a node counts of Distri.
#[derive(Default)]
pub struct Counts {
    /// Requests that came.
    pub received: Counter,
    /// Requests that were answered as asked.
    pub completed: Counter,
    /// Requests that were wrong.
    pub refused: Counter,
    /// Requests that the cluster failed at.
    pub failed: Counter,
    /// Time that functions took, in microseconds.
    pub task_micros: Counter,
}

/// The cluster's key, once this node knows it. It never changes.
#[derive(Default)]
struct Key(OnceLock<[u8; 32]>);
