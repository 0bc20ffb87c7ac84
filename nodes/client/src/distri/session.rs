//! The client: work goes to the less loaded of two random nodes, and to another if that one fails.
//!
//! A node's load is what its last answer said, halved for every 100 ms since, and what this client has under
//! way there. Every send carries a key of its own, so that a write that is sent again takes effect once.

use super::frame::{Request, Response};
use super::transport::{CONNECT, Failure, Wire};
use rt::time::{self, Instant};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);
/// How long a node that failed is asked only if there is no other.
const SHUNNED: Duration = Duration::from_secs(1);
/// What a node said of its load counts half after so long.
const HALF_LIFE_MS: u128 = 100;

/// How bytes travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// The byte protocol: [`super::frame`].
    #[default]
    Bytes,
    /// HTTP: `POST /distri/{service}`.
    Http,
}

/// How to reach a cloud.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Addresses of nodes (`host:port`), of the byte protocol or of HTTP.
    pub nodes: Vec<String>,
    /// How bytes travel.
    pub transport: Transport,
    /// Longest wait for an answer, retries included.
    pub deadline: Duration,
    /// Longest wait for one try.
    pub attempt: Duration,
    /// Longest wait for a connection.
    pub connect: Duration,
    /// The secret key of a node; ordinary clients have none.
    pub secret: Option<[u8; 32]>,
    /// The cluster's token, which nodes off loopback want.
    pub token: Option<String>,
}

impl ClientOptions {
    /// Of an ordinary client.
    pub fn new(nodes: Vec<String>) -> Self {
        let (deadline, attempt) = (Duration::from_secs(30), Duration::from_secs(10));
        let transport = Transport::Bytes;
        ClientOptions { nodes, transport, deadline, attempt, connect: CONNECT, secret: None, token: None }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Refused, and without effect; the text is the problem as JSON.
    #[error("refused with status {status}: {problem}")]
    Refused {
        /// As in HTTP.
        status: u16,
        /// What was wrong.
        problem: String,
    },
    /// No node was reached: without effect.
    #[error("no node was reached: {0}")]
    Unreached(String),
    /// No node answered in time. A write may have taken effect.
    #[error("no answer: {0}")]
    Unanswered(String),
}

/// A node of the cloud, as `Nodes` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// Where its byte protocol is reached.
    pub address: String,
    /// Its public key, in hexadecimal.
    pub key: String,
    /// Tasks that ran or waited there when it was last heard of.
    pub load: u32,
}

struct Node {
    address: String,
    /// What it said last, and when.
    told: Option<(u32, Instant)>,
    /// What this client has there.
    running: u32,
    shunned: Option<Instant>,
}

impl Node {
    fn at(address: String) -> Self {
        Node { address, told: None, running: 0, shunned: None }
    }

    fn load(&self) -> u32 {
        let told = self.told.map_or(0, |(load, when)| {
            let halves = when.elapsed().as_millis() / HALF_LIFE_MS;
            load >> u32::try_from(halves).unwrap_or(31).min(31)
        });
        told.saturating_add(self.running)
    }
}

/// A client. Clones share connections and what is known of the nodes.
#[derive(Clone)]
pub struct Client {
    wire: Arc<Wire>,
    nodes: Arc<Mutex<Vec<Node>>>,
}

/// Counts a request at its node, for as long as it runs.
struct Running<'a>(&'a Client, &'a str);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.node(self.1, |node| node.running = node.running.saturating_sub(1));
    }
}

impl Client {
    /// A client without connections yet.
    pub fn new(options: ClientOptions) -> Self {
        let nodes = options.nodes.iter().cloned().map(Node::at).collect();
        Client { wire: Arc::new(Wire::new(options)), nodes: Arc::new(Mutex::new(nodes)) }
    }

    /// Sends data to a service; gives its answer.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_data(&self, data: Vec<u8>, service: &str) -> Result<Vec<u8>, SendError> {
        self.send_data_with_params(data, service, Vec::new()).await
    }

    /// Sends data and parameters to a service; gives its answer.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_data_with_params(
        &self,
        data: Vec<u8>,
        service: &str,
        params: Vec<u8>,
    ) -> Result<Vec<u8>, SendError> {
        let key = format!("distri-{:016x}{:016x}", rt::random::u64(), rt::random::u64());
        self.send(Request { service: service.into(), key, params, data }).await
    }

    /// Sends a request until it is answered, or the deadline passes. Its key, if it has one, makes that
    /// harmless; one without is sent again only if it did not arrive.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, request: Request) -> Result<Vec<u8>, SendError> {
        let deadline = Instant::now() + self.wire.options().deadline;
        let (mut avoid, mut arrived, mut pause) = (None, false, FIRST_PAUSE);
        loop {
            let Some(address) = self.choose(avoid.as_deref()) else {
                return Err(SendError::Unreached("the client knows no nodes".into()));
            };
            let limit = deadline.min(Instant::now() + self.wire.options().attempt);
            let error = match self.send_to(&address, &request, limit).await {
                Ok(response) if response.status == 200 => return Ok(response.data),
                // Busy, or without a leader for the moment: not done, but a try before may have been.
                Ok(response) if matches!(response.status, 429 | 503) => refused(response),
                Ok(response) if response.status >= 500 => {
                    arrived = true;
                    refused(response)
                }
                Ok(response) => return Err(refused(response)),
                Err(failure) => {
                    arrived |= failure.arrived;
                    SendError::Unreached(failure.text)
                }
            };
            if arrived && request.key.is_empty() || Instant::now() + pause >= deadline {
                return Err(if arrived { SendError::Unanswered(error.to_string()) } else { error });
            }
            avoid = Some(address);
            time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Every node's statistics, by address, in the order of the options.
    pub async fn collect_stats(&self) -> Vec<(String, Result<String, SendError>)> {
        let request = Request { service: "Stats".into(), ..Request::default() };
        let mut all = Vec::new();
        for address in self.addresses() {
            let limit = Instant::now() + self.wire.options().attempt;
            let result = match self.send_to(&address, &request, limit).await {
                Ok(response) if response.status == 200 => {
                    Ok(String::from_utf8_lossy(&response.data).into_owned())
                }
                Ok(response) => Err(refused(response)),
                Err(failure) => Err(SendError::Unanswered(failure.text)),
            };
            all.push((address, result));
        }
        all
    }

    /// Asks the cloud for its nodes, and sends to those that are new too. What is known stays known.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn learn_nodes(&self) -> Result<Vec<NodeInfo>, SendError> {
        let answer = self.send_data(Vec::new(), "Nodes").await?;
        let unreadable = |error: serde_json::Error| SendError::Unanswered(error.to_string());
        let found: Vec<NodeInfo> = serde_json::from_slice(&answer).map_err(unreadable)?;
        if self.wire.options().transport == Transport::Bytes {
            self.with(|nodes| {
                for NodeInfo { address, .. } in &found {
                    if nodes.iter().all(|node| node.address != *address) {
                        nodes.push(Node::at(address.clone()));
                    }
                }
            });
        }
        Ok(found)
    }

    /// The nodes' addresses.
    pub fn addresses(&self) -> Vec<String> {
        self.with(|nodes| nodes.iter().map(|node| node.address.clone()).collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Node>) -> T) -> T {
        work(&mut self.nodes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn node(&self, address: &str, work: impl FnOnce(&mut Node)) {
        self.with(|nodes| nodes.iter_mut().find(|node| node.address == address).map(work));
    }

    /// The less loaded of two random nodes: not the one that just failed, and none that failed a moment
    /// ago, if there are others.
    fn choose(&self, avoid: Option<&str>) -> Option<String> {
        self.with(|nodes| {
            let now = Instant::now();
            let well = |node: &&Node| node.shunned.is_none_or(|until| until <= now);
            let other = |node: &&Node| Some(node.address.as_str()) != avoid;
            let mut fit: Vec<&Node> = nodes.iter().filter(well).filter(other).collect();
            if fit.is_empty() {
                fit = nodes.iter().filter(other).collect();
            }
            if fit.is_empty() {
                fit = nodes.iter().collect();
            }
            let first = draw(fit.len())?;
            let second = if fit.len() > 1 { (first + 1 + draw(fit.len() - 1)?) % fit.len() } else { first };
            let chosen = if fit[second].load() < fit[first].load() { second } else { first };
            Some(fit[chosen].address.clone())
        })
    }

    async fn send_to(&self, address: &str, request: &Request, limit: Instant) -> Result<Response, Failure> {
        self.node(address, |node| node.running += 1);
        let _running = Running(self, address);
        let answer = self.wire.exchange(address, request, limit).await;
        self.node(address, |node| match &answer {
            Ok(response) => {
                node.told = Some((response.load, Instant::now()));
                node.shunned = None;
            }
            Err(_) => node.shunned = Some(Instant::now() + SHUNNED),
        });
        answer
    }
}

fn draw(count: usize) -> Option<usize> {
    let drawn = rt::random::u64().checked_rem(count as u64)?;
    usize::try_from(drawn).ok()
}

fn refused(response: Response) -> SendError {
    let problem = String::from_utf8_lossy(&response.data).into_owned();
    SendError::Refused { status: response.status, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(nodes: &[&str]) -> Client {
        Client::new(ClientOptions::new(nodes.iter().map(|&node| node.to_owned()).collect()))
    }

    #[test]
    fn the_less_loaded_of_two_is_chosen() {
        let client = client(&["a", "b"]);
        client.node("a", |node| node.running = 5);
        for _ in 0..50 {
            assert_eq!(client.choose(None).as_deref(), Some("b"));
        }
        assert_eq!(client.choose(Some("b")).as_deref(), Some("a"), "not the one that just failed");
        client.node("b", |node| node.shunned = Some(Instant::now() + SHUNNED));
        assert_eq!(client.choose(None).as_deref(), Some("a"));
        client.node("a", |node| node.shunned = Some(Instant::now() + SHUNNED));
        assert!(client.choose(None).is_some(), "better one that failed than none");
    }

    #[test]
    fn every_node_has_its_turn() {
        let client = client(&["a", "b", "c"]);
        let mut seen: Vec<String> = (0..200).filter_map(|_| client.choose(None)).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["a", "b", "c"]);
        assert_eq!(self::client(&["a"]).choose(Some("a")).as_deref(), Some("a"), "the only one");
        assert_eq!(self::client(&[]).choose(None), None);
    }
}
