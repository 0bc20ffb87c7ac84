//! The replicated state machines and their routes, one folder each, all folders shaped alike:
//! `command` (what the log holds), `state` (what applying it does), `query`, `routes`, and in `mod` the
//! [`App`] that ties them together.
//!
//! | module | what it holds |
//! |---|---|
//! | [`app`] | what an app is |
//! | [`meta`] | who belongs to the cluster, and which partition lives where (group 0) |
//! | [`distri`] | Distri (group 0) |
//! | [`raft3d`] | Raft3D (group 0) |
//! | [`raftmetrics`] | RaftMetrics (groups 1 and up) |
//! | [`analytics`] | Distributed Analytics (groups 1 and up) |
//! | [`metricstream`] | MetricStream (groups 1 and up) |
//! | [`column_store`] | DuckDB beside the replicas: tables of the apps, asked with SQL |
//! | [`host`] | the state machine of a group: those of its apps side by side |
//! | [`partition`] | from a name to its partition |
//! | [`profile`] | whose habits a listener follows |
//! | [`http`] | what all routes share: errors, auth, negotiation, metrics |
//! | [`cluster`] | the cluster as routes see it |

pub mod analytics;
pub mod app;
pub mod cluster;
pub mod column_store;
pub mod distri;
pub mod host;
pub mod http;
pub mod meta;
pub mod metricstream;
pub mod partition;
pub mod profile;
pub mod raft3d;
pub mod raftmetrics;

pub use app::{App, Home};
pub use profile::{Auth, Profile};

use replica::{GroupId, StateMachine};

/// The group that holds members and placement.
pub const META_GROUP: GroupId = 0;

/// All apps. A new one is registered here, and nowhere else.
pub const APPS: &[&App] =
    &[&raftmetrics::APP, &analytics::APP, &metricstream::APP, &raft3d::APP, &distri::APP];

/// The apps' tables in the column store. A new one is registered here, and nowhere else.
#[cfg(feature = "duckdb")]
pub const TABLES: &[&column_store::table::Table] = &[&analytics::feed::TABLE, &metricstream::feed::TABLE];

/// What a node does beside answering.
pub fn services() -> impl Iterator<Item = app::Service> {
    APPS.iter().filter_map(|app| app.service).chain(column_store::SERVICE)
}

/// The empty state machine of `group`.
pub fn machine(group: GroupId) -> Box<dyn StateMachine> {
    Box::new(host::Host::new(group))
}
