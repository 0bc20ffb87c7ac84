//! Readable copies of the state in the data folder, for people and their backups, and `leader.txt`.
//!
//! `snapshots/raft3d-REVISION.json` holds everything as of one moment, `leader.txt` who leads. The cluster
//! writes them and never reads them: what it restarts from is its own store, and what a replica that is
//! far behind receives are that store's rows. Every node writes its own copies, of what it has applied. A
//! node that cannot write them says so in its log and goes on.
//!
//! Nothing is written as long as there is nothing of Raft3D, unless the listener has its profile.

use super::query::{Everything, Query};
use super::{APP, Counts, admin};
use crate::cluster::Cluster;
use crate::http::timestamp::rfc3339;
use crate::{META_GROUP, Profile};
use client::raft3d::Leadership;
use replica::frame::Consistency;
use rt::time::{self, Instant};
use rt::{disk, task};
use serde::Deserialize;
use serde_json::json;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// `[apps.raft3d]` of the configuration file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds between two snapshots, if something changed in between.
    pub snapshot_every_seconds: u64,
    /// Snapshots to keep, the newest ones.
    pub snapshots_kept: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { snapshot_every_seconds: 30, snapshots_kept: 5 }
    }
}

/// Refuses settings that make no sense.
///
/// # Errors
/// A text that says what is allowed.
pub fn check_settings(cluster: &Cluster) -> Result<(), String> {
    let settings: Settings = cluster.settings(APP.name)?;
    if !(1..=86_400).contains(&settings.snapshot_every_seconds) {
        return Err("raft3d: `snapshot_every_seconds` must lie in 1..=86400".into());
    }
    if !(1..=1000).contains(&settings.snapshots_kept) {
        return Err("raft3d: `snapshots_kept` must lie in 1..=1000".into());
    }
    Ok(())
}

/// Writes what is due, for as long as the node runs.
pub async fn run(cluster: Cluster) {
    // Settings were checked before the node started.
    let settings = cluster.settings(APP.name).unwrap_or_default();
    let mut keeper = Keeper { cluster, settings, applied: 0, revision: 0, written: None, leader: None };
    loop {
        time::sleep(LOOK).await;
        if let Err(error) = keeper.look().await {
            tracing::warn!(%error, "raft3d: cannot write to the data folder");
        }
    }
}

struct Keeper {
    cluster: Cluster,
    settings: Settings,
    /// Of the last look.
    applied: u64,
    revision: u64,
    /// When the last snapshot was written, and its revision.
    written: Option<(Instant, u64)>,
    /// What `leader.txt` says.
    leader: Option<Leadership>,
}

impl Keeper {
    async fn look(&mut self) -> io::Result<()> {
        let Some(group) = admin::group(&self.cluster).await else { return Ok(()) };
        if group.applied != self.applied {
            // A node that has not heard the newest format yet has nothing to say.
            let Some(revision) = self.ask(&Query::Revision).await else { return Ok(()) };
            (self.applied, self.revision) = (group.applied, revision);
        }
        if self.revision == 0 && self.cluster.options().profile != Profile::Raft3d {
            return Ok(());
        }
        let leader = admin::leadership(&self.cluster, &group);
        if leader.is_some() && leader != self.leader {
            self.say_who_leads(leader.as_ref()).await?;
            self.leader = leader;
        }
        let every = Duration::from_secs(self.settings.snapshot_every_seconds);
        let due = match self.written {
            None => self.revision > 0,
            Some((at, revision)) => revision != self.revision && at.elapsed() >= every,
        };
        if due { self.write().await } else { Ok(()) }
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, query: &Query) -> Option<T> {
        let answer = self.cluster.query(&APP, META_GROUP, query, Consistency::Stale).await;
        answer.ok().map(|(answer, _)| answer)
    }

    async fn say_who_leads(&self, leader: Option<&Leadership>) -> io::Result<()> {
        let Some(Leadership { leader, name, api, term }) = leader else { return Ok(()) };
        let text = format!("{api}\nnode {leader}, {name}, term {term}\n");
        let folder = self.cluster.options().data.clone();
        task::blocking(move || write_whole(&folder, "leader.txt", text.as_bytes())).await
    }

    async fn write(&mut self) -> io::Result<()> {
        let Some(everything) = self.ask::<Everything>(&Query::Everything).await else { return Ok(()) };
        let (revision, kept) = (everything.revision, self.settings.snapshots_kept);
        let (folder, node) = (self.cluster.options().data.join("snapshots"), self.cluster.node());
        let at = rfc3339(time::wall_ms());
        let writing = move || {
            let text = readable(everything, node, &at);
            disk::create_durable_dir(&folder)?;
            write_whole(&folder, &format!("raft3d-{revision:012}.json"), text.as_bytes())?;
            prune(&folder, kept)
        };
        task::blocking(writing).await?;
        rt::reachable!("raft3d: a readable snapshot was written");
        self.cluster.own::<Counts>().snapshots.inc();
        self.written = Some((Instant::now(), revision));
        Ok(())
    }
}

fn readable(everything: Everything, node: u64, at: &str) -> String {
    let Everything { revision, printers, filaments, print_jobs } = everything;
    let whole = json!({
        "revision": revision, "node": node, "written_at": at,
        "printers": printers, "filaments": filaments, "print_jobs": print_jobs,
    });
    // Serialisation of plain data into memory has no way to fail.
    serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
}

/// Writes a file beside its place, then puts it there: who looks sees the old one or the new one.
fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (part, whole) = (folder.join(format!("{name}.part")), folder.join(name));
    let file = disk::open(&part)?;
    file.set_len(0)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    disk::rename(&part, &whole)?;
    disk::sync_dir(folder)
}

/// Removes all but the newest snapshots, and what was never finished.
fn prune(folder: &Path, kept: usize) -> io::Result<()> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let ours = |path: &Path| name(path).is_some_and(|name| name.starts_with("raft3d-"));
    let files = disk::list(folder)?.into_iter().filter(|path| ours(path));
    let (whole, parts): (Vec<_>, Vec<_>) =
        files.partition(|path| path.extension().is_some_and(|end| end == "json"));
    let old = whole.len().saturating_sub(kept);
    whole.into_iter().take(old).chain(parts).try_for_each(|path| disk::remove(&path))
}
