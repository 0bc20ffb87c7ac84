//! A peer: a program that others find by its name through the cloud's registry, and then talk to directly.
//!
//! It tells the cloud every 5 s that it lives; 15 s after the last word the cloud forgets it. Whoever looks a
//! name up asks the cloud once, and again when the address answers no more.

use super::frame::{self, Request, Response};
use super::session::{Client, ClientOptions, SendError};
use rt::net::{TcpListener, TcpStream};
use rt::task::TaskGroup;
use rt::time;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How often a peer tells that it lives.
const BEAT: Duration = Duration::from_secs(5);
/// The pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections at once; more wait.
const CONNECTIONS: usize = 256;
/// How long a connection may say nothing, and how long a frame may take.
const IDLE: Duration = Duration::from_secs(300);

/// An answer to come: bytes, or what is wrong with the request.
pub type Answering = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// What a peer does with a request of another.
pub type Handler = Arc<dyn Fn(Request) -> Answering + Send + Sync>;

/// A peer as the registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PeerInfo {
    /// Its name.
    pub peer: String,
    /// Where it is reached.
    pub address: String,
}

/// A peer. It falls silent when this is dropped, and is forgotten after a while; [`Peer::leave`] is quicker.
pub struct Peer {
    name: String,
    address: String,
    cloud: Client,
    known: Mutex<BTreeMap<String, Client>>,
    _tasks: TaskGroup,
}

impl Peer {
    /// Listens on `address`, which must be how others reach it (port 0 is drawn), and joins the registry.
    ///
    /// # Errors
    /// If it cannot listen there, or the cloud refuses it.
    pub async fn join(cloud: Client, name: &str, address: &str, handler: Handler) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let address = format!("{host}:{}", listener.local_addr()?.port());
        let tasks = TaskGroup::default();
        tasks.spawn(serve(listener, handler));
        let beat = json!({ "peer": name, "address": address }).to_string().into_bytes();
        cloud.send_data(beat.clone(), "Heartbeat").await.map_err(io::Error::other)?;
        let registry = cloud.clone();
        tasks.spawn(async move {
            loop {
                time::sleep(BEAT).await;
                // The next one comes soon enough.
                let _ = registry.send_data(beat.clone(), "Heartbeat").await;
            }
        });
        Ok(Peer { name: name.into(), address, cloud, known: Mutex::default(), _tasks: tasks })
    }

    /// Where it is reached.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All peers that the cloud knows, this one included.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, SendError> {
        let answer = self.cloud.send_data(Vec::new(), "Peers").await?;
        serde_json::from_slice(&answer).map_err(|error| SendError::Unanswered(error.to_string()))
    }

    /// Sends data to a peer's service, directly. A request that may have arrived is not sent again.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, peer: &str, data: Vec<u8>, service: &str) -> Result<Vec<u8>, SendError> {
        let request = Request { service: service.into(), data, ..Request::default() };
        if let Some(client) = self.known(|known| known.get(peer).cloned()) {
            match client.send(request.clone()).await {
                Err(SendError::Unreached(_)) => {}
                // It may have moved: the next request asks the cloud again.
                Err(error @ SendError::Unanswered(_)) => {
                    self.known(|known| drop(known.remove(peer)));
                    return Err(error);
                }
                answer => return answer,
            }
        }
        let peers = self.peers().await?;
        let found = peers.into_iter().find(|info| info.peer == peer);
        let found = found.ok_or_else(|| SendError::Unreached(format!("the cloud knows no peer {peer:?}")))?;
        let mut options = ClientOptions::new(vec![found.address]);
        // One who is gone is not waited for: the registry may know where it is now.
        options.deadline = Duration::from_secs(5);
        let client = Client::new(options);
        self.known(|known| known.insert(peer.to_owned(), client.clone()));
        client.send(request).await
    }

    fn known<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Client>) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leaves the registry at once.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn leave(self) -> Result<(), SendError> {
        self.cloud.send_data(self.name.clone().into_bytes(), "Leave").await.map(drop)
    }
}

async fn serve(listener: TcpListener, handler: Handler) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskGroup::default();
    loop {
        // It is never closed.
        let Ok(place) = connections.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            time::sleep(PAUSE).await;
            continue;
        };
        let handler = handler.clone();
        tasks.spawn(async move {
            let _place = place;
            // A connection that broke ends, and that is all.
            let _ = converse(stream, &handler).await;
        });
    }
}

async fn converse(mut stream: TcpStream, handler: &Handler) -> io::Result<()> {
    let slow = |_| io::Error::from(io::ErrorKind::TimedOut);
    loop {
        let next = async {
            match frame::read_length(&mut stream).await? {
                Some(length) => frame::read_payload(&mut stream, length).await.map(Some),
                None => Ok(None),
            }
        };
        let Some(payload) = time::timeout(IDLE, next).await.map_err(slow)?? else { return Ok(()) };
        let answer = match Request::decode(&payload) {
            Ok(request) => handler(request).await,
            Err(text) => Err(text),
        };
        let (status, data) = match answer {
            Ok(data) => (200, data),
            Err(text) => (400, text.into_bytes()),
        };
        let response = Response { status, load: 0, data }.encode();
        time::timeout(IDLE, frame::write(&mut stream, &response)).await.map_err(slow)??;
    }
}
