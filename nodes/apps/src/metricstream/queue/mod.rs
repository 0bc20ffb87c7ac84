//! Message queues: points come in from a stream of a broker, and go out to one, each exactly once.
//!
//! A broker is seen as a log of numbered messages ([`Broker`]). Nothing is acknowledged and no consumer is kept
//! there: how far a stream was taken in lies in each partition, beside the points (see
//! `feed` and `sources`), and how far points went out is what the last message out says
//! (`publish`). So whoever feeds or publishes may die anywhere, and two of them at once do no harm.
//!
//! `nats` is the broker of a build with that feature; a simulation brings its own.

mod config;
mod feed;
mod gauges;
#[cfg(feature = "nats")]
mod nats;
mod publish;

pub(super) use config::check;
pub use config::{QueueIn, QueueOut};
pub(super) use gauges::measure;

use super::APP;
use super::command::{Command, Part, Reply};
use super::query::Query;
use super::settings::Settings;
use crate::META_GROUP;
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use bytes::Bytes;
use replica::GroupId;
use replica::frame::Consistency;
use rt::task::TaskGroup;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Pause when there was nothing to do.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause after something went wrong, and between two looks at who is on duty.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// A broker's answer on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, BrokerError>> + Send + 'a>>;

/// Why a broker has not answered. What was asked of it may have happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BrokerError(pub String);

/// Some messages of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The next messages in order, with their numbers.
    pub messages: Vec<(u64, Bytes)>,
    /// There are no others up to this number.
    pub covered: u64,
    /// Number of the oldest message that the stream still holds; one more than `last` if it holds none.
    pub first: u64,
    /// Number of the newest message that the stream ever held.
    pub last: u64,
}

/// The newest message of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its number in the stream.
    pub seq: u64,
    /// Number of the first point that it does not hold; `None` if it is no message of ours.
    pub next: Option<u64>,
}

/// A message with points of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Stream.
    pub stream: String,
    /// Subject in it.
    pub subject: String,
    /// The same for the same first point, and for no other.
    pub id: String,
    /// Partition.
    pub partition: GroupId,
    /// Number of the first point.
    pub first: u64,
    /// Points.
    pub count: u64,
    /// Number of the subject's newest message, on which alone this one may follow; 0 if there is none.
    pub after: u64,
    /// A body of `POST /metrics`.
    pub body: Bytes,
}

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is in the stream, under this number.
    At(u64),
    /// The subject's newest message is another one. Nothing was done.
    WrongLast,
}

/// Streams of numbered messages.
pub trait Broker: Send + Sync {
    /// Messages beyond number `after`: so many at most, and fewer if they have more than so many bytes.
    fn read<'a>(&'a self, stream: &'a str, after: u64, most: usize, most_bytes: usize) -> Answer<'a, Page>;

    /// The newest message of a subject.
    fn last<'a>(&'a self, stream: &'a str, subject: &'a str) -> Answer<'a, Option<Last>>;

    /// Appends a message, if the subject's newest one is the one that it names.
    fn publish<'a>(&'a self, message: &'a Message) -> Answer<'a, Published>;

    /// Makes the stream for a subject's messages, unless it is there.
    fn prepare<'a>(&'a self, stream: &'a str, subject: &'a str) -> Answer<'a, ()>;
}

/// Makes the broker at an address.
type Connect = dyn Fn(&str) -> Arc<dyn Broker> + Send + Sync;

/// Where brokers come from.
#[derive(Clone)]
pub struct Brokers(Arc<Connect>);

impl fmt::Debug for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Brokers")
    }
}

impl Brokers {
    /// Brokers that `connect` makes of their addresses, without waiting for anything.
    pub fn new(connect: impl Fn(&str) -> Arc<dyn Broker> + Send + Sync + 'static) -> Self {
        Brokers(Arc::new(connect))
    }

    fn connect(&self, url: &str) -> Arc<dyn Broker> {
        (self.0)(url)
    }

    /// Those of a node: what it was started with, else those of the build.
    fn of(cluster: &Cluster) -> Option<Self> {
        let built: Option<Brokers> = None;
        #[cfg(feature = "nats")]
        let built = built.or_else(|| Some(Brokers::new(|url| Arc::new(nats::Nats::new(url)))));
        cluster.options().brokers.clone().or(built)
    }
}

/// Starts what the settings ask for.
pub(super) fn serve(cluster: &Cluster, tasks: &TaskGroup) {
    // Settings that make no sense have kept the node from starting.
    let (Ok(settings), Some(brokers)) = (Settings::of(cluster), Brokers::of(cluster)) else { return };
    if let Some(queue) = settings.queue_in {
        tasks.spawn(feed::run(cluster.clone(), brokers.connect(&queue.url), queue));
    }
    if let Some(queue) = settings.queue_out {
        tasks.spawn(publish::run(cluster.clone(), brokers.connect(&queue.url), queue));
    }
}

/// True on the node that leads the meta group: there is one most of the time, and soon another one when it is
/// gone. That there may be two for a moment is no matter.
async fn is_on_duty(cluster: &Cluster) -> bool {
    if rt::buggify!("metricstream: a queue has one more feeder") {
        return true;
    }
    cluster.status().await.groups.iter().any(|group| group.group == META_GROUP && group.leads)
}

/// Why there was nothing to be done.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the broker: {0}")]
    Broker(#[from] BrokerError),
    #[error("the cluster: {0}")]
    Cluster(#[from] ApiError),
    #[error("partition {0} refuses what is brought to it")]
    Refused(GroupId),
    #[error(
        "the stream {stream} ends at message {last}, and {at} were taken in: it was made anew, or has lost what \
         it had acknowledged; nothing is taken from it until `source` gives it another name"
    )]
    Shorter { stream: String, last: u64, at: u64 },
    #[error("the newest message of {0} is not ours; nothing is published there")]
    Foreign(String),
}

/// How far a partition has taken in a source.
async fn taken(cluster: &Cluster, group: GroupId, source: &str) -> Result<u64, ApiError> {
    let query = Query::Taken { source: source.to_owned() };
    Ok(cluster.query::<u64>(&APP, group, &query, Consistency::Linearizable).await?.0)
}

/// Brings a partition messages of a source; gives how far it is then, which is another number than `upto` if
/// somebody else was there before.
async fn bring(
    cluster: &Cluster,
    group: GroupId,
    source: &str,
    (after, upto): (u64, u64),
    part: Part<'_>,
) -> Result<u64, Trouble> {
    let command = Command::Fed { source, after, upto, part };
    match cluster.command(&APP, group, None, &command).await? {
        Reply::Done { .. } => Ok(upto),
        Reply::Elsewhere { at } => Ok(at),
        Reply::Invalid => Err(Trouble::Refused(group)),
    }
}

/// Tells of trouble once, and not again every half a second.
#[derive(Default)]
struct Told(Option<String>);

impl Told {
    fn tell(&mut self, what: &str, trouble: &Trouble) {
        let text = trouble.to_string();
        if self.0.as_ref() == Some(&text) {
            return;
        }
        tracing::warn!("{what} waits: {text}");
        self.0 = Some(text);
    }

    fn gone(&mut self, what: &str) {
        if self.0.take().is_some() {
            tracing::info!("{what} goes on");
        }
    }
}
