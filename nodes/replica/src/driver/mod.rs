//! The one loop that drives all raft groups of a node.
//!
//! A round: take what came (ticks, messages, requests), let raft decide, send what may go before the
//! disk, apply what is committed, write everything of all groups in **one transaction with one fsync**,
//! then send what had to wait for it. Only this folder calls raft-rs.

mod change;
mod create;
mod ready;
mod step;
#[cfg(test)]
mod tests;

use crate::frame::Request;
use crate::gateway::Routes;
use crate::group::Group;
use crate::machine::StateMachine;
use crate::members::Members;
use crate::observe::Step;
use crate::options::GroupSpec;
use crate::store::{Chunk, GroupRecord, Store, StoreError};
use crate::transport::{ReplyTo, Transport};
use crate::{GroupId, NodeId, ReplicaOptions};
use raft::eraftpb::Message;
use rt::time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Events taken in one round at most, so that a flood does not keep raft from the disk.
const EVENTS_PER_ROUND: usize = 4096;
/// Ticks between two looks for damage in the store.
const SCRUB_TICKS: u64 = 10;
/// Blocks of the store looked at each time.
const SCRUB_BLOCKS: u64 = 32;

/// What comes to the driver.
pub enum Event {
    /// A raft message from a peer.
    Raft {
        /// Who sent it.
        from: NodeId,
        /// Its group.
        group: GroupId,
        /// The message.
        message: Message,
    },
    /// A proposal or a read.
    Request {
        /// What is asked.
        request: Request,
        /// Who waits.
        reply: ReplyTo,
    },
    /// A node says that it leads a group.
    Leads {
        /// The node.
        node: NodeId,
        /// The group.
        group: GroupId,
        /// Its term.
        term: u64,
    },
    /// A peer cannot be reached.
    Unreachable {
        /// The peer.
        peer: NodeId,
        /// Its machine answered that nobody listens there: the peer's process is gone.
        refused: bool,
    },
    /// A piece of a snapshot came.
    SnapshotChunk {
        /// Who sent it.
        from: NodeId,
        /// Its group.
        group: GroupId,
        /// Names the transfer.
        transfer: u64,
        /// Counts from 0.
        number: u64,
        /// The piece.
        chunk: Chunk,
    },
    /// A snapshot is complete.
    SnapshotEnd {
        /// Who sent it.
        from: NodeId,
        /// Its group.
        group: GroupId,
        /// Names the transfer.
        transfer: u64,
        /// Number of chunks.
        chunks: u64,
        /// The raft message that announces it.
        message: Message,
    },
    /// A snapshot was sent, or was not.
    SnapshotSent {
        /// Its group.
        group: GroupId,
        /// To whom.
        peer: NodeId,
        /// Wholly.
        sent: bool,
    },
    /// Start a replica here, if there is none.
    CreateGroup {
        /// Where the group lives.
        spec: GroupSpec,
    },
    /// A leader that this replica is no part of said so, from this term and log: delete what is here, if
    /// this replica has heard of nothing newer.
    RemoveGroup {
        /// The group.
        group: GroupId,
        /// The leader's term.
        term: u64,
        /// Last index of the leader's log.
        last_index: u64,
    },
    /// Who should lead a group when all is well.
    Home {
        /// The group.
        group: GroupId,
        /// The node.
        home: NodeId,
    },
    /// Asks how the groups are.
    Status {
        /// Gets the answer.
        reply: oneshot::Sender<Status>,
    },
    /// Hand over leaderships, write what is not yet written, and end.
    Stop,
}

/// How a node's replicas are.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// By group.
    pub groups: Vec<GroupStatus>,
    /// Transactions written since the start.
    pub commits: u64,
}

/// How a replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Group.
    pub group: GroupId,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// True if this replica leads.
    pub leads: bool,
    /// Term.
    pub term: u64,
    /// Commit index.
    pub commit: u64,
    /// Applied index.
    pub applied: u64,
    /// Last index of the log.
    pub last_index: u64,
    /// First index of the log.
    pub first_index: u64,
    /// Keys in the dedup table.
    pub dedup_keys: usize,
    /// Snapshots sent and installed since the start.
    pub snapshots: u64,
    /// Who belongs to the group, as applied here.
    pub members: Members,
}

/// Why the driver ended.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The store failed: what is on the disk is unknown, so this node must not go on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// raft-rs refused to start a group.
    #[error("raft: {0}")]
    Raft(#[from] raft::Error),
}

/// The state of the loop.
pub struct Driver {
    pub(crate) options: ReplicaOptions,
    pub(crate) store: Store,
    pub(crate) transport: Arc<Transport>,
    /// Where requests go: told as soon as a leader is known.
    pub(crate) routes: Routes,
    pub(crate) events: mpsc::Receiver<Event>,
    /// For tasks that report back.
    pub(crate) sender: mpsc::WeakSender<Event>,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    /// What is left of removed replicas.
    pub(crate) tombstones: BTreeMap<GroupId, GroupRecord>,
    /// Chunks to write with the next transaction.
    pub(crate) staged: Vec<(GroupId, u64, Vec<u8>)>,
    pub(crate) read_number: u64,
    pub(crate) commits: u64,
    pub(crate) snapshots: BTreeMap<GroupId, u64>,
    pub(crate) stopping: Option<u32>,
    pub(crate) ticks: u64,
    /// Peers whose machines refuse connections, until they are heard again.
    pub(crate) gone: BTreeSet<NodeId>,
}

impl Driver {
    /// Opens all groups found in `store`.
    ///
    /// # Errors
    /// [`DriverError`].
    pub(crate) async fn open(
        options: ReplicaOptions,
        store: Store,
        transport: Arc<Transport>,
        routes: Routes,
        events: mpsc::Receiver<Event>,
        sender: mpsc::WeakSender<Event>,
    ) -> Result<Self, DriverError> {
        let mut driver = Driver {
            options,
            store,
            transport,
            routes,
            events,
            sender,
            groups: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            staged: Vec::new(),
            // Contexts of reads are never used twice, not even after a restart.
            read_number: rt::random::u64() & (u64::MAX >> 1),
            commits: 0,
            snapshots: BTreeMap::new(),
            stopping: None,
            ticks: 0,
            gone: BTreeSet::new(),
        };
        driver.open_found().await?;
        Ok(driver)
    }

    /// Runs until [`Event::Stop`] or an error.
    ///
    /// # Errors
    /// [`DriverError`]; the node must stop then.
    pub async fn run(mut self) -> Result<(), DriverError> {
        let mut ticks = time::interval(self.options.tick);
        loop {
            rt::select! {
                () = ticks.tick() => {
                    self.tick();
                    self.scrub().await?;
                }
                event = self.events.recv() => match event {
                    Some(event) => self.take(event).await?,
                    None => return Ok(()),
                },
            }
            for _ in 0..EVENTS_PER_ROUND {
                match self.events.try_recv() {
                    Ok(event) => self.take(event).await?,
                    Err(_) => break,
                }
            }
            self.propose_arrived();
            self.ask_for_read_indexes();
            while self.round().await? {}
            if self.stopped() {
                return self.flush().await;
            }
        }
    }

    /// Looks for damage in a little of the store now and then, so that none lies there for long.
    async fn scrub(&mut self) -> Result<(), DriverError> {
        self.ticks += 1;
        if self.ticks.is_multiple_of(SCRUB_TICKS) {
            let store = self.store.clone();
            rt::task::blocking(move || store.scrub(SCRUB_BLOCKS)).await?;
        }
        Ok(())
    }

    pub(crate) fn observe(&self, group: GroupId, step: Step) {
        if let Some(observer) = &self.options.observer {
            observer.observe(self.options.node, group, step);
        }
    }

    fn new_machine(&self, group: GroupId) -> Box<dyn StateMachine> {
        (self.options.machines)(group)
    }

    fn status(&self) -> Status {
        let groups = self.groups.values().map(|group| {
            let raft = &group.raw.raft;
            GroupStatus {
                group: group.id,
                leader: group.leader().filter(|_| !unheard(raft)),
                leads: raft.state == raft::StateRole::Leader,
                term: raft.term,
                commit: raft.raft_log.committed,
                applied: group.applied.index,
                last_index: raft.raft_log.last_index(),
                first_index: group.raw.store().first(),
                dedup_keys: group.dedup.len(),
                snapshots: self.snapshots.get(&group.id).copied().unwrap_or(0),
                members: group.members().clone(),
            }
        });
        Status { groups: groups.collect(), commits: self.commits }
    }
}

/// True if a replica that cannot stand for election has heard nothing for long. raft-rs lets it believe in its
/// leader for ever, while that leader is reached and no longer counts it in: one that was removed while it was
/// cut off would never ask around.
fn unheard(raft: &raft::Raft<crate::store::GroupLog>) -> bool {
    let patience = 3 * raft.election_timeout();
    raft.state == raft::StateRole::Follower && raft.election_elapsed > patience
}

/// Ticks without a leader before the replica of `node` asks for votes in `term`: a pure function, so
/// that raft-rs's own random draw is never used and a simulation repeats.
pub(crate) fn election_timeout(options: &ReplicaOptions, group: GroupId, term: u64) -> usize {
    let mut place = [0; 32];
    for (slot, number) in place.chunks_exact_mut(8).zip([options.cluster, options.node, group, term]) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
    let draw = xxhash_rust::xxh3::xxh3_64(&place);
    let span = options.election_ticks.max(1);
    options.election_ticks + usize::try_from(draw % span as u64).unwrap_or(0)
}
