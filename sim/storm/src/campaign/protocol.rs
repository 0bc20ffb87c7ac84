//! What goes between a campaign and its workers: one JSON document a line, a [`Task`] in, a
//! [`reports::model::SeedResult`] out, one at a time.

use reports::model::BuildInfo;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use world::Plan;

/// One seed to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// What to run.
    pub plan: Plan,
    /// The command that runs it again.
    pub replay: String,
    /// Keep the timeline, although nothing went wrong.
    pub timeline: bool,
    /// Where a failing seed leaves its files; `None`: nowhere.
    pub artifacts: Option<PathBuf>,
    /// The program, for the files.
    pub build: BuildInfo,
}
