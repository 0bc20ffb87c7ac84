//! DuckDB on this node: fed from the partitions, and rebuilt from them whenever it has to be.
//!
//! It holds the data of all partitions, those without a replica here too, so that a query sees everything.
//! A row's number in its partition says what it has and what it lacks; nothing else is remembered.

use super::settings::{Choice, Settings};
use super::table::Table;
use crate::TABLES;
use crate::cluster::Cluster;
use engine::EngineError;
use engine::process::{Program, Remote};
use futures::future::join_all;
use replica::GroupId;
use replica::frame::Consistency;
use rt::{task, time};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex as Lock, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

/// Pause between two looks for new rows.
const LOOK: Duration = Duration::from_millis(200);

/// The argument that makes a node's program the process of DuckDB.
pub const ENGINE_ARGUMENT: &str = "duckdb-engine";

/// A table's part that comes from one partition.
type Part = (&'static str, GroupId);

/// What a node keeps of it.
#[derive(Default)]
pub struct Store {
    remote: OnceLock<Option<Arc<Remote>>>,
    /// Of queries.
    pub(super) turn: Mutex<()>,
    /// Of those who ask the process: who waits for it must not take a thread.
    busy: Arc<Mutex<()>>,
    /// Of those who bring a partition's rows.
    feeding: Lock<BTreeMap<Part, Arc<Mutex<()>>>>,
    /// Parts that have been compared with the cluster since the node started.
    compared: Lock<BTreeSet<Part>>,
}

/// The store, on nodes that have one.
pub fn of(cluster: &Cluster) -> Option<Arc<Store>> {
    let store = cluster.own::<Store>();
    // What was chosen at the start: settings that are read again change limits, and not this.
    let remote = store.remote.get_or_init(|| {
        let settings = Settings::of(cluster);
        (settings.engine == Choice::Duckdb).then(|| Arc::new(Remote::new(program(cluster, &settings))))
    });
    remote.is_some().then_some(store)
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
    let Some(store) = of(&cluster) else { return };
    let mut said = BTreeMap::new();
    loop {
        time::sleep(LOOK).await;
        for table in TABLES {
            for group in cluster.partitions() {
                let found = store.catch_up(&cluster, table, group, Consistency::Stale).await.err();
                let before = said.insert((table.name, group), found.clone()).flatten();
                // Once, and not at every look.
                if found.is_some() && found != before {
                    tracing::warn!(group, table = table.name, error = found, "DuckDB lacks rows for now");
                }
            }
        }
    }
}

impl Store {
    /// Asks the engine, on a thread that may wait.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn call<T: Send + 'static>(
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

    /// Brings everything that was acknowledged before; false if that took too long.
    pub(super) async fn catch_up_all(&self, cluster: &Cluster, deadline: Duration) -> bool {
        let parts = TABLES
            .iter()
            .flat_map(|table| cluster.partitions().into_iter().map(move |group| (*table, group)));
        let asked = parts.map(|(table, group)| {
            time::timeout(deadline, self.catch_up(cluster, table, group, Consistency::Linearizable))
        });
        join_all(asked).await.into_iter().all(|found| matches!(found, Ok(Ok(()))))
    }

    /// Brings what a table lacks of a partition.
    ///
    /// # Errors
    /// A text, if it could not be brought.
    pub async fn catch_up(
        &self,
        cluster: &Cluster,
        table: &Table,
        group: GroupId,
        consistency: Consistency,
    ) -> Result<(), String> {
        let part = (table.name, group);
        let feeding =
            self.feeding.lock().unwrap_or_else(PoisonError::into_inner).entry(part).or_default().clone();
        let _alone = feeding.lock().await;
        let compared = self.compared().contains(&part);
        if !compared {
            if !(table.is_ours)(self, cluster, group).await? {
                tracing::warn!(
                    group,
                    table = table.name,
                    "DuckDB's rows are not this cluster's; it begins anew"
                );
                self.reset().await?;
            }
            self.compared().insert(part);
        }
        if !(table.bring)(self, cluster, group, consistency).await? {
            self.reset().await?;
            return Err("it held rows that the cluster does not have; it begins anew".into());
        }
        Ok(())
    }

    fn compared(&self) -> MutexGuard<'_, BTreeSet<Part>> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reset(&self) -> Result<(), String> {
        self.compared().clear();
        self.call(Remote::reset).await.map_err(|error| error.to_string())
    }
}
