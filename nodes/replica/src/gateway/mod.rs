//! Writes and reads from any node to the leader of any group.
//!
//! Writes to a group that wait together go together, as one batch. A batch goes to the node that was
//! last known to lead, and follows hints. It is sent again only when it certainly was not done; or when
//! it carries an idempotency key.

mod batch;
mod route;

use crate::directory::Directory;
use crate::envelope::{Answer, Envelope};
use crate::frame::{Consistency, Refusal, Request, Response};
use crate::members::Target;
use crate::options::{GroupSpec, ReplicaOptions};
use crate::{GroupId, NodeId};
use batch::Batcher;
use route::Attempt;
pub(crate) use route::Routes;
use rt::task::TaskGroup;
use rt::time::{self, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Why a write has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Too much to do. Nothing was done.
    #[error("too many writes are waiting")]
    Busy,
    /// No leader was found in time. Nothing was done.
    #[error("no leader of the partition could be reached in time")]
    Unavailable,
    /// It may have been done, may still be, or never will.
    #[error("the outcome of the write is unknown")]
    Unknown,
    /// The idempotency key belongs to another write. Nothing was done.
    #[error("the idempotency key was used for another write")]
    KeyReused,
    /// There is no such group.
    #[error("no such partition")]
    NoGroup,
}

/// Why a read has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No replica that may answer was reached in time.
    #[error("no replica that may answer could be reached in time")]
    Unavailable,
    /// Too much to do.
    #[error("too many reads are waiting")]
    Busy,
    /// There is no such group.
    #[error("no such partition")]
    NoGroup,
}

/// A write's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Index of its entry in the group's log.
    pub index: u64,
    /// The state machine's answer.
    pub answer: Vec<u8>,
}

/// A read's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAnswer {
    /// Index that the answering replica had applied.
    pub applied: u64,
    /// The state machine's answer.
    pub answer: Vec<u8>,
}

/// A write on its way.
struct Write {
    envelope: Envelope,
    deadline: Instant,
    reply: oneshot::Sender<Result<Written, WriteError>>,
}

/// The way to all groups. Clones share it.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    routes: Routes,
    options: ReplicaOptions,
    queues: Mutex<BTreeMap<GroupId, mpsc::Sender<Write>>>,
    /// Stops the batchers with the replica.
    batchers: TaskGroup,
}

impl Gateway {
    pub(crate) fn new(options: &ReplicaOptions, routes: Routes) -> Self {
        let shared = Shared {
            routes,
            options: options.clone(),
            queues: Mutex::default(),
            batchers: TaskGroup::default(),
        };
        Gateway { shared: Arc::new(shared) }
    }

    /// Makes known where a group lives, or lives now.
    pub fn place_group(&self, spec: &GroupSpec) {
        let mut queues = self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.routes.place(spec);
        if queues.contains_key(&spec.group) {
            return;
        }
        let (queue, receiver) = mpsc::channel(self.shared.options.gateway_queue);
        let batcher = Batcher::new(spec.group, self.shared.routes.clone(), &self.shared.options);
        self.shared.batchers.spawn(batcher.run(receiver));
        queues.insert(spec.group, queue);
    }

    /// Groups known here.
    pub fn groups(&self) -> Vec<GroupId> {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Puts a command into a group's log and waits for its answer until `deadline` at the latest.
    ///
    /// # Errors
    /// [`WriteError`]; only [`WriteError::Unknown`] leaves open whether it was done.
    pub async fn write(
        &self,
        group: GroupId,
        envelope: Envelope,
        deadline: Instant,
    ) -> Result<Written, WriteError> {
        let (reply, answer) = oneshot::channel();
        {
            let queues = self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = queues.get(&group).ok_or(WriteError::NoGroup)?;
            queue.try_send(Write { envelope, deadline, reply }).map_err(|_| WriteError::Busy)?;
        }
        match time::timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            // The batcher ended with it, or the time is up with the write somewhere on its way.
            Ok(Err(_)) | Err(time::Elapsed) => Err(WriteError::Unknown),
        }
    }

    /// Asks a group's state machine, until `deadline` at the latest.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(
        &self,
        group: GroupId,
        query: Vec<u8>,
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<ReadAnswer, ReadError> {
        let asking = self.ask_until_answered(group, query, consistency);
        time::timeout_at(deadline, asking).await.unwrap_or(Err(ReadError::Unavailable))
    }

    async fn ask_until_answered(
        &self,
        group: GroupId,
        query: Vec<u8>,
        consistency: Consistency,
    ) -> Result<ReadAnswer, ReadError> {
        let routes = &self.shared.routes;
        let mut pause = route::FIRST_PAUSE;
        let mut nearest = consistency == Consistency::Stale;
        loop {
            let node = if nearest { routes.nearest(group) } else { routes.leader(group) };
            // A replica here that cannot answer is not asked twice.
            nearest = false;
            let node = node.ok_or(ReadError::NoGroup)?;
            let request = Request::Read { group, query: query.clone(), consistency };
            // A read has no effect: whatever went wrong, it may be asked again.
            match routes.attempt(group, node, request, self.read_patience()).await {
                Attempt::Answered(Response::Read { applied, answer }) => {
                    return Ok(ReadAnswer { applied, answer });
                }
                Attempt::Answered(Response::Refused(Refusal::Busy)) => return Err(ReadError::Busy),
                Attempt::Answered(Response::Refused(Refusal::NotLeader { leader })) => {
                    routes.learn(group, node, leader);
                }
                _ => routes.learn(group, node, None),
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(route::LONGEST_PAUSE);
        }
    }

    /// Asks a group's leader for a change of its members, until `deadline` at the latest. Asked again it
    /// does nothing twice. `None` if no leader answered in time.
    pub async fn reconfigure(&self, target: Target, deadline: Instant) -> Option<Response> {
        self.ask_leader(target.group, Request::Reconfigure(target), deadline).await
    }

    /// Asks a group's leader who belongs to it, until `deadline` at the latest.
    pub async fn members(&self, group: GroupId, deadline: Instant) -> Option<Response> {
        self.ask_leader(group, Request::Members { group }, deadline).await
    }

    async fn ask_leader(&self, group: GroupId, request: Request, deadline: Instant) -> Option<Response> {
        let routes = &self.shared.routes;
        let asking = async {
            loop {
                let node = routes.leader(group)?;
                match routes.attempt(group, node, request.clone(), self.read_patience()).await {
                    Attempt::Answered(Response::Refused(Refusal::NotLeader { leader })) => {
                        routes.learn(group, node, leader);
                    }
                    Attempt::Answered(Response::Refused(Refusal::NoReplica))
                    | Attempt::NotSent
                    | Attempt::Lost => routes.learn(group, node, None),
                    Attempt::Answered(response) => return Some(response),
                }
                time::sleep(route::LONGEST_PAUSE).await;
            }
        };
        time::timeout_at(deadline, asking).await.ok().flatten()
    }

    /// What is known of the cluster's nodes.
    pub fn directory(&self) -> Directory {
        self.shared.routes.transport().directory()
    }

    /// True if `node` can be sent to, and was met where it is thought to be when it was last looked for.
    pub fn reaches(&self, node: NodeId) -> bool {
        self.shared.routes.transport().reaches(node)
    }

    /// What another node says of the nodes' addresses, from its table of that version.
    pub fn hear(&self, version: u64, addresses: BTreeMap<NodeId, String>) {
        self.shared.routes.transport().hear(version, addresses);
    }

    /// Newer news of the cluster's nodes.
    pub fn learn(&self, directory: Directory) {
        self.shared.routes.transport().learn(directory);
    }

    /// Whoever has no replica here asks these before others, where an older answer will do.
    pub fn neighbours(&self, nodes: BTreeSet<NodeId>) {
        self.shared.routes.neighbours(nodes);
    }

    /// How long one replica may take for a read before another is asked.
    fn read_patience(&self) -> Duration {
        self.shared.options.tick * self.shared.options.election_ticks as u32
    }
}

/// What an answer to a proposal means for one of its writes.
fn written(index: u64, answer: Answer) -> Result<Written, WriteError> {
    match answer {
        Answer::Applied(answer) => Ok(Written { index, answer }),
        Answer::KeyReused => Err(WriteError::KeyReused),
    }
}

/// A node id as a hint.
type Hint = Option<NodeId>;
