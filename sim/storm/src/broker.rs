//! A message broker on a machine of its own, for MetricStream's queues: streams of numbered messages, asked
//! over HTTP.
//!
//! It keeps what it has acknowledged, and is no better than it must be beyond that: it loses answers to what
//! it has done, gives fewer messages than it has, and takes what comes twice for two requests. Links to it
//! fail as those of clients do.

use crate::scenario::Knobs;
use apps::metricstream::queue::{Answer, Broker, BrokerError, Brokers, Last, Message, Page, Published};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http::{Request, StatusCode};
use rt::net::TcpListener;
use rt::sim::World;
use rt::sim::machine::MachineId;
use rt::time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Name of its machine.
pub(crate) const MACHINE: &str = "broker";
/// Its address.
pub(crate) const HOST: &str = "10.0.2.1:4222";
/// The stream that clusters take in.
pub(crate) const IN: &str = "in";
/// The stream that clusters publish to.
pub(crate) const OUT: &str = "out";
/// What subjects there begin with.
pub(crate) const SUBJECT: &str = "points";

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes after which an answer takes no further message: a world of short writes is slow with large ones.
const PAGE: usize = 8 << 10;
/// One request in so many has its answer lost.
const LOST: u64 = 25;
/// One message in so many is sent twice.
const TWICE: u64 = 10;

/// A message as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    subject: String,
    /// Without `after`, the same id is taken once.
    id: String,
    /// Whose points it holds.
    pub partition: u64,
    /// Number of the first one.
    pub first: u64,
    /// How many there are.
    pub count: u64,
    /// The newest message that its subject must have.
    after: Option<u64>,
    /// Its body.
    pub body: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Asked {
    Read { stream: String, after: u64, most: usize, most_bytes: usize },
    Last { stream: String, subject: String },
    Publish { stream: String, message: Kept },
    All { stream: String, from: usize },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Told {
    Page { messages: Vec<(u64, String)>, covered: u64, last: u64 },
    Last(Option<(u64, u64)>),
    At(u64),
    WrongLast,
    All(Vec<Kept>),
}

/// Streams by name; the first message of each is number 1.
type Streams = Arc<Mutex<BTreeMap<String, Vec<Kept>>>>;

/// The broker's machine, if the knobs want one.
pub(crate) fn place(world: &Arc<World>, knobs: &Knobs) -> Option<MachineId> {
    if !knobs.has_broker() {
        return None;
    }
    let streams = Streams::default();
    let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 1));
    Some(world.add_machine(MACHINE, ip, move || serve(streams.clone())))
}

async fn serve(streams: Streams) {
    let Ok(listener) = TcpListener::bind(HOST).await else { return };
    let router = Router::new().route("/ask", post(ask)).with_state(streams);
    let Ok(_server) = rt::http::serve(listener, router, rt::http::ServeOptions::default()) else { return };
    std::future::pending::<()>().await;
}

fn one_in(many: u64) -> bool {
    rt::random::u64().is_multiple_of(many)
}

async fn ask(State(streams): State<Streams>, Json(asked): Json<Asked>) -> Result<Json<Told>, StatusCode> {
    let told = tell(&mut streams.lock().unwrap_or_else(PoisonError::into_inner), asked);
    if one_in(LOST) {
        if one_in(2) {
            time::sleep(PATIENCE * 2).await;
        }
        return Err(StatusCode::BAD_GATEWAY);
    }
    Ok(Json(told))
}

fn tell(streams: &mut BTreeMap<String, Vec<Kept>>, asked: Asked) -> Told {
    match asked {
        Asked::Read { stream, after, most, most_bytes } => {
            let kept = streams.entry(stream).or_default();
            let fewer = 1 + rt::random::u64() % most.max(1) as u64;
            let (mut messages, mut bytes) = (Vec::new(), 0);
            let new = (1u64..).zip(kept.iter()).skip(usize::try_from(after).unwrap_or(usize::MAX));
            for (seq, message) in new.take(usize::try_from(fewer).unwrap_or(1)) {
                bytes += message.body.len();
                messages.push((seq, message.body.clone()));
                if bytes >= most_bytes {
                    break;
                }
            }
            let covered = messages.last().map_or(after, |(seq, _)| *seq);
            Told::Page { messages, covered, last: kept.len() as u64 }
        }
        Asked::Last { stream, subject } => {
            let kept = streams.entry(stream).or_default();
            let last = (1u64..).zip(kept.iter()).filter(|(_, message)| message.subject == subject).last();
            Told::Last(last.map(|(seq, message)| (seq, message.first + message.count)))
        }
        Asked::Publish { stream, message } => {
            let kept = streams.entry(stream).or_default();
            let own = |(_, other): &(u64, &Kept)| other.subject == message.subject;
            let last = (1u64..).zip(kept.iter()).filter(own).last().map_or(0, |(seq, _)| seq);
            if message.after.is_some_and(|after| after != last) {
                return Told::WrongLast;
            }
            let known = kept.iter().position(|other| other.id == message.id);
            if let Some(known) = known.filter(|_| message.after.is_none()) {
                return Told::At(known as u64 + 1);
            }
            kept.push(message);
            Told::At(kept.len() as u64)
        }
        Asked::All { stream, from } => {
            let mut bytes = 0;
            let page = streams.get(&stream).into_iter().flatten().skip(from).take_while(|message| {
                let room = bytes < PAGE;
                bytes += message.body.len();
                room
            });
            Told::All(page.cloned().collect())
        }
    }
}

/// Where simulated nodes have their brokers from.
pub(crate) fn brokers() -> Brokers {
    Brokers::new(|url| Arc::new(Client::new(url.trim_start_matches("nats://"))))
}

/// Somebody who asks it.
pub(crate) struct Client {
    host: String,
    http: rt::http::Client,
}

impl Client {
    pub(crate) fn new(host: &str) -> Self {
        Client { host: host.into(), http: rt::http::Client::new(rt::http::ClientOptions::default()) }
    }

    async fn ask(&self, asked: &Asked) -> Result<Told, BrokerError> {
        let text = |error: &dyn std::fmt::Display| BrokerError(error.to_string());
        let body = serde_json::to_vec(asked).map_err(|error| text(&error))?;
        let request = Request::post("/ask").header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(Bytes::from(body)).map_err(|error| text(&error))?;
        if matches!(asked, Asked::Publish { .. }) && one_in(TWICE) {
            // As a network does that repeats what it was given: nobody hears the first answer.
            let _ = self.http.send(&self.host, request.clone(), PATIENCE).await;
        }
        let answer = self.http.send(&self.host, request, PATIENCE).await.map_err(|error| text(&error))?;
        if !answer.status().is_success() {
            return Err(text(&answer.status()));
        }
        serde_json::from_slice(answer.body()).map_err(|error| text(&error))
    }

    /// Puts a message into [`IN`], once under an id.
    pub(crate) async fn put(&self, id: &str, body: &str) -> Result<(), BrokerError> {
        let (subject, id, body) = ("any".into(), id.into(), body.into());
        let message = Kept { subject, id, partition: 0, first: 0, count: 0, after: None, body };
        self.ask(&Asked::Publish { stream: IN.into(), message }).await.map(drop)
    }

    /// All messages of [`OUT`].
    pub(crate) async fn all(&self) -> Result<Vec<Kept>, BrokerError> {
        let (mut all, mut failures) = (Vec::new(), 0);
        loop {
            match self.ask(&Asked::All { stream: OUT.into(), from: all.len() }).await {
                Ok(Told::All(kept)) if kept.is_empty() => return Ok(all),
                Ok(Told::All(kept)) => all.extend(kept),
                Ok(other) => return Err(strange(&other)),
                Err(error) if failures > 5 => return Err(error),
                Err(_) => failures += 1,
            }
        }
    }
}

fn strange(told: &Told) -> BrokerError {
    BrokerError(format!("a strange answer: {told:?}"))
}

impl Broker for Client {
    fn read<'a>(&'a self, stream: &'a str, after: u64, most: usize, most_bytes: usize) -> Answer<'a, Page> {
        Box::pin(async move {
            let asked = Asked::Read { stream: stream.into(), after, most, most_bytes };
            match self.ask(&asked).await? {
                Told::Page { messages, covered, last } => {
                    let messages = messages.into_iter().map(|(seq, body)| (seq, Bytes::from(body))).collect();
                    Ok(Page { messages, covered, first: 1, last })
                }
                other => Err(strange(&other)),
            }
        })
    }

    fn last<'a>(&'a self, stream: &'a str, subject: &'a str) -> Answer<'a, Option<Last>> {
        Box::pin(async move {
            match self.ask(&Asked::Last { stream: stream.into(), subject: subject.into() }).await? {
                Told::Last(last) => Ok(last.map(|(seq, next)| Last { seq, next: Some(next) })),
                other => Err(strange(&other)),
            }
        })
    }

    fn publish<'a>(&'a self, message: &'a Message) -> Answer<'a, Published> {
        Box::pin(async move {
            let Message { stream, subject, id, partition, first, count, after, body } = message.clone();
            let body = String::from_utf8_lossy(&body).into_owned();
            let message = Kept { subject, id, partition, first, count, after: Some(after), body };
            match self.ask(&Asked::Publish { stream, message }).await? {
                Told::At(seq) => Ok(Published::At(seq)),
                Told::WrongLast => Ok(Published::WrongLast),
                other => Err(strange(&other)),
            }
        })
    }

    fn prepare<'a>(&'a self, _stream: &'a str, _subject: &'a str) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
