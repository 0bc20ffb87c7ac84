//! The cluster's systems as simulated clients use them, each with its judges.
//!
//! | module | what its clients do | what is judged |
//! |---|---|---|
//! | [`raftmetrics`] | append to series, read values and aggregates | durability, exactly once, conservation, real-time reads, append order |
//! | [`metricstream`] | post batches, count, read windows and statistics | durability, exactly once, conservation, real-time reads |
//! | [`raft3d`] | open shops, print jobs, move the leadership | linearizability of each shop, conservation of weights, durability |
//! | [`distri`] | fill shelves with documents, change and delete them, by ranges too; encrypt | linearizability of each shelf, durability, exactly once, conservation |
//! | [`analytics`] | insert in three forms, ask for averages | durability, exactly once, conservation, real-time reads |
//!
//! A new one is a file here, a line in [`SYSTEMS`], and a scenario of its name in [`crate::scenario`].

pub mod analytics;
pub mod distri;
pub mod metricstream;
pub mod raft3d;
pub mod raftmetrics;

use crate::scenario::{Knobs, TOKEN, api_of};
use check::Violation;
use check::history::{Operation, Outcome};
use rt::sim::World;
use rt::sim::rng::Rng;
use serde::Serialize;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A future of its own.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A system under load.
pub trait System: Send + Sync {
    /// Runs one client until [`Seat::stop`] is set.
    fn client(&self, seat: Seat) -> Boxed<()>;

    /// Reads what is stored, after everything was healed and every client has ended. False if it could not
    /// be read within [`crate::aftermath::RECOVERY`] a read.
    fn collect(&self, seat: Seat) -> Boxed<bool>;

    /// What was wrong, once everything is collected. Runs outside the simulation.
    fn judge(&self) -> Vec<Violation>;

    /// What the clients did, for counts and the timeline, in the order of the calls.
    fn deeds(&self) -> Vec<Deed>;

    /// What the clients did and saw in full, a line of JSON an operation (see [`json_lines`]).
    fn history(&self) -> Vec<String>;
}

/// Reads what is stored, and keeps it for the judges.
fn keep<T: Send + Sync + 'static>(
    reading: impl Future<Output = Option<T>> + Send + 'static,
    stored: Arc<OnceLock<T>>,
) -> Boxed<bool> {
    Box::pin(async move { reading.await.is_some_and(|found| stored.set(found).is_ok()) })
}

/// Operations as lines of JSON.
pub fn json_lines<C: Serialize, A: Serialize>(operations: &[Operation<C, A>]) -> Vec<String> {
    // Numbers that JSON does not know are written as null: plain data has no other way to fail.
    operations.iter().map(|operation| serde_json::to_string(operation).unwrap_or_default()).collect()
}

/// Where a client sits.
#[derive(Clone)]
pub struct Seat {
    /// Number of the client, from 0.
    pub number: u32,
    /// API addresses of all nodes.
    pub endpoints: Vec<String>,
    /// Token.
    pub token: String,
    /// The client's own randomness.
    pub rng: Rng,
    /// Mean pause between two operations of one client.
    pub pause: Duration,
    /// Tells clients to stop.
    pub stop: Arc<AtomicBool>,
}

impl Seat {
    /// The seat of client `number` in a scenario.
    pub(crate) fn new(knobs: &Knobs, number: u32, rng: Rng, stop: Arc<AtomicBool>) -> Self {
        let rate = u32::try_from(knobs.get("operations_per_second", 50).max(1)).unwrap_or(u32::MAX);
        let clients = u32::try_from(knobs.clients()).unwrap_or(1);
        let endpoints = knobs.nodes().into_iter().map(api_of).collect();
        Seat {
            number,
            endpoints,
            token: TOKEN.into(),
            rng,
            pause: Duration::from_secs(1) * clients / rate,
            stop,
        }
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered.
    Ok,
    /// Refused: without effect.
    Rejected,
    /// Nobody knows.
    Unknown,
}

impl Fate {
    /// As reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Ok => "ok",
            Fate::Rejected => "rejected",
            Fate::Unknown => "unknown",
        }
    }
}

/// An operation as a dot in the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When it was called.
    pub begin_ns: u64,
    /// When its answer came, if one came.
    pub end_ns: Option<u64>,
    /// How it ended.
    pub fate: Fate,
    /// True for a write.
    pub write: bool,
}

impl Deed {
    /// The dot of an operation.
    pub fn of<C, A>(operation: &Operation<C, A>, write: bool) -> Self {
        let fate = match operation.outcome {
            Outcome::Ok(_) => Fate::Ok,
            Outcome::Rejected(_) => Fate::Rejected,
            Outcome::Unknown(_) => Fate::Unknown,
        };
        Deed { begin_ns: operation.begin_ns, end_ns: operation.end_ns, fate, write }
    }
}

/// Puts a system into a world.
pub type Make = fn(&Arc<World>, &Knobs) -> Arc<dyn System>;

/// All systems by name.
pub const SYSTEMS: &[(&str, Make)] = &[
    ("raftmetrics", raftmetrics::make),
    ("metricstream", metricstream::make),
    ("raft3d", raft3d::make),
    ("analytics", analytics::make),
    ("distri", distri::make),
];

/// The system of that name; the first one if there is none.
pub fn named(name: &str) -> Make {
    SYSTEMS.iter().find(|(known, _)| *known == name).unwrap_or(&SYSTEMS[0]).1
}

/// True for a state that only clients of another system than `name` lead to: states of an app begin with
/// its name and a colon.
pub fn is_foreign(state: &str, name: &str) -> bool {
    let app = state.split(':').next().unwrap_or_default();
    app != name && apps::APPS.iter().any(|known| known.name == app)
}
