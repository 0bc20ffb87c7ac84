//! Distributed Analytics: values under a partition key, averaged over all partitions.
//!
//! Beside the four files of every app: [`wire`] (bincode, Protobuf or JSON, by content type), [`gather`]
//! (all partitions asked at once, with a deadline), [`settings`], [`sql`] and `cache` (DuckDB, where it is
//! compiled in).

#[cfg(feature = "duckdb")]
pub mod cache;
pub mod command;
pub mod gather;
pub mod query;
pub mod routes;
pub mod settings;
pub mod sql;
mod state;
pub mod wire;

#[cfg(test)]
mod tests;

pub use state::State;

use crate::app::{App, Home};

/// Distributed Analytics. A static, because its own futures name it.
pub static APP: App = App {
    name: "analytics",
    number: 1,
    home: Home::Partitions,
    machine: || Box::new(State::default()),
    routes: routes::routes,
    measure: None,
    bind: None,
    service: sql::SERVICE,
    check_settings: Some(settings::check),
    openapi: Some(include_str!("openapi.json")),
};
