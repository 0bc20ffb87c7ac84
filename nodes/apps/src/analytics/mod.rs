//! Distributed Analytics: values under a partition key, averaged over all partitions.
//!
//! Beside the four files of every app: [`wire`] (bincode, Protobuf or JSON, by content type), [`gather`]
//! (all partitions asked at once, with a deadline), and `feed` (rows on their way to the column store, where
//! DuckDB is compiled in).

pub mod command;
#[cfg(feature = "duckdb")]
pub mod feed;
pub mod gather;
pub mod query;
pub mod routes;
mod state;
pub mod wire;

#[cfg(test)]
mod tests;

pub use state::State;

use crate::app::{App, Home};
use crate::column_store;

/// Distributed Analytics. A static, because its own futures name it.
pub static APP: App = App {
    name: "analytics",
    number: 1,
    home: Home::Partitions,
    machine: || Box::new(State::default()),
    routes: routes::routes,
    measure: None,
    bind: None,
    service: None,
    check_settings: Some(column_store::settings::check),
    openapi: Some(include_str!("openapi.json")),
};
