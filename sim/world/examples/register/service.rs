//! The service: one register on several nodes, any of which takes reads and writes. This is node code, the
//! same for real and in the simulation: all that it wants from outside it asks of `rt`.
//!
//! The algorithm is that of Attiya, Bar-Noy and Dolev (1995): a value carries a stamp; a write asks a
//! majority for the newest stamp and stores its value with a newer one at a majority; a read asks a majority
//! for the newest value, and stores it at a majority before it answers. Leaves out membership, a second
//! register, and compare and set, which this algorithm cannot do.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use rt::http::{Client, Server};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// A value with its stamp (a counter, and a random number so that no two writes share one).
type Stamped = ((u64, u64), Option<u64>);

/// Longest wait for a majority.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on.
    pub listen: String,
    /// The other nodes.
    pub peers: Vec<String>,
    /// Folder for its file.
    pub data: PathBuf,
    /// A bug to put in.
    pub bug: Option<Bug>,
}

/// Bugs for the simulation to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Bug {
    /// Says that a value is stored when it is on its way to the disk.
    EarlyAnswer,
    /// Answers a read before a majority has what it saw.
    NoWriteBack,
}

struct Node {
    options: Options,
    client: Client,
    /// What lies on the disk.
    stored: Mutex<Stamped>,
    /// One at a time writes to the disk; others may read meanwhile.
    disk: tokio::sync::Mutex<()>,
}

/// Starts a node.
pub async fn start(options: Options) -> io::Result<Server> {
    let path = options.data.clone();
    let stored = Mutex::new(rt::task::blocking(move || load(&path)).await?);
    let listener = rt::net::TcpListener::bind(&options.listen).await?;
    let node =
        Arc::new(Node { options, client: Client::new(Default::default()), stored, disk: Default::default() });
    let router = Router::new()
        .route("/register", get(read).put(write))
        .route("/replica", post(replica))
        .with_state(node);
    rt::http::serve(listener, router, Default::default())
}

/// 503: without effect. 504: it may take effect.
async fn write(State(node): State<Arc<Node>>, Json(value): Json<u64>) -> StatusCode {
    let Some(((counter, _), _)) = node.majority(Stamped::default()).await else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    let stamp = (counter + 1, rt::random::u64());
    let stored = node.majority((stamp, Some(value))).await;
    if stored.is_some() { StatusCode::NO_CONTENT } else { StatusCode::GATEWAY_TIMEOUT }
}

async fn read(State(node): State<Arc<Node>>) -> Result<Json<Option<u64>>, StatusCode> {
    let newest = node.majority(Stamped::default()).await.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    if node.options.bug != Some(Bug::NoWriteBack) {
        node.majority(newest).await.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    }
    Ok(Json(newest.1))
}

/// Another node's question: store this if it is newer, and say what you have.
async fn replica(
    State(node): State<Arc<Node>>,
    Json(value): Json<Stamped>,
) -> Result<Json<Stamped>, StatusCode> {
    node.keep(value).await.map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

impl Node {
    /// Offers a value to all nodes; what the newest of a majority's answers is.
    async fn majority(self: &Arc<Self>, value: Stamped) -> Option<Stamped> {
        let needed = self.options.peers.len().div_ceil(2) + 1;
        let (sender, mut answers) = mpsc::channel(self.options.peers.len() + 1);
        let peers = self.options.peers.iter().cloned().map(Some);
        for peer in peers.chain([None]) {
            let (node, sender) = (self.clone(), sender.clone());
            rt::task::spawn(async move {
                let answer = match peer {
                    Some(peer) => node.ask(&peer, value).await,
                    None => node.keep(value).await.ok(),
                };
                if let Some(answer) = answer {
                    // Whoever asked may have enough answers, and be gone.
                    let _ = sender.send(answer).await;
                }
            });
        }
        drop(sender);
        let mut newest = value;
        for _ in 0..needed {
            newest = newest.max(answers.recv().await?);
        }
        Some(newest)
    }

    async fn ask(&self, peer: &str, value: Stamped) -> Option<Stamped> {
        let body = serde_json::to_vec(&value).ok()?.into();
        let request = http::Request::post("/replica").header("content-type", "application/json");
        let answer = self.client.send(peer, request.body(body).ok()?, PATIENCE).await.ok()?;
        serde_json::from_slice(answer.body()).ok()
    }

    /// Stores a value that is newer than what is stored, and gives what is stored then.
    async fn keep(self: &Arc<Self>, value: Stamped) -> io::Result<Stamped> {
        if value.0 <= self.stored().0 {
            return Ok(*self.stored());
        }
        let _disk = self.disk.lock().await;
        if value.0 > self.stored().0 {
            let folder = self.options.data.clone();
            let saving = rt::task::blocking(move || save(&folder, value));
            if self.options.bug == Some(Bug::EarlyAnswer) {
                rt::task::spawn(saving);
            } else {
                saving.await?;
            }
            *self.stored() = value;
        }
        Ok(*self.stored())
    }

    fn stored(&self) -> MutexGuard<'_, Stamped> {
        // It is replaced in one go: after a panic elsewhere it is still whole.
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a new file and puts it in the place of the old one: a crash leaves one of them, whole.
fn save(folder: &Path, value: Stamped) -> io::Result<()> {
    let new = folder.join("register.new");
    let file = rt::disk::open(&new)?;
    file.set_len(0)?;
    file.write_at(0, &serde_json::to_vec(&value)?)?;
    file.sync()?;
    rt::disk::rename(&new, &folder.join("register.json"))?;
    rt::disk::sync_dir(folder)
}

fn load(folder: &Path) -> io::Result<Stamped> {
    rt::disk::create_durable_dir(folder)?;
    let file = match rt::disk::open_existing(&folder.join("register.json")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stamped::default()),
        file => file?,
    };
    let mut bytes = vec![0; usize::try_from(file.size_bytes()?).unwrap_or(0)];
    file.read_at(0, &mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}
