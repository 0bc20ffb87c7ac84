//! Flags and the configuration file, put together; and the file again, whenever the process is told to.

use super::{Run, explain, parse_listener, parse_peer};
use crate::config::{self, FileConfig};
use crate::distri;
use crate::node::Reloader;
use crate::options::NodeOptions;
use anyhow::{Context, bail};
use apps::Profile;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The options that flags and file come to.
pub(super) fn options_of(run: &Run) -> anyhow::Result<NodeOptions> {
    let file = run.config.as_deref().map(config::read).transpose()?.unwrap_or_default();
    merge(run.clone(), file)
}

/// Reads the file again whenever the process is told to (SIGHUP). A file with a mistake changes nothing.
/// Without a file that signal ends the process, as it does when a terminal is closed.
pub(super) async fn follow_the_file(run: &Run, reloader: &Reloader) -> std::io::Error {
    if run.config.is_none() {
        return std::future::pending().await;
    }
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return error,
    };
    loop {
        hangup.recv().await;
        let read = options_of(run).and_then(|options| reloader.reload(&options).map_err(anyhow::Error::from));
        match read {
            Ok(()) => tracing::info!("the configuration file was read again"),
            Err(error) => tracing::error!(error = explain(&error), "the file is wrong; nothing has changed"),
        }
    }
}

pub(super) fn merge(run: Run, file: FileConfig) -> anyhow::Result<NodeOptions> {
    let missing = |what: &str| format!("--{what} is missing (or `{what}` in the file of --config)");
    let role =
        run.role.map_or_else(|| file.role.as_deref().map(str::parse).transpose(), |role| Ok(Some(role)));
    let role = role.map_err(anyhow::Error::msg)?.with_context(|| missing("role"))?;
    let listen = run.listen.or(file.listen).with_context(|| missing("listen"))?;
    let data = run.data.or(file.data).with_context(|| missing("data"))?;
    let mut options = if let Some(peer) = &run.peer {
        NodeOptions::joining(run.join, role, peer, &listen, data)
    } else {
        let id = run.id.or(file.id).with_context(|| missing("id"))?;
        let peers = if run.peers.is_empty() { peers_of(file.peers)? } else { each_once(run.peers)? };
        if peers.is_empty() {
            bail!(missing("peers"));
        }
        NodeOptions::new(id, role, &listen, peers, data)
    };
    options.name = run.name;
    options.region = run.region.or(file.region);
    if let Some(peer_listen) = run.peer_listen.or(file.peer_listen) {
        options.peer_listen = peer_listen;
    }
    let control = if run.control.is_empty() { file.control } else { Some(run.control) };
    options.control = control.unwrap_or(options.control);
    let profile = file.profile.as_deref().map(str::parse).transpose().map_err(anyhow::Error::msg)?;
    options.profile = run.profile.or(profile).unwrap_or_default();
    let listed = file.listeners.unwrap_or_default().into_iter();
    let listed = listed.map(|(profile, address)| parse_listener(&format!("{profile}={address}")));
    let listed = listed.collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::msg)?;
    options.listeners = if run.listeners.is_empty() { listed } else { run.listeners };
    let auth = file.auth.as_deref().map(str::parse).transpose().map_err(anyhow::Error::msg)?;
    options.auth = run.auth.or(auth).unwrap_or_default();
    options.token = run.token.or(file.token).unwrap_or(options.token);
    options.allow_dev_token = run.allow_dev_token;
    options.partitions = run.partitions.or(file.partitions).unwrap_or(options.partitions);
    options.max_body_bytes = file.max_body_bytes.unwrap_or(options.max_body_bytes);
    let rate = file.rate_limit.as_deref().map(str::parse).transpose().map_err(anyhow::Error::msg)?;
    options.rate_limit = run.rate_limit.or(rate);
    options.mode = run.mode.unwrap_or_default();
    options.settings = settings(file.apps, run.metrics_folder.or(here(options.profile)), run.engine);
    distri::open(&mut options);
    if let Some(ms) = file.request_deadline_ms {
        options.request_deadline = Duration::from_millis(ms);
    }
    Ok(options)
}

fn each_once(peers: Vec<(u64, String)>) -> anyhow::Result<BTreeMap<u64, String>> {
    let mut all = BTreeMap::new();
    for (id, address) in peers {
        if let Some(other) = all.insert(id, address.clone()) {
            bail!("--peers names node {id} twice, as {other} and as {address}");
        }
    }
    Ok(all)
}

fn peers_of(peers: Option<BTreeMap<String, String>>) -> anyhow::Result<BTreeMap<u64, String>> {
    let parse = |(id, address): (String, String)| {
        parse_peer(&format!("{id}={address}")).map_err(|error| anyhow::anyhow!("peers: {error}"))
    };
    peers.unwrap_or_default().into_iter().map(parse).collect()
}
/// MetricStream's users find metrics.jsonl where they started it.
pub(super) fn here(profile: Profile) -> Option<PathBuf> {
    (profile == Profile::MetricStream).then(|| PathBuf::from("."))
}

/// The apps' settings, with those that have a flag: a folder for metrics.jsonl where they have none, and the
/// engine of analytics.
pub(super) fn settings(
    mut settings: BTreeMap<String, serde_json::Value>,
    folder: Option<PathBuf>,
    engine: Option<String>,
) -> BTreeMap<String, serde_json::Value> {
    let mut set = |app: &str, name: &str, value: String, always: bool| {
        let table = settings.entry(app.into()).or_insert_with(|| serde_json::json!({}));
        // What is no table is refused where the settings are checked.
        if let Some(table) = table.as_object_mut().filter(|table| always || !table.contains_key(name)) {
            table.insert(name.into(), value.into());
        }
    };
    if let Some(folder) = folder {
        set("metricstream", "folder", folder.display().to_string(), false);
    }
    if let Some(engine) = engine {
        set("analytics", "engine", engine, true);
    }
    settings
}
