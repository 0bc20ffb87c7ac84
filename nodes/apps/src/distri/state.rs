//! Distri's state machine: collections (`documents`), the registry of peers and nodes (`registry`), the
//! cluster's key.
//!
//! The registry goes by log time: what the leaders' clocks advanced between entries, and no more than
//! [`MAX_STEP_MS`] for one. A clock that jumps, either way, moves it little; a peer that lives comes back
//! with its next heartbeat in any case.

use super::command::{Command, FIRST_COLLECTIONS, MAX_DOCUMENT_BYTES, NodeRow, Refused, Reply};
use super::query::Query;
use super::selector::Selector;
use replica::StateMachine;
use replica::machine::{Row, RowChange, Stored};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// First bytes of rows.
const COLLECTION: u8 = b'c';
const DOCUMENT: u8 = b'd';
const NODE: u8 = b'n';
const PEER: u8 = b'p';
const CLOCK: &[u8] = b"t";
const KEY: &[u8] = b"k";

/// What an answer holds at most: a page must not grow with the documents.
const MAX_ANSWER_BYTES: usize = 1 << 20;

struct Document {
    body: String,
    fields: Map<String, Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Peer {
    address: String,
    /// Log time of its last heartbeat.
    seen_ms: u64,
}

/// Log time, and the leader's clock at the last entry.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Clock {
    log_ms: u64,
    leader_ms: u64,
}

/// Everything.
pub struct State {
    collections: BTreeMap<String, BTreeMap<String, Document>>,
    peers: BTreeMap<String, Peer>,
    /// Nodes, and the log time of their last heartbeats.
    nodes: BTreeMap<u64, (NodeRow, u64)>,
    clock: Clock,
    key: Option<[u8; 32]>,
    documents: usize,
    bytes: usize,
    changed: BTreeSet<Vec<u8>>,
}

impl Default for State {
    fn default() -> Self {
        let collections = FIRST_COLLECTIONS.map(|name| (name.to_owned(), BTreeMap::new())).into();
        State {
            collections,
            peers: BTreeMap::new(),
            nodes: BTreeMap::new(),
            clock: Clock::default(),
            key: None,
            documents: 0,
            bytes: 0,
            changed: BTreeSet::new(),
        }
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Serialisation of plain data into memory has no way to fail.
    postcard::to_stdvec(value).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(key: &[u8], row: &[u8]) -> Result<T, String> {
    postcard::from_bytes(row).map_err(|error| format!("row {key:?}: {error}"))
}

fn document(body: String) -> Result<Document, Refused> {
    if body.len() > MAX_DOCUMENT_BYTES {
        return Err(Refused::Invalid);
    }
    let fields: Map<String, Value> = serde_json::from_str(&body).map_err(|_| Refused::Invalid)?;
    if fields.contains_key("_id") { Err(Refused::Invalid) } else { Ok(Document { body, fields }) }
}

/// A document's row: names hold no byte 0.
fn document_key(collection: &str, id: &str) -> Vec<u8> {
    [&[DOCUMENT], collection.as_bytes(), &[0], id.as_bytes()].concat()
}

fn named(kind: u8, name: &str) -> Vec<u8> {
    [&[kind], name.as_bytes()].concat()
}

fn node_key(id: u64) -> Vec<u8> {
    [&[NODE][..], &id.to_be_bytes()].concat()
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

impl State {
    fn carry_out(&mut self, command: Command, at_ms: u64) -> Result<Reply, Refused> {
        match command {
            Command::Create(name) => self.create(name),
            Command::Drop(name) => self.drop_collection(&name),
            Command::Add { collection, id, body } => self.put(&collection, id, body, true),
            Command::Update { collection, id, body } => self.put(&collection, id, body, false),
            Command::Delete { collection, selector } => self.delete(&collection, &selector),
            Command::Heartbeat { peer, address } => self.heartbeat(peer, address, at_ms),
            Command::Leave(peer) => {
                self.peers.remove(&peer);
                self.changed.insert(named(PEER, &peer));
                Ok(Reply::Done)
            }
            Command::ProposeKey(key) => {
                self.changed.insert(KEY.into());
                Ok(Reply::Key(*self.key.get_or_insert(key)))
            }
            Command::Node(row) => self.node(row, at_ms),
            Command::Tick => {
                self.pass_time(at_ms);
                Ok(Reply::Done)
            }
        }
    }

    fn row(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (kind, name) = key.split_first()?;
        if *kind == NODE {
            return self.nodes.get(&number(name)?).map(encode);
        }
        let name = std::str::from_utf8(name).ok()?;
        match *kind {
            COLLECTION => self.collections.contains_key(name).then(Vec::new),
            DOCUMENT => {
                let (collection, id) = name.split_once('\0')?;
                let document = self.collections.get(collection)?.get(id)?;
                Some(document.body.clone().into_bytes())
            }
            PEER => self.peers.get(name).map(encode),
            _ if key == CLOCK => Some(encode(&self.clock)),
            _ => self.key.as_ref().map(encode),
        }
    }

    fn restore_row(&mut self, key: &[u8], row: &[u8]) -> Result<(), String> {
        let unknown = || format!("unknown row {key:?}");
        match key {
            CLOCK => self.clock = decode(key, row)?,
            KEY => self.key = Some(decode(key, row)?),
            [NODE, id @ ..] => {
                drop(self.nodes.insert(number(id).ok_or_else(unknown)?, decode(key, row)?));
            }
            [kind, name @ ..] => {
                let name = std::str::from_utf8(name).map_err(|_| unknown())?;
                match *kind {
                    COLLECTION => drop(self.collections.insert(name.into(), BTreeMap::new())),
                    PEER => drop(self.peers.insert(name.into(), decode(key, row)?)),
                    DOCUMENT => {
                        let (collection, id) = name.split_once('\0').ok_or_else(unknown)?;
                        let body = String::from_utf8(row.to_vec()).map_err(|_| unknown())?;
                        let put = self.put(collection, id.into(), body, true);
                        put.map_err(|refused| format!("row {key:?}: {refused:?}"))?;
                    }
                    _ => return Err(unknown()),
                }
            }
            [] => return Err(unknown()),
        }
        Ok(())
    }
}

impl StateMachine for State {
    fn apply(&mut self, command: &[u8], at_ms: u64) -> Vec<u8> {
        let command = postcard::from_bytes(command).map_err(|_| Refused::Invalid);
        encode(&command.and_then(|command| self.carry_out(command, at_ms)).unwrap_or_else(Reply::Refused))
    }

    fn query(&self, query: &[u8], _stored: &dyn Stored) -> Vec<u8> {
        match postcard::from_bytes(query) {
            Ok(Query::Document { collection, id }) => encode(&self.one(&collection, &id)),
            Ok(Query::Matching { collection, selector, limit }) => {
                match Selector::parse(selector.as_bytes()) {
                    Ok(Selector::Id(id)) => encode(&self.one(&collection, &id)),
                    Ok(selector) => encode(&self.found(&collection, None, limit, |id, document| {
                        selector.matches(id, &document.fields)
                    })),
                    Err(_) => Vec::new(),
                }
            }
            Ok(Query::Page { collection, after, limit }) => {
                encode(&self.found(&collection, after, limit, |_, _| true))
            }
            Ok(Query::Collections) => {
                let counts = self.collections.iter();
                encode(&counts.map(|(name, all)| (name, all.len() as u64)).collect::<Vec<_>>())
            }
            Ok(Query::Peers) => {
                let peers = self.peers.iter();
                encode(&peers.map(|(name, peer)| (name, &peer.address)).collect::<Vec<_>>())
            }
            Ok(Query::Nodes) => encode(&self.nodes.values().map(|(row, _)| row).collect::<Vec<_>>()),
            Ok(Query::Key) => encode(&self.key),
            Err(_) => Vec::new(),
        }
    }

    fn take_changes(&mut self) -> Vec<RowChange> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|key| (key.clone(), self.row(&key))).collect()
    }

    fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        // Collections come before their documents: `c` is less than `d`.
        for (key, row) in rows {
            self.restore_row(&key, &row)?;
        }
        self.changed.clear();
        Ok(())
    }

    fn hash(&self) -> u64 {
        let hash = |kind: &[u8], bytes: Vec<u8>| {
            xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, xxhash_rust::xxh3::xxh3_64(kind))
        };
        let mut sum = hash(CLOCK, encode(&self.clock)) ^ hash(KEY, encode(&self.key));
        for (name, documents) in &self.collections {
            sum = sum.wrapping_add(hash(&[COLLECTION], name.clone().into_bytes()));
            for (id, document) in documents {
                let key = document_key(name, id);
                sum = sum.wrapping_add(hash(&key, document.body.clone().into_bytes()));
            }
        }
        for (id, node) in &self.nodes {
            sum = sum.wrapping_add(hash(&node_key(*id), encode(node)));
        }
        let peers = self.peers.iter().map(|(name, peer)| hash(&named(PEER, name), encode(peer)));
        peers.fold(sum, u64::wrapping_add)
    }
}

mod documents;
mod registry;
#[cfg(test)]
mod tests;
