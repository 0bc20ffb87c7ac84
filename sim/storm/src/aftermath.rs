//! After the faults: does everything come back in time?

use bytes::Bytes;
use check::{LivenessFacts, LivenessProbe};
use client::{Client, ClientOptions};
use rt::sim::World;
use rt::time::{self, Instant};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Within this much simulated time after the last fault, everything must work again.
pub const RECOVERY: Duration = Duration::from_secs(15);
/// The same where a member had to be replaced: learner first, then a voter, one group after the other.
pub const REPLACEMENT: Duration = Duration::from_secs(40);
/// Pause between two tries.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

struct Tools {
    client: Client,
    http: rt::http::Client,
}

/// Something that must work again.
enum Probe {
    Write(String),
    Read(String),
    CaughtUp,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Probe::Write(name) => write!(f, "a write to {name}"),
            Probe::Read(name) => write!(f, "a read of {name}"),
            Probe::CaughtUp => f.write_str("a leader for every group and all replicas caught up"),
        }
    }
}

/// Looks at a cluster from a client's machine.
#[derive(Clone)]
pub struct Aftermath {
    /// Clock.
    pub world: Arc<World>,
    /// API addresses by node name.
    pub endpoints: BTreeMap<String, String>,
    /// Token.
    pub token: String,
    /// Within this much time after the faults, everything must work again.
    pub recovery: Duration,
    /// Names that together lie in every partition: what is written to them is not judged.
    pub probes: Vec<String>,
}

impl Aftermath {
    fn client(&self, deadline: Duration) -> Client {
        let endpoints = self.endpoints.values().cloned().collect();
        Client::new(ClientOptions { endpoints, token: self.token.clone(), deadline })
    }

    /// What a node answers to a question, as JSON.
    pub(crate) async fn json(
        &self,
        http: &rt::http::Client,
        endpoint: &str,
        path: &str,
    ) -> Option<serde_json::Value> {
        serde_json::from_slice(&ask(http, endpoint, path, &self.token).await?).ok()
    }

    /// Waits until every node says that it is ready. False if it takes longer than `patience`.
    pub async fn wait_ready(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let http = rt::http::Client::new(rt::http::ClientOptions::default());
        for endpoint in self.endpoints.values() {
            while ask(&http, endpoint, "/readyz", &self.token).await.is_none() {
                if Instant::now() >= deadline {
                    return false;
                }
                time::sleep(PAUSE).await;
            }
        }
        true
    }

    /// Everything that must work again, with the time when it did.
    pub async fn liveness(&self) -> LivenessFacts {
        let heal_ns = self.world.now_ns();
        let deadline = Instant::now() + self.recovery;
        let tools = Tools {
            client: self.client(Duration::from_secs(1)),
            http: rt::http::Client::new(rt::http::ClientOptions::default()),
        };
        let mut wanted = Vec::new();
        for name in &self.probes {
            wanted.extend([Probe::Write(name.clone()), Probe::Read(name.clone())]);
        }
        wanted.push(Probe::CaughtUp);
        let mut probes = Vec::new();
        for probe in wanted {
            probes.push(self.until(&tools, probe, deadline).await);
        }
        let bound_ns = u64::try_from(self.recovery.as_nanos()).unwrap_or(u64::MAX);
        LivenessFacts { heal_ns, bound_ns, probes }
    }

    async fn until(&self, tools: &Tools, probe: Probe, deadline: Instant) -> LivenessProbe {
        loop {
            let fine = match &probe {
                Probe::Write(name) => tools.client.record(name, 1.0, None).await.is_ok(),
                Probe::Read(name) => {
                    tools.client.aggregate(name, false).await.is_ok_and(|read| read.answer.is_some())
                }
                Probe::CaughtUp => self.is_caught_up(&tools.http).await,
            };
            if fine {
                return LivenessProbe { name: probe.to_string(), done_ns: Some(self.world.now_ns()) };
            }
            if Instant::now() >= deadline {
                return LivenessProbe { name: probe.to_string(), done_ns: None };
            }
            time::sleep(PAUSE).await;
        }
    }

    async fn is_caught_up(&self, http: &rt::http::Client) -> bool {
        let mut applied: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for endpoint in self.endpoints.values() {
            let Some(body) = ask(http, endpoint, "/replicas", &self.token).await else { return false };
            let Ok(stats) = serde_json::from_slice::<serde_json::Value>(&body) else { return false };
            for group in stats["groups"].as_array().into_iter().flatten() {
                let number = |name: &str| group[name].as_u64();
                let (Some(id), Some(index), Some(_leader)) =
                    (number("group"), number("applied_index"), number("leader"))
                else {
                    return false;
                };
                applied.entry(id).or_default().push(index);
            }
        }
        applied.values().all(|indexes| indexes.windows(2).all(|pair| pair[0] == pair[1]))
    }
}

async fn ask(http: &rt::http::Client, endpoint: &str, path: &str, token: &str) -> Option<Bytes> {
    let request = http::Request::get(path).header("authorization", format!("Bearer {token}"));
    let request = request.body(Bytes::new()).ok()?;
    let answer = http.send(endpoint, request, Duration::from_secs(1)).await.ok()?;
    answer.status().is_success().then(|| answer.into_body())
}
