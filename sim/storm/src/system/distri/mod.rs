//! Distri: shelves open, documents come, change and go, one by one and by ranges, over the byte protocol and
//! over HTTP, while several clients work on the same shelves. Now and then an image is encrypted, and
//! decrypted at another node.
//!
//! Every request carries a key, and the client sends it again until it is answered: a document that came
//! twice, or not at all, is the client's fault as much as the cluster's, and is judged here. A shelf is busy
//! for some seconds, then new ones open.

mod judge;
mod shelf;
#[cfg(test)]
mod tests;

use super::{Boxed, Deed, Seat, System, json_lines, keep};
use crate::aftermath::{PAUSE, RECOVERY};
use crate::scenario::Knobs;
use check::history::Outcome;
use check::linearizability::{self, Limits};
use check::{Judge, Violation};
use client::distri::{Client, ClientOptions, SendError, Transport};
use judge::Stored;
use rt::sim::World;
use rt::sim::rng::Rng;
use rt::time::{self, Instant};
use serde_json::{Value, json};
use shelf::{Call, Said, Shelf, What};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use world::Recorder;

/// How long a client goes on with a request.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a client waits for one node's answer: longer than a node takes to say that it does not know.
const ATTEMPT: Duration = Duration::from_millis(2_500);
/// How long shelves are busy before new ones open.
const BUSY_NS: u64 = 8_000_000_000;
/// How far the search for one shelf's order may go.
const LIMITS: Limits = Limits { max_configurations: 60_000, max_steps: 2_000_000 };
/// Port of the byte protocol.
pub(crate) const PORT: u16 = 3000;

/// Clients of Distri.
#[derive(Clone)]
pub struct Distri {
    world: Arc<World>,
    recorder: Recorder<Call, Said>,
    /// Shelves that are busy at a time.
    busy: u64,
    next_number: Arc<AtomicU32>,
    next_version: Arc<AtomicU32>,
    /// Ids of documents that were acknowledged, by number, with their shelves.
    ids: Arc<Mutex<BTreeMap<u32, (String, String)>>>,
    /// What was wrong with images.
    spoiled: Arc<Mutex<Vec<String>>>,
    stored: Arc<OnceLock<Stored>>,
}

pub(super) fn make(world: &Arc<World>, knobs: &Knobs) -> Arc<dyn System> {
    Arc::new(Distri {
        world: world.clone(),
        recorder: Recorder::new(world.clone()),
        busy: knobs.get("series", 3).clamp(1, 3),
        next_number: Arc::default(),
        next_version: Arc::new(AtomicU32::new(1)),
        ids: Arc::default(),
        spoiled: Arc::default(),
        stored: Arc::default(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl System for Distri {
    fn client(&self, seat: Seat) -> Boxed<()> {
        Box::pin(self.clone().run(seat))
    }

    fn collect(&self, seat: Seat) -> Boxed<bool> {
        keep(self.clone().final_state(seat), self.stored.clone())
    }

    fn judge(&self) -> Vec<Violation> {
        let history = self.recorder.history();
        let Some(stored) = self.stored.get() else { return Vec::new() };
        let mut violations = judge::judge(&history, stored);
        violations.extend(linearizability::judge(&Shelf, &history, LIMITS).violations);
        let spoiled = lock(&self.spoiled).clone().into_iter();
        violations.extend(spoiled.map(|evidence| Violation {
            judge: Judge::Durability,
            at_ns: None,
            evidence,
        }));
        violations
    }

    fn history(&self) -> Vec<String> {
        json_lines(&self.recorder.history())
    }

    fn deeds(&self) -> Vec<Deed> {
        let history = self.recorder.history();
        history.iter().map(|operation| Deed::of(operation, !operation.call.what.is_read())).collect()
    }
}

/// A client over the byte protocol, or over HTTP.
fn client(seat: &Seat, transport: Transport, deadline: Duration) -> Client {
    let bytes = |api: &String| {
        let host = api.rsplit_once(':').map_or(api.as_str(), |(host, _)| host);
        format!("{host}:{PORT}")
    };
    let nodes = match transport {
        Transport::Http => seat.endpoints.clone(),
        Transport::Bytes => seat.endpoints.iter().map(bytes).collect(),
    };
    let token = Some(seat.token.clone());
    let options = ClientOptions::new(nodes);
    Client::new(ClientOptions { transport, deadline, attempt: ATTEMPT, token, ..options })
}

impl Distri {
    async fn run(self, seat: Seat) {
        let transports = [Transport::Bytes, Transport::Http];
        let clients = transports.map(|transport| client(&seat, transport, PATIENCE));
        let Seat { number, mut rng, pause, stop, .. } = seat;
        while !stop.load(Ordering::Relaxed) {
            time::sleep(rng.duration(pause / 2, pause * 3 / 2)).await;
            let api = &clients[usize::from(rng.chance(0.3))];
            if rng.chance(0.05) {
                self.image(api, &mut rng).await;
                continue;
            }
            let era = self.world.now_ns() / BUSY_NS;
            let shelf = format!("shelf-{era}-{}", rng.below(self.busy));
            let what = self.draw(&shelf, &mut rng);
            let call = Call { shelf, what };
            let id = self.recorder.call(number, call.clone());
            let outcome = self.ask(api, &call).await;
            self.recorder.answer(id, outcome);
        }
    }

    /// What a client does next, on a shelf that sees everything that may happen on one.
    fn draw(&self, shelf: &str, rng: &mut Rng) -> What {
        let newest = self.next_number.load(Ordering::Relaxed);
        // Around what is there now: bounds that fall on documents are the ones that can be off by one.
        let around = newest.saturating_sub(rng.below(12) as u32);
        match rng.below(40) {
            0..6 => What::Open,
            6 => What::Close,
            7..20 => What::Add(self.next_number.fetch_add(1, Ordering::Relaxed)),
            20..26 => match self.known(shelf, rng) {
                Some(number) => What::Update(number, self.next_version.fetch_add(1, Ordering::Relaxed)),
                None => What::ReadAll,
            },
            26..29 => What::DeleteExact(around, 0),
            29..32 => What::DeleteRange(around, around + rng.below(4) as u32),
            32..37 => What::ReadAll,
            _ => What::ReadFrom(around),
        }
    }

    /// A document of the shelf that was there once.
    fn known(&self, shelf: &str, rng: &mut Rng) -> Option<u32> {
        let ids = lock(&self.ids);
        let numbers: Vec<u32> =
            ids.iter().filter(|(_, (known, _))| known == shelf).map(|(number, _)| *number).collect();
        rng.pick(&numbers).copied()
    }

    async fn ask(&self, api: &Client, call: &Call) -> Outcome<Said> {
        let shelf = &call.shelf;
        let document = |n: u32, v: u32| json!({ "n": n, "v": v });
        let (service, data) = match call.what {
            What::Open => ("CreateCollection".to_owned(), Value::Null),
            What::Close => ("DeleteCollection".to_owned(), Value::Null),
            What::Add(n) => (format!("AddDocument<{shelf}>"), document(n, 0)),
            What::Update(n, v) => {
                let id = lock(&self.ids).get(&n).map(|(_, id)| id.clone()).unwrap_or_default();
                (format!("UpdateDocument<{shelf}>"), json!({ "_id": id, "n": n, "v": v }))
            }
            What::DeleteExact(n, v) => (format!("DeleteDocument<{shelf}>"), document(n, v)),
            What::DeleteRange(low, high) => {
                (format!("DeleteDocument<{shelf}>"), json!({ "n": { "$gte": low, "$lt": high } }))
            }
            What::ReadAll => (format!("ReadCollection<{shelf}>"), json!({ "limit": 1000 })),
            What::ReadFrom(low) => (format!("ReadDocument<{shelf}>"), json!({ "n": { "$gte": low } })),
        };
        let data = if data.is_null() { shelf.clone() } else { data.to_string() };
        match api.send_data(data.into_bytes(), &service).await {
            Ok(answer) => match self.understood(call, &answer) {
                Some(said) => Outcome::Ok(said),
                None => {
                    let answer = String::from_utf8_lossy(&answer);
                    lock(&self.spoiled).push(format!("{call:?} was answered {answer}"));
                    Outcome::Unknown("an answer that makes no sense".into())
                }
            },
            Err(error) => refusal(&error),
        }
    }

    fn understood(&self, call: &Call, answer: &[u8]) -> Option<Said> {
        let value = || serde_json::from_slice::<Value>(answer).ok();
        match call.what {
            What::Open | What::Close | What::Update(..) => Some(Said::Done),
            What::Add(number) => {
                let id = String::from_utf8(answer.to_vec()).ok()?;
                lock(&self.ids).insert(number, (call.shelf.clone(), id));
                Some(Said::Done)
            }
            What::DeleteExact(..) | What::DeleteRange(..) => {
                Some(Said::Deleted(value()?["deleted"].as_u64()?))
            }
            What::ReadAll => documents(&value()?["documents"]),
            What::ReadFrom(_) => documents(&value()?),
        }
    }

    /// Encrypts, and decrypts, perhaps at another node: what comes back is what was sent.
    async fn image(&self, api: &Client, rng: &mut Rng) {
        let image: Vec<u8> = (0..rng.between(0, 3_000)).map(|n| n as u8).collect();
        let Ok(sealed) = api.send_data(image.clone(), "Encrypt").await else { return };
        let fits = match api.send_data(sealed, "Decrypt").await {
            Ok(opened) => opened == image,
            // Nobody answered in time.
            Err(SendError::Unanswered(_) | SendError::Unreached(_)) => true,
            Err(SendError::Refused { status, .. }) => status >= 429,
        };
        if !fits {
            lock(&self.spoiled).push("an encrypted image did not come back as it was".into());
        }
    }

    /// Everything that is stored; `None` if it cannot be read in time.
    async fn final_state(self, seat: Seat) -> Option<Stored> {
        let api = client(&seat, Transport::Bytes, Duration::from_secs(5));
        let deadline = Instant::now() + RECOVERY;
        // A write of unknown outcome may still arrive: what is read must have stood still.
        loop {
            match (read(&api).await, read(&api).await) {
                (Some(once), Some(again)) if once == again => {
                    self.look_again(&api, seat.number, &again).await;
                    return Some(again);
                }
                _ if Instant::now() < deadline => time::sleep(PAUSE).await,
                _ => return None,
            }
        }
    }

    /// Reads each shelf as clients do: what is stored in the end has its place in the order too.
    async fn look_again(&self, api: &Client, client: u32, stored: &Stored) {
        for shelf in stored.shelves.keys() {
            let call = Call { shelf: shelf.clone(), what: What::ReadAll };
            let id = self.recorder.call(client, call.clone());
            let outcome = self.ask(api, &call).await;
            self.recorder.answer(id, outcome);
        }
    }
}

fn numbers(document: &Value) -> Option<(u32, u32)> {
    let number = |field: &str| document[field].as_u64()?.try_into().ok();
    Some((number("n")?, number("v")?))
}

fn documents(list: &Value) -> Option<Said> {
    let mut found: Vec<(u32, u32)> = list.as_array()?.iter().map(numbers).collect::<Option<_>>()?;
    found.sort_unstable();
    Some(Said::Documents(found))
}

/// What the state machine said when it refused; or that it was somebody else who did.
fn refusal(error: &SendError) -> Outcome<Said> {
    match error {
        SendError::Refused { problem, .. } => {
            let code: Option<Value> = serde_json::from_str(problem).ok();
            match code.as_ref().and_then(|problem| problem["code"].as_str()) {
                Some("known") => Outcome::Ok(Said::Known),
                Some("unknown-collection") => Outcome::Ok(Said::NoShelf),
                Some("unknown-document") => Outcome::Ok(Said::Nothing),
                _ => Outcome::Rejected(error.to_string()),
            }
        }
        SendError::Unreached(_) => Outcome::Rejected(error.to_string()),
        SendError::Unanswered(_) => Outcome::Unknown(error.to_string()),
    }
}

/// The shelves and their documents, page by page.
async fn read(api: &Client) -> Option<Stored> {
    let stats = String::from_utf8(api.send_data(Vec::new(), "Stats").await.ok()?).ok()?;
    let data = stats.lines().find_map(|line| line.strip_prefix("DB Data: "))?;
    let entry = |text: &str| {
        let (name, count) = text.split_once(": ")?;
        Some((name.to_owned(), count.strip_suffix(" entries")?.parse().ok()?))
    };
    let mut stored = Stored { counted: data.split(", ").filter_map(entry).collect(), ..Stored::default() };
    for shelf in stored.counted.keys().filter(|name| name.starts_with("shelf-")) {
        let mut found = Vec::new();
        let mut page = json!({ "limit": 7 });
        loop {
            let answer = api.send_data(page.to_string().into(), &format!("ReadCollection<{shelf}>")).await;
            let answer: Value = serde_json::from_slice(&answer.ok()?).ok()?;
            for document in answer["documents"].as_array()? {
                let (number, version) = numbers(document)?;
                found.push((document["_id"].as_str()?.to_owned(), number, version));
            }
            let Some(next) = answer["next"].as_str() else { break };
            page = json!({ "limit": 7, "after": next });
        }
        stored.shelves.insert(shelf.clone(), found);
    }
    Some(stored)
}
