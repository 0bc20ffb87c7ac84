//! The services, whichever way a request came.

use super::command::{self, Command, Refused, Reply};
use super::documents::documents;
use super::functions::{Function, Functions};
use super::nodes::{self, Cloud};
use super::query::Query;
use super::{APP, Counts, cipher};
use crate::META_GROUP;
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use client::distri::Request;
use http::StatusCode;
use replica::frame::Consistency;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// Longest idempotency key in bytes.
const MAX_KEY_BYTES: usize = 200;

/// Carries out a request, and counts it. `node` is true for who has proved to be a node.
///
/// # Errors
/// [`ApiError`].
pub async fn call(cluster: &Cluster, request: Request, node: bool) -> Result<Vec<u8>, ApiError> {
    let counts = cluster.own::<Counts>();
    counts.received.inc();
    let answer = serve(cluster, &counts, request, node).await;
    let failed = |error: &ApiError| error.to_problem().status >= 500;
    match &answer {
        Ok(_) => drop(counts.completed.inc()),
        Err(error) if failed(error) => drop(counts.failed.inc()),
        Err(_) => drop(counts.refused.inc()),
    }
    answer
}

/// `AddDocument<users>` is `AddDocument` and `users`.
fn split(request: &Request) -> Result<(&str, Option<String>), ApiError> {
    let Some((name, rest)) = request.service.split_once('<') else {
        return Ok((&request.service, None));
    };
    let collection = rest.strip_suffix('>').ok_or_else(|| unknown_service(&request.service))?;
    Ok((name, Some(collection.into())))
}

async fn serve(
    cluster: &Cluster,
    counts: &Counts,
    request: Request,
    node: bool,
) -> Result<Vec<u8>, ApiError> {
    if request.key.len() > MAX_KEY_BYTES || !request.key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let text = format!("a key is 0 to {MAX_KEY_BYTES} visible ASCII characters");
        return Err(ApiError::invalid("invalid-key", text));
    }
    let (name, collection) = split(&request)?;
    let name = name.to_owned();
    if let Some(collection) = collection {
        let key = Some(request.key).filter(|key| !key.is_empty());
        return documents(cluster, &name, collection, key, &request.data).await;
    }
    let key = Some(request.key.clone()).filter(|key| !key.is_empty());
    match name.as_str() {
        "Stats" => stats(cluster, counts).await,
        "Encrypt" | "Decrypt" => {
            let seal = name == "Encrypt";
            let work = Arc::new(Cipher { seal, key: cluster_key(cluster).await? });
            cluster.own::<Functions>().run(work, request.data, request.params, counts).await
        }
        "CreateCollection" => {
            let command = Command::Create(name_of(&request.data)?);
            write(cluster, key, command).await.map(|_| b"created".into())
        }
        "DeleteCollection" => {
            let command = Command::Drop(name_of(&request.data)?);
            write(cluster, key, command).await.map(|_| b"deleted".into())
        }
        "Heartbeat" | "Leave" | "Peers" | "Nodes" | "UpdateInfo" => {
            registry(cluster, &name, &request.data, node).await
        }
        _ => match cluster.own::<Functions>().get(&name) {
            Some(function) => {
                cluster.own::<Functions>().run(function, request.data, request.params, counts).await
            }
            None => Err(unknown_service(&name)),
        },
    }
}

/// Who is there.
async fn registry(cluster: &Cluster, name: &str, data: &[u8], node: bool) -> Result<Vec<u8>, ApiError> {
    match name {
        "Heartbeat" => {
            let Beat { peer, address } = parse(data)?;
            cluster.own::<Cloud>().heard_of_peers();
            write(cluster, None, Command::Heartbeat { peer, address }).await.map(|_| Vec::new())
        }
        "Leave" => write(cluster, None, Command::Leave(peer_of(data)?)).await.map(|_| Vec::new()),
        "Peers" => {
            let peers: Vec<(String, String)> = ask(cluster, &Query::Peers).await?;
            let peer = |(peer, address)| json!({ "peer": peer, "address": address });
            Ok(json!(peers.into_iter().map(peer).collect::<Vec<_>>()).to_string().into_bytes())
        }
        "Nodes" => Ok(json(&nodes::list(cluster).await?)),
        _ if !node => {
            let text = "UpdateInfo answers nodes only: prove a key that is allowed here";
            Err(ApiError::app(StatusCode::FORBIDDEN, "nodes-only", "Nodes only", text))
        }
        _ => {
            let told = if data.is_empty() { None } else { Some(parse(data)?) };
            Ok(json(&nodes::update(cluster, told)))
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Serialisation of plain data into memory has no way to fail.
    serde_json::to_vec(value).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beat {
    peer: String,
    address: String,
}

struct Cipher {
    seal: bool,
    key: [u8; 32],
}

impl Function for Cipher {
    fn name(&self) -> &'static str {
        if self.seal { "Encrypt" } else { "Decrypt" }
    }

    fn call(&self, data: Vec<u8>, _: &[u8], _: &super::Cancelled) -> Result<Vec<u8>, String> {
        if !self.seal {
            return cipher::decrypt(&self.key, &data);
        }
        let mut nonce = [0; 12];
        rt::random::fill(&mut nonce);
        cipher::encrypt(&self.key, nonce, &data)
    }
}

pub(super) fn unknown_service(name: &str) -> ApiError {
    let shown: String = name.chars().take(100).collect();
    let text = format!("there is no service {shown:?}");
    ApiError::app(StatusCode::NOT_FOUND, "unknown-service", "No such service", text)
}

pub(super) fn parse<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, ApiError> {
    let wrong =
        |error| ApiError::invalid("invalid-value", format!("the data are not the expected JSON: {error}"));
    serde_json::from_slice(data).map_err(wrong)
}

pub(super) fn name_of(data: &[u8]) -> Result<String, ApiError> {
    let name = std::str::from_utf8(data).ok().filter(|name| command::is_name(name));
    let text = "a collection's name is 1 to 64 ASCII letters, digits, `_`, `-` or `.`";
    name.map(str::to_owned).ok_or_else(|| ApiError::invalid("invalid-name", text))
}

fn peer_of(data: &[u8]) -> Result<String, ApiError> {
    let name = std::str::from_utf8(data).ok().filter(|name| command::is_peer(name));
    let text = "a peer's name is 1 to 128 visible ASCII characters";
    name.map(str::to_owned).ok_or_else(|| ApiError::invalid("invalid-name", text))
}

pub(super) async fn ask<R: serde::de::DeserializeOwned>(
    cluster: &Cluster,
    query: &Query,
) -> Result<R, ApiError> {
    // Nodes of an older version have no such state.
    cluster.check_format(crate::cluster::GUESTS).await?;
    Ok(cluster.query(&APP, META_GROUP, query, Consistency::Linearizable).await?.0)
}

pub(super) async fn write(
    cluster: &Cluster,
    key: Option<String>,
    command: Command,
) -> Result<Reply, ApiError> {
    match cluster.command(&APP, META_GROUP, key, &command).await? {
        Reply::Refused(refused) => Err(refusal(&refused)),
        reply => Ok(reply),
    }
}

pub(super) fn refusal(refused: &Refused) -> ApiError {
    use StatusCode as S;
    match refused {
        Refused::Known => {
            ApiError::app(S::CONFLICT, "known", "Known already", "there is one of that name or id")
        }
        Refused::NoCollection => ApiError::app(
            S::NOT_FOUND,
            "unknown-collection",
            "No such collection",
            "there is no such collection",
        ),
        Refused::NoDocument => no_document(),
        Refused::Fixed => {
            let text = "catalog, permissions and users cannot be deleted";
            ApiError::app(S::CONFLICT, "fixed-collection", "Collection stays", text)
        }
        Refused::Full => {
            ApiError::app(S::UNPROCESSABLE_ENTITY, "full", "Limit reached", "there is no room for more")
        }
        Refused::Invalid => ApiError::invalid("invalid-value", "the data break a limit"),
    }
}

pub(super) fn no_document() -> ApiError {
    ApiError::app(StatusCode::NOT_FOUND, "unknown-document", "No such document", "there is no such document")
}

/// The cluster's key: drawn by whoever needs it first.
async fn cluster_key(cluster: &Cluster) -> Result<[u8; 32], ApiError> {
    let own = cluster.own::<super::Key>();
    if let Some(key) = own.0.get() {
        return Ok(*key);
    }
    let mut drawn = [0; 32];
    rt::random::fill(&mut drawn);
    match write(cluster, None, Command::ProposeKey(drawn)).await? {
        Reply::Key(key) => Ok(*own.0.get_or_init(|| key)),
        _ => Err(ApiError::Internal),
    }
}

async fn stats(cluster: &Cluster, counts: &Counts) -> Result<Vec<u8>, ApiError> {
    let collections: Vec<(String, u64)> = ask(cluster, &Query::Collections).await?;
    let data: Vec<String> =
        collections.iter().map(|(name, count)| format!("{name}: {count} entries")).collect();
    // This request is counted as received, and not yet as anything else.
    let (received, refused) = (counts.received.get(), counts.refused.get());
    let (completed, micros) = (counts.completed.get(), counts.task_micros.get());
    let total = micros as f64 / 1e6;
    let average = if completed == 0 { 0.0 } else { total / completed as f64 };
    let text = format!(
        "Requests Recieved: {received}\nAccepted Requests: {}\nCompleted Tasks: {completed}\nServer Fails: {}\n\
         Total Task Time: {total:.6}s\nAvg Completion Time: {average:.6}s\nDB Data: {}\n",
        received.saturating_sub(refused),
        counts.failed.get(),
        data.join(", "),
    );
    Ok(text.into_bytes())
}
