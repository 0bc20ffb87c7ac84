//! Points of MetricStream in the column store: the table `metrics`.
//!
//! Points come as they lie in the partitions, a block or what is open at a time, with the definitions of
//! series that are new. Numbers of both say what is missing. What a partition has forgotten, or would as a
//! whole block of that age, is not held here either.

use super::APP;
use super::columns::Columns;
use super::command::Definition;
use super::query::{Points, Query, Select, Slice, Value};
use crate::cluster::Cluster;
use crate::column_store::store::Store;
use crate::column_store::table::Table;
use engine::points::{Batch, Held, Kept, Point, Series};
use replica::GroupId;
use replica::frame::Consistency;

/// The table.
pub static TABLE: Table = Table {
    name: "metrics",
    is_ours: |store, cluster, group| Box::pin(is_ours(store, cluster, group)),
    bring: |store, cluster, group, consistency| Box::pin(bring(store, cluster, group, consistency)),
};

/// The newest point held must be the cluster's point of that number.
async fn is_ours(store: &Store, cluster: &Cluster, group: GroupId) -> Result<bool, String> {
    let last = store.call(move |remote| Ok((remote.held(group)?, remote.last_point(group)?)));
    let (held, own) = last.await.map_err(text)?;
    let Some(own) = own else {
        // Of points that are all forgotten nobody can tell whose they were.
        if held != Held::default() {
            store.call(move |remote| remote.clear_points(group)).await.map_err(text)?;
        }
        return Ok(true);
    };
    let select = Select { to_ms: u64::MAX, ..Select::default() };
    let query = Query::Points { select, from: own.seq, limit: 1 };
    let found = cluster.query::<Points>(&APP, group, &query, Consistency::Linearizable).await;
    let (page, _) = found.map_err(text)?;
    let theirs = page.points.into_iter().next().and_then(|(seq, of, at_ms, value)| {
        let (_, Definition { name, .. }) = page.series.into_iter().find(|(number, _)| *number == of)?;
        let (value, member) = match value {
            Value::Number(value) => (Some(value), None),
            Value::Member(member) => (None, Some(member)),
        };
        Some(Point { seq, name, at_ms, value, member })
    });
    if theirs.as_ref() == Some(&own) {
        return Ok(true);
    }
    if page.end > own.seq && theirs.is_none_or(|theirs| theirs.seq > own.seq) {
        // The cluster has forgotten it meanwhile.
        store.call(move |remote| remote.clear_points(group)).await.map_err(text)?;
        return Ok(true);
    }
    Ok(false)
}

async fn bring(
    store: &Store,
    cluster: &Cluster,
    group: GroupId,
    consistency: Consistency,
) -> Result<bool, String> {
    let mut held = store.call(move |remote| remote.held(group)).await.map_err(text)?;
    loop {
        let query = Query::Slice { from: held.next, series: held.series };
        let found = cluster.query::<Slice>(&APP, group, &query, consistency).await;
        let (slice, _) = found.map_err(text)?;
        if slice.end < held.next {
            // A replica that lags behind lacks what is held already.
            return Ok(consistency != Consistency::Linearizable);
        }
        let (end, kept) = (slice.end, Kept { from_ms: slice.retained_ms, from: slice.kept });
        let batch = batch_of(slice, &held, kept)?;
        if batch.end() > held.next || !batch.series.is_empty() {
            held = store.call(move |remote| remote.append_points(group, batch)).await.map_err(text)?;
        } else if end > held.next {
            return Err("a partition does not go on".into());
        }
        if held.next >= end {
            if held.kept.max(kept) != held.kept {
                store.call(move |remote| remote.forget_points(group, kept)).await.map_err(text)?;
            }
            return Ok(true);
        }
    }
}

/// A slice as the engine takes it.
fn batch_of(slice: Slice, held: &Held, kept: Kept) -> Result<Batch, String> {
    let columns = Columns::decode(&slice.columns)?;
    let bits = |place: u32| usize::try_from(*columns.bits.get(place as usize)?).ok();
    let member = |place: u32| Some((place, columns.members.get(bits(place)?)?.clone()));
    let members: Option<Vec<(u32, String)>> = slice.members.into_iter().map(member).collect();
    let series = slice.series.into_iter().map(|Definition { kind, name, tags }| Series {
        name,
        kind: kind.name().into(),
        tags,
    });
    Ok(Batch {
        first: held.next,
        start: slice.start,
        first_series: held.series,
        series: series.collect(),
        members: members.ok_or("a member is missing")?,
        values: columns.bits.iter().map(|bits| f64::from_bits(*bits)).collect(),
        of: columns.series,
        at_ms: columns.times,
        kept,
    })
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
