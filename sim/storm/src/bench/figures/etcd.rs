//! Three nodes of etcd.

use super::cluster::{Cluster, Kind, Member, free_address};
use super::http::Http;
use super::place::Place;
use bytes::Bytes;
use serde_json::Value;
use std::path::Path;

/// Starts them in a folder of their own.
pub(super) fn start(place: &Place, program: &Path) -> anyhow::Result<Cluster> {
    let folder = place.fresh_folder("etcd")?;
    let peers = (1..=3).map(|_| free_address()).collect::<anyhow::Result<Vec<_>>>()?;
    let all: Vec<String> =
        peers.iter().enumerate().map(|(place, peer)| format!("n{place}=http://{peer}")).collect();
    let mut members = Vec::new();
    for (number, peer) in peers.iter().enumerate() {
        let api = free_address()?;
        let (name, peer, client) = (format!("n{number}"), format!("http://{peer}"), format!("http://{api}"));
        let data = folder.join(&name).display().to_string();
        let arguments = [
            ("name", name.as_str()),
            ("data-dir", &data),
            ("listen-peer-urls", &peer),
            ("initial-advertise-peer-urls", &peer),
            ("listen-client-urls", &client),
            ("advertise-client-urls", &client),
            ("initial-cluster", &all.join(",")),
            ("initial-cluster-state", "new"),
            ("logger", "zap"),
            ("log-level", "error"),
            ("log-outputs", "stderr"),
        ];
        members.push(Member {
            program: program.to_owned(),
            arguments: arguments.iter().map(|(name, value)| format!("--{name}={value}")).collect(),
            log: folder.join(format!("{name}.log")),
            api,
            child: None,
        });
    }
    // The key `failover` and the value `1.5`, in base64 as its gateway wants it.
    let write = ("/v3/kv/put", Bytes::from_static(br#"{"key":"ZmFpbG92ZXI=","value":"MS41"}"#));
    let kind = Kind { name: "etcd", ready: "/health", write, leads, serving: |leader| vec![leader] };
    Cluster::start(kind, members, &place.http)
}

fn leads(http: &Http, api: &str) -> anyhow::Result<bool> {
    let status: Value = serde_json::from_slice(&http.post(api, "/v3/maintenance/status", "{}")?)?;
    Ok(status["leader"].is_string() && status["leader"] == status["header"]["member_id"])
}
