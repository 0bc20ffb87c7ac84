//! Who leads which group, as far as this node knows, and one attempt to ask somebody.

use super::Hint;
use crate::driver::Event;
use crate::frame::{Request, Response};
use crate::options::GroupSpec;
use crate::transport::{self, Failure, ReplyTo, Transport};
use crate::{GroupId, NodeId};
use rt::time;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(5);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How long whoever was asked may still answer once another one leads.
const LAST_WORD: Duration = Duration::from_millis(200);

/// What came of one attempt.
pub(super) enum Attempt {
    /// An answer, or a clear refusal.
    Answered(Response),
    /// It certainly did not arrive.
    NotSent,
    /// It may have arrived.
    Lost,
}

#[derive(Clone)]
pub(crate) struct Routes {
    node: NodeId,
    events: mpsc::Sender<Event>,
    transport: Arc<Transport>,
    known: Arc<Mutex<BTreeMap<GroupId, Known>>>,
    /// Nodes that are nearer than others.
    neighbours: Arc<Mutex<BTreeSet<NodeId>>>,
}

struct Known {
    replicas: Vec<NodeId>,
    voters: Vec<NodeId>,
    leader: NodeId,
    /// Newest term that a leader was heard of.
    term: u64,
    /// Told when a leader was heard of: who still waits for another one need not.
    news: Arc<Notify>,
}

impl Routes {
    pub(crate) fn new(node: NodeId, events: mpsc::Sender<Event>, transport: Arc<Transport>) -> Self {
        Routes { node, events, transport, known: Arc::default(), neighbours: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a group lives, or should: who leads it is learnt by asking.
    pub(super) fn place(&self, spec: &GroupSpec) {
        let replicas: Vec<NodeId> = spec.voters.iter().chain(&spec.learners).copied().collect();
        let voters = spec.voters.clone();
        match self.lock().entry(spec.group) {
            Entry::Vacant(vacant) => {
                let leader = spec.home;
                vacant.insert(Known { replicas, voters, leader, term: 0, news: Arc::default() });
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                (known.replicas, known.voters) = (replicas, voters);
                if known.leader != self.node && !self.transport.knows(known.leader) {
                    known.leader = spec.home;
                }
            }
        }
    }

    /// The connections to other nodes.
    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(super) fn leader(&self, group: GroupId) -> Option<NodeId> {
        self.lock().get(&group).map(|known| known.leader)
    }

    /// From now on these are nearer than others.
    pub(super) fn neighbours(&self, nodes: BTreeSet<NodeId>) {
        *self.neighbours.lock().unwrap_or_else(PoisonError::into_inner) = nodes;
    }

    /// This node if it has a replica, else a neighbour that has one and is reached, else the one that was
    /// last known to lead.
    pub(super) fn nearest(&self, group: GroupId) -> Option<NodeId> {
        let known = self.lock();
        let known = known.get(&group)?;
        if known.replicas.contains(&self.node) {
            return Some(self.node);
        }
        let neighbours = self.neighbours.lock().unwrap_or_else(PoisonError::into_inner);
        let near = |node: &&NodeId| neighbours.contains(node) && self.transport.reaches(**node);
        let near = known.replicas.iter().find(near);
        Some(near.copied().unwrap_or(known.leader))
    }

    /// `node` says that it leads `group` in `term`.
    pub(crate) fn leads(&self, group: GroupId, node: NodeId, term: u64) {
        let mut known = self.lock();
        let Some(known) = known.get_mut(&group) else { return };
        if term > known.term {
            known.term = term;
            known.leader = node;
            known.news.notify_waiters();
        } else if term == known.term {
            known.leader = node;
        }
    }

    /// `asked` does not lead: believe its hint, or try the next voter.
    pub(super) fn learn(&self, group: GroupId, asked: NodeId, hint: Hint) {
        let mut known = self.lock();
        let Some(known) = known.get_mut(&group) else { return };
        if known.leader != asked {
            // Somebody else has learnt something newer.
            return;
        }
        let place = known.voters.iter().position(|voter| *voter == asked).map_or(0, |place| place + 1);
        let next = known.voters.get(place).or(known.voters.first()).copied();
        // While members change, a leader need not be among those that the placement names.
        let can_be_asked = |leader: NodeId| leader == self.node || self.transport.knows(leader);
        let hint = hint.filter(|leader| *leader != asked && can_be_asked(*leader));
        rt::sometimes!(hint.is_some(), "gateway: a refusal named the leader");
        known.leader = hint.or(next).unwrap_or(asked);
    }

    /// Asks `node`, for `patience` at the longest, and no longer than it is believed to lead.
    pub(super) async fn attempt(
        &self,
        group: GroupId,
        node: NodeId,
        request: Request,
        patience: Duration,
    ) -> Attempt {
        let news = self.lock().get(&group).map(|known| known.news.clone());
        let Some(news) = news else { return Attempt::NotSent };
        let another_leads = async {
            loop {
                news.notified().await;
                if self.leader(group) != Some(node) {
                    return;
                }
            }
        };
        let mut asked = std::pin::pin!(self.ask(node, request, patience));
        rt::select! {
            attempt = asked.as_mut() => return attempt,
            () = another_leads => {}
        }
        // One that was deposed in peace soon hears from its successor what became of what it was told.
        time::timeout(LAST_WORD, asked).await.unwrap_or(Attempt::Lost)
    }

    async fn ask(&self, node: NodeId, request: Request, patience: Duration) -> Attempt {
        if node == self.node {
            let (waiting, answer) = oneshot::channel();
            transport::submit(&self.events, Event::Request { request, reply: ReplyTo::Local(waiting) });
            return match time::timeout(patience, answer).await {
                Ok(Ok(response)) => Attempt::Answered(response),
                _ => Attempt::Lost,
            };
        }
        rt::reachable!("gateway: a request was forwarded to another node");
        match time::timeout(patience, self.transport.request(node, request)).await {
            Ok(Ok(response)) => Attempt::Answered(response),
            Ok(Err(Failure::NotSent)) => Attempt::NotSent,
            Ok(Err(Failure::Lost)) | Err(time::Elapsed) => Attempt::Lost,
        }
    }
}
