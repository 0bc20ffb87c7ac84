//! A column store beside the replicas: DuckDB on this node, fed from all partitions, and asked with SQL.
//!
//! It holds the apps' tables and knows no app: whoever wants data in it has a `Table` in a folder of
//! its own, which is named in `crate::TABLES`. What is in it is a copy that can be made again at any time; a node
//! without it lacks `POST /sql` and nothing else.
//!
//! | module | what it holds |
//! |---|---|
//! | [`settings`] | which engine, and what SQL may cost |
//! | [`sql`] | `POST /sql` |
//! | `store` | the process of DuckDB, and what has to be brought to it |
//! | `table` | what an app's table is |
//!
//! Leaves out what tables hold and how they are laid out: that is the apps', and `nodes/engine`'s.

pub mod settings;
pub mod sql;
#[cfg(feature = "duckdb")]
pub mod store;
#[cfg(feature = "duckdb")]
pub mod table;

/// Feeds DuckDB, for as long as the node runs.
#[cfg(feature = "duckdb")]
pub const SERVICE: Option<crate::app::Service> = Some(|cluster| Box::pin(store::run(cluster)));
/// There is nothing to feed.
#[cfg(not(feature = "duckdb"))]
pub const SERVICE: Option<crate::app::Service> = None;
