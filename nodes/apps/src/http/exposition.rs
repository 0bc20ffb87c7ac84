//! The Prometheus text: the node's own measurements, its raft groups, and what its apps add.

use crate::APPS;
use crate::cluster::Cluster;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use replica::driver::Status;
use std::sync::atomic::AtomicU64;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The same lines are valid in the older format, in which `# EOF` is a comment.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabel {
    group: u64,
}

/// `GET /prometheus`, and `GET /metrics` where nothing else was asked for.
pub async fn prometheus(State(cluster): State<Cluster>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = if accept.contains("openmetrics") { OPENMETRICS } else { PLAIN };
    let mut registry = Registry::default();
    cluster.metrics().register(&mut registry);
    register_process(&mut registry);
    register_groups(&mut registry, &cluster.status().await);
    for measure in APPS.iter().filter_map(|app| app.measure) {
        measure(&cluster, &mut registry).await;
    }
    let mut body = String::new();
    match text::encode(&mut body, &registry) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, media_type)], body).into_response(),
        // Writing into memory has no way to fail; the type says it might.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// By the names that all Prometheus clients use.
fn register_process(registry: &mut Registry) {
    let usage = rt::process::usage();
    let cpu = Counter::<f64, AtomicU64>::default();
    cpu.inc_by(usage.cpu.as_secs_f64());
    // The format adds `_total`.
    registry.register("process_cpu_seconds", "Total user and system CPU time spent in seconds", cpu);
    let resident = Gauge::<i64>::default();
    resident.set(i64::try_from(usage.resident_bytes).unwrap_or(i64::MAX));
    registry.register("process_resident_memory_bytes", "Resident memory size in bytes", resident);
}

fn register_groups(registry: &mut Registry, status: &Status) {
    type Column = (&'static str, &'static str, fn(&replica::driver::GroupStatus) -> u64);
    let columns: [Column; 5] = [
        ("seedstorm_raft_is_leader", "1 if this node leads the group", |g| u64::from(g.leads)),
        ("seedstorm_raft_term", "Raft term", |g| g.term),
        ("seedstorm_raft_commit_index", "Last committed index", |g| g.commit),
        ("seedstorm_raft_applied_index", "Last applied index", |g| g.applied),
        ("seedstorm_raft_snapshots_sent_or_installed", "Snapshots since the start", |g| g.snapshots),
    ];
    for (name, help, value) in columns {
        let family = Family::<GroupLabel, Gauge>::default();
        for group in &status.groups {
            // Gauges are signed; indexes beyond 2^63 are out of reach.
            let value = i64::try_from(value(group)).unwrap_or(i64::MAX);
            family.get_or_create(&GroupLabel { group: group.group }).set(value);
        }
        registry.register(name, help, family);
    }
}
