//! MetricStream: batches of tagged metrics, queries over them, and windows of time.
//!
//! Beside the four files of every app: [`ingest`] (from a batch's bytes to commands), [`columns`] (points on
//! the disk), [`index`] (series by name and tags), [`accumulator`] (what points sum up to), [`rollup`]
//! (panes of time), `read` (answers from blocks), [`front`] (what a node keeps for its listener: limits and
//! counts), `follow` (points as they come, for copies), `export` and [`export_files`] (`metrics.jsonl`),
//! [`queue`] (message queues in and out), `sources` (how far those are), `slice` and `feed` (points on their
//! way to the column store), [`search`] (queries over HTTP), [`settings`].

pub mod accumulator;
pub mod columns;
pub mod command;
mod export;
pub mod export_files;
#[cfg(feature = "duckdb")]
pub mod feed;
mod follow;
pub mod front;
pub mod index;
pub mod ingest;
pub mod query;
pub mod queue;
mod read;
pub mod rollup;
pub mod routes;
pub mod search;
pub mod settings;
mod slice;
mod sources;
mod state;

#[cfg(test)]
mod tests;

pub use state::State;

use crate::app::{App, Home};

/// MetricStream. A static, because its own futures name it.
pub static APP: App = App {
    name: "metricstream",
    number: 2,
    home: Home::Partitions,
    machine: || Box::new(State::default()),
    routes: search::routes,
    measure: Some(|cluster, registry| Box::pin(routes::measure(cluster, registry))),
    bind: None,
    service: Some(|cluster| Box::pin(front::serve(cluster))),
    check_settings: Some(|cluster| settings::Settings::of(cluster).map(drop)),
    openapi: Some(include_str!("openapi.json")),
};
