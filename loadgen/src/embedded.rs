//! The same load against the real cluster in this process. The only file that knows the package `server`.

use reports::model::LoadReport;

use crate::progress::Progress;
use crate::{LoadError, LoadOptions};

/// Starts a cluster in this process, drives it, stops it. Blocks like [`run`](crate::run()).
pub fn run_embedded(options: LoadOptions, progress: &dyn Progress) -> Result<LoadReport, LoadError> {
    let _ = progress;
    options.check()?;
    Err(LoadError::Cluster("not part of this build yet".to_owned()))
}
