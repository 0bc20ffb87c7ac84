//! Rows of analytics in the column store: the table `rows`.

use super::APP;
use super::query::{Query, Rows};
use crate::cluster::Cluster;
use crate::column_store::store::Store;
use crate::column_store::table::Table;
use engine::{Filter, Partial, Row};
use replica::GroupId;
use replica::frame::Consistency;
use rt::time;
use std::time::Duration;

/// Rows taken in one transaction: each has its price, whatever is in it.
const BATCH: usize = 8192;

/// The table.
pub static TABLE: Table = Table {
    name: "rows",
    is_ours: |store, cluster, group| Box::pin(is_ours(store, cluster, group)),
    bring: |store, cluster, group, consistency| Box::pin(bring(store, cluster, group, consistency)),
};

/// What the wanted rows of a partition come to; `None` if DuckDB cannot tell within `patience`.
pub(super) async fn partial(
    store: &Store,
    cluster: &Cluster,
    group: GroupId,
    filter: &Filter,
    patience: Duration,
) -> Option<Partial> {
    let told = async {
        store.catch_up(cluster, &TABLE, group, Consistency::Linearizable).await.ok()?;
        let filter = filter.clone();
        store.call(move |remote| remote.partial(group, &filter)).await.ok()
    };
    time::timeout(patience, told).await.ok().flatten()
}

/// The newest row held must be the cluster's row of that number.
async fn is_ours(store: &Store, cluster: &Cluster, group: GroupId) -> Result<bool, String> {
    let applied = store.call(move |remote| remote.applied(group)).await.map_err(text)?;
    let Some(newest) = applied.checked_sub(1) else { return Ok(true) };
    let own = store.call(move |remote| remote.last(group)).await.map_err(text)?;
    let (rows, _) = fetch(cluster, group, newest, Consistency::Linearizable).await?;
    Ok(rows.first() == own.as_ref())
}

async fn bring(
    store: &Store,
    cluster: &Cluster,
    group: GroupId,
    consistency: Consistency,
) -> Result<bool, String> {
    let mut applied = store.call(move |remote| remote.applied(group)).await.map_err(text)?;
    loop {
        let (mut rows, end) = fetch(cluster, group, applied, consistency).await?;
        if end < applied && consistency == Consistency::Linearizable {
            return Ok(false);
        }
        let mut all = !rows.is_empty();
        while all && rows.len() < BATCH && applied + (rows.len() as u64) < end {
            let (more, _) = fetch(cluster, group, applied + rows.len() as u64, consistency).await?;
            all = !more.is_empty();
            rows.extend(more);
        }
        if rows.is_empty() {
            return Ok(true);
        }
        let (first, count) = (applied, rows.len() as u64);
        store.call(move |remote| remote.append(group, first, rows)).await.map_err(text)?;
        applied += count;
        if applied >= end {
            return Ok(true);
        }
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
