//! DuckDB on this node: fed from the partitions, and rebuilt from them whenever it has to be.
//!
//! It holds the rows of all partitions, those without a replica here too, so that a query sees everything.
//! A row's number in its partition says what it has and what it lacks; nothing else is remembered.

use super::APP;
use super::query::{Query, Rows};
use super::settings::{Choice, Settings};
use crate::cluster::Cluster;
use engine::process::{Program, Remote};
use engine::{EngineError, Filter, Partial, Row};
use futures::future::join_all;
use replica::GroupId;
use replica::frame::Consistency;
use rt::{task, time};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex as Lock, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

/// Pause between two looks for new rows.
const LOOK: Duration = Duration::from_millis(200);
/// Rows taken in one transaction: each has its price, whatever is in it.
const BATCH: usize = 8192;

/// The argument that makes a node's program the process of DuckDB.
pub const ENGINE_ARGUMENT: &str = "duckdb-engine";

/// What a node keeps of it.
#[derive(Default)]
pub struct Cache {
    remote: OnceLock<Option<Arc<Remote>>>,
    /// Of queries.
    pub(super) turn: Mutex<()>,
    /// Of those who ask the process: who waits for it must not take a thread.
    busy: Arc<Mutex<()>>,
    /// Of those who bring a partition's rows.
    feeding: Lock<BTreeMap<GroupId, Arc<Mutex<()>>>>,
    /// Partitions whose rows have been compared since the node started.
    compared: Lock<BTreeSet<GroupId>>,
}

/// The cache, on nodes that have one.
pub fn of(cluster: &Cluster) -> Option<Arc<Cache>> {
    let cache = cluster.own::<Cache>();
    // What was chosen at the start: settings that are read again change limits, and not this.
    let remote = cache.remote.get_or_init(|| {
        let settings = Settings::of(cluster);
        (settings.engine == Choice::Duckdb).then(|| Arc::new(Remote::new(program(cluster, &settings))))
    });
    remote.is_some().then_some(cache)
}

fn program(cluster: &Cluster, settings: &Settings) -> Program {
    let own = || std::env::current_exe().unwrap_or_else(|_| "node".into());
    Program {
        path: settings.engine_program.clone().unwrap_or_else(own),
        arguments: vec![ENGINE_ARGUMENT.into()],
        folder: cluster.options().data.join("duckdb"),
        memory_mb: settings.sql_memory_mb,
    }
}

/// Is the engine, if this process was started to be it: `node duckdb-engine FOLDER MEGABYTES`.
pub fn serve_if_started_for_it() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ENGINE_ARGUMENT {
        return None;
    }
    let (folder, memory_mb) = (arguments.next()?, arguments.next()?);
    let memory_mb = memory_mb.to_str()?.parse().ok()?;
    // An error means that whoever asked is gone: nobody is left to be told.
    Some(
        engine::process::serve(Path::new(&folder), memory_mb)
            .map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
    )
}

/// Brings rows for as long as the node runs.
pub async fn run(cluster: Cluster) {
    let Some(cache) = of(&cluster) else { return };
    let mut said = None;
    loop {
        time::sleep(LOOK).await;
        for group in cluster.partitions() {
            let found = cache.catch_up(&cluster, group, Consistency::Stale).await.err();
            // Once, and not at every look.
            if found.is_some() && found != said {
                tracing::warn!(group, error = found, "analytics: DuckDB lacks rows for now");
            }
            said = found;
        }
    }
}

impl Cache {
    /// Asks the engine, on a thread that may wait.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Remote) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let remote = self.remote.get().cloned().flatten();
        let remote = remote.ok_or_else(|| EngineError::Store("it has not been started".into()))?;
        let busy = self.busy.clone().lock_owned().await;
        task::blocking(move || {
            let found = work(&remote);
            // Not before, even if nobody waits any more.
            drop(busy);
            found
        })
        .await
    }

    /// Brings all partitions' rows that were acknowledged before; false if that took too long.
    pub(super) async fn catch_up_all(&self, cluster: &Cluster, deadline: Duration) -> bool {
        let groups = cluster.partitions();
        let asked = groups
            .iter()
            .map(|group| time::timeout(deadline, self.catch_up(cluster, *group, Consistency::Linearizable)));
        join_all(asked).await.into_iter().all(|found| matches!(found, Ok(Ok(()))))
    }

    /// What the wanted rows of a partition come to; `None` if DuckDB cannot tell within `patience`.
    pub(super) async fn partial(
        &self,
        cluster: &Cluster,
        group: GroupId,
        filter: &Filter,
        patience: Duration,
    ) -> Option<Partial> {
        let told = async {
            self.catch_up(cluster, group, Consistency::Linearizable).await.ok()?;
            let filter = filter.clone();
            self.call(move |remote| remote.partial(group, &filter)).await.ok()
        };
        time::timeout(patience, told).await.ok().flatten()
    }

    /// Brings the rows of a partition that are missing.
    async fn catch_up(
        &self,
        cluster: &Cluster,
        group: GroupId,
        consistency: Consistency,
    ) -> Result<(), String> {
        let feeding =
            self.feeding.lock().unwrap_or_else(PoisonError::into_inner).entry(group).or_default().clone();
        let _alone = feeding.lock().await;
        self.compare(cluster, group).await?;
        let mut applied = self.call(move |remote| remote.applied(group)).await.map_err(text)?;
        loop {
            let (mut rows, end) = fetch(cluster, group, applied, consistency).await?;
            if end < applied && consistency == Consistency::Linearizable {
                self.reset().await?;
                return Err("it held rows that the cluster does not have; it begins anew".into());
            }
            let mut all = !rows.is_empty();
            while all && rows.len() < BATCH && applied + (rows.len() as u64) < end {
                let (more, _) = fetch(cluster, group, applied + rows.len() as u64, consistency).await?;
                all = !more.is_empty();
                rows.extend(more);
            }
            if rows.is_empty() {
                return Ok(());
            }
            let (first, count) = (applied, rows.len() as u64);
            self.call(move |remote| remote.append(group, first, rows)).await.map_err(text)?;
            applied += count;
            if applied >= end {
                return Ok(());
            }
        }
    }

    /// Once a start and partition: the newest row it has must be the cluster's row of that number. Otherwise
    /// the folder was another cluster's.
    async fn compare(&self, cluster: &Cluster, group: GroupId) -> Result<(), String> {
        let compared = || self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        if compared().contains(&group) {
            return Ok(());
        }
        let applied = self.call(move |remote| remote.applied(group)).await.map_err(text)?;
        if let Some(newest) = applied.checked_sub(1) {
            let own = self.call(move |remote| remote.last(group)).await.map_err(text)?;
            let (rows, _) = fetch(cluster, group, newest, Consistency::Linearizable).await?;
            if rows.first() != own.as_ref() {
                tracing::warn!(group, "analytics: DuckDB's rows are not this cluster's; it begins anew");
                self.reset().await?;
            }
        }
        compared().insert(group);
        Ok(())
    }

    async fn reset(&self) -> Result<(), String> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.call(Remote::reset).await.map_err(text)
    }
}

async fn fetch(
    cluster: &Cluster,
    group: GroupId,
    first: u64,
    consistency: Consistency,
) -> Result<(Vec<Row>, u64), String> {
    let query = Query::Rows { first };
    let found = cluster.query(&APP, group, &query, consistency).await;
    let (Rows { rows, end }, _) = found.map_err(text)?;
    Ok((rows, end))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
