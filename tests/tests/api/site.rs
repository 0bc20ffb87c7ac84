//! Clusters to test against, and what every test asks of an answer.

use serde_json::{Value, json};
use server::{Cluster, EmbeddedOptions, Node, NodeOptions, Profile, Role};
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;
use tests::client::Client;
use tests::wire::{Answer, encode};
use tests::{ports, wait};

/// A control node and three workers in this process. Ends, and loses its data, with this.
pub struct Site {
    cluster: Option<Cluster>,
    addresses: Vec<String>,
    token: Option<String>,
    _data: Option<TempDir>,
}

impl Site {
    /// A cluster of that profile, on a temporary folder.
    pub fn start(profile: Profile) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut site = Site::start_in(data.path(), profile);
        site._data = Some(data);
        site
    }

    /// A cluster of that profile on the data in `folder`.
    pub fn start_in(folder: &Path, profile: Profile) -> Self {
        let token = (profile == Profile::RaftMetrics).then(|| client::DEV_TOKEN.to_owned());
        let options =
            EmbeddedOptions { data: folder.into(), profile, threads: Some(2), ..EmbeddedOptions::default() };
        Site::of(Cluster::start(options).unwrap(), token)
    }

    /// A running cluster.
    pub fn of(cluster: Cluster, token: Option<String>) -> Self {
        assert!(cluster.wait_ready(wait::LONG), "the cluster is ready");
        let addresses = cluster.api_addresses();
        Site { cluster: Some(cluster), addresses, token, _data: None }
    }

    /// API addresses, the control node's first.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// A client of the control node, with the token where one is needed.
    pub fn client(&self) -> Client {
        self.client_of(0)
    }

    /// A client of the node at that place; 0 is the control node.
    pub fn client_of(&self, place: usize) -> Client {
        let client = Client::new(&self.addresses[place]);
        match &self.token {
            Some(token) => client.with_token(token),
            None => client,
        }
    }

    /// A client of each node, the control node's first.
    pub fn clients(&self) -> Vec<Client> {
        (0..self.addresses.len()).map(|place| self.client_of(place)).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Data that goes with the cluster needs no graceful end; nor does a test that failed.
        let graceful = self._data.is_none() && !std::thread::panicking();
        if let Some(cluster) = self.cluster.take().filter(|_| graceful) {
            cluster.stop();
        }
    }
}

/// Equal peers in this process, with peer ports that a test can reach and options that it can change.
pub struct Peers {
    /// API addresses.
    pub api: Vec<String>,
    /// Peer addresses.
    pub peer: Vec<String>,
    // In this order: nodes end before their runtime, and that before their data.
    _nodes: Vec<Node>,
    _runtime: tokio::runtime::Runtime,
    _data: TempDir,
}

impl Peers {
    /// So many nodes with ids from 1 on.
    pub fn start(count: u64, change: impl Fn(&mut NodeOptions)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().unwrap();
        let peers: BTreeMap<u64, String> = (1..=count).map(|id| (id, ports::free_address())).collect();
        let start = |id: &u64| {
            let folder = data.path().join(id.to_string());
            let mut options = NodeOptions::new(*id, Role::All, "127.0.0.1:0", peers.clone(), folder);
            change(&mut options);
            runtime.block_on(server::start(options)).unwrap()
        };
        let nodes: Vec<Node> = peers.keys().map(start).collect();
        let api = nodes.iter().map(|node| node.local_addr().to_string()).collect();
        let peer = peers.into_values().collect();
        let site = Peers { api, peer, _nodes: nodes, _runtime: runtime, _data: data };
        site.api.iter().for_each(|api| {
            let mut client = Client::new(api);
            wait::until("a peer is ready", || client.is_ready());
        });
        site
    }

    /// Folder that holds each node's data, in a folder of its id.
    pub fn data(&self) -> &Path {
        self._data.path()
    }

    /// A client of each node.
    pub fn clients(&self) -> Vec<Client> {
        self.api.iter().map(|api| Client::new(api)).collect()
    }
}

/// The body that records a value.
pub fn body(name: &str, value: f64) -> String {
    json!({ "metric_name": name, "value": value }).to_string()
}

/// Records a value; gives the message of the answer.
pub fn record(client: &mut Client, name: &str, value: f64) -> String {
    let answer = client.post("/metrics", body(name, value));
    assert_eq!(answer.status, 200, "{}", answer.text());
    json_of(&answer)["message"].as_str().unwrap().to_owned()
}

/// All values of a metric.
pub fn values(client: &mut Client, name: &str) -> Vec<f64> {
    let answer = client.get(&format!("/metrics/{}", encode(name)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    json_of(&answer)["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// The JSON in an answer.
pub fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// Holds an answer to the one shape of all errors; gives its `detail`.
#[track_caller]
pub fn assert_problem(what: &str, answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    let problem = json_of(answer);
    assert_eq!(problem["code"], code, "{what}: {problem}");
    assert_eq!(problem["type"], format!("/problems/{code}"), "{what}");
    assert_eq!(problem["status"], status, "{what}");
    assert_eq!(problem["success"], false, "{what}");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{what}: {problem}");
    assert!(problem.get("outcome").is_none(), "{what}: nothing was done, and that is certain: {problem}");
    let detail = problem["detail"].as_str().unwrap_or_default().to_owned();
    assert!(!detail.is_empty(), "{what}: {problem}");
    detail
}

/// Values that were acknowledged before the trouble and must be there after it.
pub struct Guarded(Vec<f64>);

impl Guarded {
    const NAME: &'static str = "guarded";

    /// Records some.
    pub fn record(client: &mut Client) -> Self {
        let values: Vec<f64> = (0..5).map(|n| f64::from(n) + 0.5).collect();
        values.iter().for_each(|value| drop(record(client, Self::NAME, *value)));
        Guarded(values)
    }

    /// They are there, on every node, and every node still takes writes.
    pub fn check(mut self, clients: Vec<Client>) {
        for mut client in clients {
            assert_eq!(values(&mut client, Self::NAME), self.0);
            let next = self.0.len() as f64 + 0.5;
            record(&mut client, Self::NAME, next);
            self.0.push(next);
        }
    }
}
