//! The batcher of a group: what waits together goes together.

use super::route::{self, Attempt, Routes};
use super::{Write, WriteError, written};
use crate::GroupId;
use crate::frame::{Refusal, Request, Response};
use crate::options::ReplicaOptions;
use rt::time::{self, Instant};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

pub(super) struct Batcher {
    group: GroupId,
    routes: Routes,
    max_batch: usize,
    max_bytes: usize,
    /// Batches that may be under way at a time.
    slots: Arc<Semaphore>,
    /// How long one node may take before the outcome counts as unknown.
    patience: Duration,
}

impl Batcher {
    pub(super) fn new(group: GroupId, routes: Routes, options: &ReplicaOptions) -> Self {
        Batcher {
            group,
            routes,
            max_batch: options.max_batch,
            max_bytes: options.max_batch_bytes,
            slots: Arc::new(Semaphore::new(options.max_batches_in_flight)),
            patience: options.tick * options.election_ticks as u32 * 2,
        }
    }

    pub(super) async fn run(self, mut queue: mpsc::Receiver<Write>) {
        let mut waiting = Vec::new();
        loop {
            let Ok(slot) = self.slots.clone().acquire_owned().await else { return };
            let most = if rt::buggify!("gateway: a batch of one") { 1 } else { self.max_batch };
            if waiting.is_empty() && queue.recv_many(&mut waiting, most).await == 0 {
                return;
            }
            let later = waiting.split_off(fitting(&waiting, self.max_bytes));
            let writes = std::mem::replace(&mut waiting, later);
            rt::sometimes!(writes.len() > 1, "gateway: writes went together in one batch");
            let (group, routes, patience) = (self.group, self.routes.clone(), self.patience);
            rt::task::spawn(async move {
                deliver(group, &routes, patience, writes).await;
                drop(slot);
            });
        }
    }
}

/// How many writes from the first on fit into so many bytes; one at least.
fn fitting(writes: &[Write], max_bytes: usize) -> usize {
    let mut bytes = 0;
    let fits = |write: &&Write| {
        bytes += write.envelope.payload.len();
        bytes <= max_bytes
    };
    writes.iter().take_while(fits).count().max(1).min(writes.len())
}

/// Brings a batch to the group's leader, or tells its writers why not.
async fn deliver(group: GroupId, routes: &Routes, patience: Duration, mut writes: Vec<Write>) {
    let mut pause = route::FIRST_PAUSE;
    // Writes that were sent once without an answer: they may have been done.
    let mut maybe_done = vec![false; writes.len()];
    loop {
        give_up_late(&mut writes, &mut maybe_done);
        if writes.is_empty() {
            return;
        }
        let Some(node) = routes.leader(group) else { return };
        let envelopes = writes.iter().map(|write| write.envelope.clone()).collect();
        let attempt = routes.attempt(group, node, Request::Propose { group, envelopes }, patience).await;
        match if rt::buggify!("gateway: the answer to a batch is lost") { Attempt::Lost } else { attempt } {
            Attempt::Answered(Response::Proposed { index, answers }) => {
                for (write, answer) in writes.into_iter().zip(answers) {
                    // Its writer may have stopped waiting.
                    let _ = write.reply.send(written(index, answer));
                }
                return;
            }
            Attempt::Answered(Response::Refused(Refusal::Busy)) => {
                return refuse(writes, &maybe_done, WriteError::Busy);
            }
            Attempt::Answered(Response::Refused(Refusal::NotLeader { leader })) => {
                routes.learn(group, node, leader);
            }
            Attempt::Answered(Response::Refused(Refusal::Overwritten)) => routes.learn(group, node, None),
            Attempt::NotSent | Attempt::Answered(Response::Refused(Refusal::NoReplica)) => {
                routes.learn(group, node, None);
            }
            // Only a key makes a second try harmless.
            Attempt::Lost | Attempt::Answered(_) => {
                routes.learn(group, node, None);
                (writes, maybe_done) = keep_keyed(writes);
                rt::sometimes!(
                    !writes.is_empty(),
                    "gateway: keyed writes of unknown outcome were sent again"
                );
            }
        }
        time::sleep(pause).await;
        pause = (pause * 2).min(route::LONGEST_PAUSE);
    }
}

fn keep_keyed(writes: Vec<Write>) -> (Vec<Write>, Vec<bool>) {
    let (keyed, plain): (Vec<_>, Vec<_>) = writes.into_iter().partition(|w| w.envelope.key.is_some());
    for write in plain {
        let _ = write.reply.send(Err(WriteError::Unknown));
    }
    let maybe_done = vec![true; keyed.len()];
    (keyed, maybe_done)
}

fn refuse(writes: Vec<Write>, maybe_done: &[bool], error: WriteError) {
    for (write, maybe_done) in writes.into_iter().zip(maybe_done) {
        let error = if *maybe_done { WriteError::Unknown } else { error };
        let _ = write.reply.send(Err(error));
    }
}

/// Writers whose time is up hear so; nobody else has to wait for them.
fn give_up_late(writes: &mut Vec<Write>, maybe_done: &mut Vec<bool>) {
    let now = Instant::now();
    for place in (0..writes.len()).rev() {
        if writes[place].deadline <= now {
            let write = writes.swap_remove(place);
            let maybe_done = maybe_done.swap_remove(place);
            let error = if maybe_done { WriteError::Unknown } else { WriteError::Unavailable };
            let _ = write.reply.send(Err(error));
        }
    }
}
