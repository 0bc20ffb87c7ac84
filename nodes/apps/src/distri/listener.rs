//! The byte protocol: `[apps.distri] listen = "127.0.0.1:3000"` opens it. Frames: `client::distri::frame`.
//!
//! Bounded: connections, the bytes of requests under way, the time for a frame. A frame that makes no sense
//! is answered; one that is too long, or does not come, costs the connection. Off loopback, and with strict
//! authentication, every connection begins with the token, but for those of nodes, which prove their key.

use super::functions::Functions;
use super::nodes::{self, Cloud};
use super::services;
use crate::Auth;
use crate::app::BindError;
use crate::cluster::Cluster;
use crate::http::auth::is_token;
use crate::http::error::ApiError;
use client::distri::{Request, Response, frame, hex, prove};
use futures::future::{Either, select};
use http::StatusCode;
use rt::net::{TcpListener, TcpStream};
use rt::task::TaskGroup;
use rt::time;
use serde::Deserialize;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::Semaphore;

/// Connections at once; more wait.
const CONNECTIONS: usize = 1_024;
/// KiB of frames under way at once; more wait.
const BUDGET_KIB: usize = 64 << 10;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(300);
/// How long a frame that has begun may take.
const FRAME: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// The table `[apps.distri]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the byte protocol listens; nowhere without.
    pub listen: Option<String>,
    /// Where others reach it, if that is not where it listens.
    pub address: Option<String>,
    /// A file with the secret key of this node, 64 hexadecimal digits; without, it draws one at every start.
    pub key_file: Option<String>,
    /// Public keys of all nodes, in hexadecimal; without any, those count that nodes tell each other.
    pub nodes: Vec<String>,
}

fn allowed(settings: &Settings) -> Result<Vec<[u8; 32]>, String> {
    let key = |text: &String| {
        hex::key(text).ok_or_else(|| format!("distri: nodes: {text:?} is no key; 64 hexadecimal digits are"))
    };
    settings.nodes.iter().map(key).collect()
}

/// Refuses settings that make no sense.
///
/// # Errors
/// A text that says what is allowed.
pub fn check_settings(cluster: &Cluster) -> Result<(), String> {
    let settings: Settings = cluster.settings("distri")?;
    allowed(&settings)?;
    for (name, address) in [("listen", &settings.listen), ("address", &settings.address)] {
        let port = |address: &String| address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if let Some(address) = address.as_ref().filter(|address| port(address).is_none()) {
            return Err(format!("distri: {name}: {address:?} is no address; host:port is"));
        }
    }
    let options = cluster.options();
    let known = options.token == client::DEV_TOKEN && !options.open;
    if let Some(listen) = settings.listen.as_ref().filter(|listen| known && !is_loopback(listen)) {
        let text = "is reached from elsewhere, and everybody knows the development token: set another one";
        return Err(format!("distri: listen: {listen:?} {text}"));
    }
    if let Some(path) = &settings.key_file {
        let secret =
            read_key(Path::new(path)).map_err(|error| format!("distri: key_file: {path}: {error}"))?;
        cluster.own::<Cloud>().set_secret(secret);
    }
    Ok(())
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn read_key(path: &Path) -> io::Result<[u8; 32]> {
    let file = rt::disk::open_existing(path)?;
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "64 hexadecimal digits are wanted");
    let length = usize::try_from(file.size_bytes()?).ok().filter(|length| *length <= 1_024);
    let mut text = vec![0; length.ok_or_else(wrong)?];
    file.read_at(0, &mut text)?;
    std::str::from_utf8(&text).ok().and_then(|text| hex::key(text.trim())).ok_or_else(wrong)
}

/// Where others reach the byte protocol that listens on `bound`; `None` if nobody said it.
fn reached(settings: &Settings, bound: SocketAddr) -> Option<String> {
    let told = settings.address.clone();
    told.or_else(|| (!bound.ip().is_unspecified()).then(|| bound.to_string()))
}

/// Binds the address of the byte protocol, if there is one: a node that cannot have it does not start.
///
/// # Errors
/// [`BindError`].
pub async fn bind(cluster: &Cluster) -> Result<(), BindError> {
    // Checked when the node started.
    let settings: Settings = cluster.settings("distri").unwrap_or_default();
    if let Some(address) = settings.listen {
        let bound = TcpListener::bind(&address).await;
        let listener = bound.map_err(|source| BindError { address, source })?;
        cluster.own::<Cloud>().set_listener(listener);
    }
    Ok(())
}

/// Serves the byte protocol for as long as the node runs.
pub async fn run(cluster: Cluster) {
    // Checked when the node started.
    let settings: Settings = cluster.settings("distri").unwrap_or_default();
    let Some(listener) = cluster.own::<Cloud>().take_listener() else {
        return nodes::keep_time(cluster).await;
    };
    let keys = allowed(&settings).unwrap_or_default();
    tracing::info!(listen = settings.listen, "byte protocol");
    let (connections, budget) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Semaphore::new(BUDGET_KIB)));
    let tasks = TaskGroup::default();
    let bound = listener.local_addr();
    let exposed = !bound.as_ref().is_ok_and(|bound| bound.ip().is_loopback());
    let rules = Arc::new(Rules { keys, exposed });
    match bound.map(|bound| reached(&settings, bound)) {
        Ok(Some(address)) => tasks.spawn(nodes::live(cluster.clone(), address)),
        _ => tracing::warn!("distri: `address` is not set, so other nodes cannot find this one"),
    }
    loop {
        // Neither is ever closed.
        let Ok(place) = connections.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                time::sleep(PAUSE).await;
                continue;
            }
        };
        let (cluster, budget, rules) = (cluster.clone(), budget.clone(), rules.clone());
        tasks.spawn(async move {
            let _place = place;
            if let Err(error) = converse(&cluster, stream, &budget, &rules).await {
                tracing::debug!(%error, "connection of the byte protocol ended");
            }
        });
    }
}

/// Who may ask.
struct Rules {
    /// Keys of nodes; without any, those that nodes tell each other.
    keys: Vec<[u8; 32]>,
    /// The protocol can be reached from elsewhere.
    exposed: bool,
}

impl Rules {
    /// True if clients need the token, as things are now.
    fn want_token(&self, cluster: &Cluster) -> bool {
        let options = cluster.options();
        (self.exposed && !options.open) || options.auth == Auth::Strict
    }
}

/// What a connection has proved.
#[derive(Default)]
struct Proof {
    challenge: Option<[u8; prove::CHALLENGE_BYTES]>,
    node: bool,
    token: bool,
}

async fn converse(cluster: &Cluster, stream: TcpStream, budget: &Semaphore, rules: &Rules) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut proof = Proof::default();
    // A byte that came early, while the request before was at work.
    let mut early: Option<u8> = None;
    loop {
        let Some(length) = next_length(&mut reader, early.take()).await? else { return Ok(()) };
        let permits = u32::try_from(length / 1024 + 1).unwrap_or(u32::MAX);
        let held = budget.acquire_many(permits).await.map_err(io::Error::other)?;
        let payload =
            time::timeout(FRAME, frame::read_payload(&mut reader, length)).await.map_err(slow)??;
        let request = Request::decode(&payload);
        drop(payload);
        let answer = match request {
            Ok(request) => {
                let mut byte = [0];
                let work = pin!(answer(cluster, request, &mut proof, rules));
                let ended = pin!(reader.read(&mut byte));
                match select(work, ended).await {
                    Either::Left((answer, _)) => answer,
                    // Nobody waits any more: the work is dropped.
                    Either::Right((Ok(0) | Err(_), _)) => return Ok(()),
                    Either::Right((Ok(_), work)) => {
                        early = Some(byte[0]);
                        work.await
                    }
                }
            }
            Err(text) => Err(ApiError::invalid("invalid-frame", text)),
        };
        drop(held);
        respond(cluster, &mut writer, answer).await?;
    }
}

fn slow(_: time::Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the frame did not come in time")
}

async fn next_length<R: AsyncRead + Unpin>(reader: &mut R, early: Option<u8>) -> io::Result<Option<usize>> {
    let early: &[u8] = early.as_slice();
    let mut reader = early.chain(reader);
    time::timeout(IDLE, frame::read_length(&mut reader)).await.map_err(slow)?
}

async fn answer(
    cluster: &Cluster,
    request: Request,
    proof: &mut Proof,
    rules: &Rules,
) -> Result<Vec<u8>, ApiError> {
    match request.service.as_str() {
        "Challenge" => {
            let mut challenge = [0; prove::CHALLENGE_BYTES];
            rt::random::fill(&mut challenge);
            proof.challenge = Some(challenge);
            Ok(challenge.into())
        }
        "Prove" => {
            let signer =
                proof.challenge.take().and_then(|challenge| prove::verify(&request.data, &challenge));
            proof.node = match signer {
                Some(key) => nodes::is_node(cluster, &rules.keys, &key).await,
                None => false,
            };
            let text = "the signature is not that of a node over this connection's last challenge";
            let error = || ApiError::app(StatusCode::FORBIDDEN, "not-a-node", "Not a node", text);
            if proof.node { Ok(Vec::new()) } else { Err(error()) }
        }
        "Token" => {
            proof.token = is_token(&request.data, &cluster.options().token);
            if proof.token { Ok(Vec::new()) } else { Err(unauthorized()) }
        }
        _ if rules.want_token(cluster) && !proof.token && !proof.node => Err(unauthorized()),
        _ => services::call(cluster, request, proof.node).await,
    }
}

fn unauthorized() -> ApiError {
    let text = "send the service `Token` with this cluster's token first on every connection";
    ApiError::app(StatusCode::UNAUTHORIZED, "unauthorized", "Token missing or wrong", text)
}

async fn respond<W: AsyncWrite + Unpin>(
    cluster: &Cluster,
    writer: &mut W,
    answer: Result<Vec<u8>, ApiError>,
) -> io::Result<()> {
    let load = cluster.own::<Functions>().load();
    let response = match answer {
        Ok(data) => Response { status: 200, load, data },
        Err(error) => {
            let problem = error.to_problem();
            // Serialisation of plain data into memory has no way to fail.
            let data = serde_json::to_vec(&problem).unwrap_or_default();
            Response { status: problem.status, load, data }
        }
    };
    time::timeout(FRAME, frame::write(writer, &response.encode())).await.map_err(slow)?
}
