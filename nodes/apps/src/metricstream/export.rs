//! The cluster's points as JSON Lines, for people and other programs: `cat metrics.jsonl` works.
//!
//! A service that follows the replicated state. It asks every partition for the points after the last one
//! that it wrote, in the order of their arrival, and appends a line for each:
//!
//! ```json
//! {"name":"cpu_usage","value":75.5,"type":"gauge","tags":{"host":"server1"},"timestamp":1795251600000,"partition":3,"number":0}
//! ```
//!
//! `partition` and `number` tell a point from all others: numbers of a partition have no gaps, but where
//! points were forgotten before they were written. The live file is cut where it ends whole after a restart:
//! how far it was written lies beside it, in a file that is replaced in one step. A file that has grown to
//! its size is set aside and compressed; files of which every point is older than what the partitions keep
//! are removed. When that is, the log says, not a clock here.
//!
//! The file is a copy, never the truth: a lost one can be written again as far as points are kept.

use super::export_files::{Files, Position};
use super::follow;
use super::settings::Export;
use crate::cluster::Cluster;
use replica::GroupId;
use rt::time;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

/// Pause when there was nothing to write.
const PAUSE: Duration = Duration::from_millis(250);
/// Pause after something went wrong.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(2);
/// Bytes that are written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Writes for as long as the node runs.
pub async fn run(cluster: Cluster, export: Export) {
    loop {
        // The lowest member writes: one file is enough, and another node takes over when it is gone.
        if !is_writer(&cluster) {
            time::sleep(PAUSE_AFTER_ERROR).await;
            continue;
        }
        if let Err(error) = follow(&cluster, &export).await {
            tracing::warn!(%error, folder = %export.folder.display(), "metrics.jsonl cannot be written; trying again");
        }
        time::sleep(PAUSE_AFTER_ERROR).await;
    }
}

fn is_writer(cluster: &Cluster) -> bool {
    let Some(view) = cluster.view() else { return false };
    let Some(table) = &view.table else { return false };
    table.members.keys().next() == Some(&cluster.node())
}

async fn blocking<T: Send + 'static>(
    files: &mut Option<Files>,
    work: impl FnOnce(&mut Files) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let mut own = files.take().ok_or(io::ErrorKind::NotFound)?;
    let (own, done) = rt::task::blocking(move || {
        let done = work(&mut own);
        (own, done)
    })
    .await;
    *files = Some(own);
    done
}

/// Follows all partitions until something goes wrong.
async fn follow(cluster: &Cluster, export: &Export) -> io::Result<()> {
    let (folder, data, file_bytes) =
        (export.folder.clone(), cluster.options().data.clone(), export.file_bytes);
    let opened = rt::task::blocking(move || Files::open(&folder, &data, file_bytes)).await?;
    let mut position = opened.position().clone();
    let mut files = Some(opened);
    while is_writer(cluster) {
        let mut lines = String::new();
        let mut retained_ms = u64::MAX;
        let groups = cluster.partitions();
        for group in &groups {
            let Some(kept) = gather(cluster, *group, &mut position, &mut lines).await else {
                retained_ms = 0;
                continue;
            };
            retained_ms = retained_ms.min(kept);
        }
        let idle = lines.is_empty();
        if !idle {
            let position = position.clone();
            blocking(&mut files, move |files| files.append(lines.as_bytes(), position)).await?;
        }
        if !groups.is_empty() {
            blocking(&mut files, move |files| files.forget(retained_ms)).await?;
        }
        if idle {
            time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Appends the lines of a partition's next points; gives what time it keeps points from, `None` if it did
/// not answer.
async fn gather(
    cluster: &Cluster,
    group: GroupId,
    position: &mut Position,
    lines: &mut String,
) -> Option<u64> {
    loop {
        let from = position.next.get(&group).copied().unwrap_or(0);
        let page = follow::page(cluster, group, from).await.ok()?;
        let series: BTreeMap<u32, _> = page.series.into_iter().collect();
        for (number, of, at_ms, value) in page.points {
            let Some(definition) = series.get(&of) else { continue };
            position.last_ms = position.last_ms.max(at_ms);
            follow::write_open(lines, definition, &value, at_ms);
            // Writing into a string has no way to fail.
            let _ = writeln!(lines, ",\"partition\":{group},\"number\":{number}}}");
        }
        let next = page.next.unwrap_or(page.end).max(from);
        position.next.insert(group, next);
        if page.next.is_none() || lines.len() >= CHUNK_BYTES {
            return Some(page.retained_ms);
        }
    }
}
