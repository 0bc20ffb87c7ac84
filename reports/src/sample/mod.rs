//! An invented report, the same at every call: 100 seeds of which 2 are violated and 1 is a harness
//! fault, and 6 load steps of which one is invalid and the last one misses the target.
//!
//! For tests and for looking at the page; no figure in it was measured. Not part of the crate's
//! interface, hence hidden from the documentation.

mod dice;
mod load;
mod simulation;
mod timeline;

use crate::model::{BuildInfo, Report, SCHEMA_VERSION};

/// The invented report.
pub fn report() -> Report {
    Report {
        schema_version: SCHEMA_VERSION,
        build: BuildInfo {
            commit: "4f0c2d9".to_owned(),
            dirty: true,
            profile: "release".to_owned(),
            features: vec!["sim".to_owned()],
            cpus: 8,
            platform: "linux x86_64".to_owned(),
        },
        started_at: "2025-03-14T09:26:53Z".to_owned(),
        elapsed_seconds: 247.3,
        interrupted: false,
        simulation: Some(simulation::campaign()),
        load: Some(load::run()),
    }
}
