//! The same load against the real cluster in this process. The only file that knows the package `server`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reports::model::LoadReport;
use server::embedded::{Cluster, EmbeddedOptions};
use tempfile::TempDir;

use crate::progress::Progress;
use crate::run::drive;
use crate::{LoadError, LoadOptions};

/// How long the nodes may take to be ready, beyond what starting them waits for.
const READY: Duration = Duration::from_secs(5);

/// Copies of each partition, where there are nodes enough.
const REPLICAS: usize = 3;

/// Starts a cluster in this process, drives it, stops it. Blocks like [`run`](crate::run()).
///
/// `options.targets` and `options.token` are those of the cluster, whatever was set.
pub fn run_embedded(options: LoadOptions, progress: &dyn Progress) -> Result<LoadReport, LoadError> {
    // Before anything is started: a wrong option should cost nothing.
    options.check()?;
    let data = Data::new(options.data.as_deref())?;
    let settings = EmbeddedOptions {
        workers: options.workers as u64,
        data: data.path().to_owned(),
        ..EmbeddedOptions::default()
    };
    let target = format!(
        "embedded cluster: 1 control + {} workers, {} partitions, {} replicas, fsync on",
        options.workers,
        settings.partitions,
        REPLICAS.min(options.workers + 1)
    );
    let cluster = Cluster::start(settings).map_err(|error| LoadError::Cluster(error.to_string()))?;
    let result = load(options, target, &cluster, progress);
    cluster.stop();
    // Only now: the nodes write to it until they stop.
    drop(data);
    result
}

fn load(
    mut options: LoadOptions,
    target: String,
    cluster: &Cluster,
    progress: &dyn Progress,
) -> Result<LoadReport, LoadError> {
    if !cluster.wait_ready(READY) {
        return Err(LoadError::Cluster("its nodes were not ready in time".to_owned()));
    }
    options.targets = cluster.api_urls();
    if !options.spread {
        options.targets.truncate(1);
    }
    options.token = cluster.token().to_owned();
    let plan = options.plan()?;
    drive(&plan, target, progress)
}

/// Where the cluster keeps its data.
enum Data {
    /// Given by the caller, and left to them.
    Kept(PathBuf),
    /// Removed when dropped.
    Temporary(TempDir),
}

impl Data {
    fn new(given: Option<&Path>) -> Result<Self, LoadError> {
        let start = |source| LoadError::Start { what: "the folder for the cluster's data", source };
        match given {
            Some(path) => {
                std::fs::create_dir_all(path).map_err(start)?;
                Ok(Self::Kept(path.to_owned()))
            }
            None => tempfile::Builder::new().prefix("loadgen-").tempdir().map(Self::Temporary).map_err(start),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
