//! Tickets on their way from the pacer to the users: bounded, and each handed to one user and no other.
//!
//! A channel of the crate `flume` did this before and took 15 us of processor a request: it wakes users
//! that then find nothing. Here a ticket goes straight to a user that waits, the one that came last, so
//! that a few users with warm caches do the work and the others sleep until they are needed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::ticket::Ticket;

/// A ticket, and whether its user had been waiting for it.
pub(crate) struct Taken {
    pub(crate) ticket: Ticket,
    /// False when there was a backlog: no user had been free.
    pub(crate) waited: bool,
}

/// The queue. The side that offers never waits.
pub(crate) struct Queue {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Tickets that no user was free for. Empty while somebody waits.
    backlog: VecDeque<Ticket>,
    /// Users that wait, the latest last.
    waiting: Vec<oneshot::Sender<Ticket>>,
    closed: bool,
}

impl Queue {
    /// A queue whose backlog holds `capacity` tickets.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// Hands over tickets that are due, in their order, and returns how many were accepted: the rest
    /// found the backlog full.
    pub(crate) fn offer(&self, tickets: &[Ticket]) -> usize {
        let mut accepted = 0;
        // Users are woken outside the lock, since they come back for it.
        let mut handover = Vec::with_capacity(tickets.len());
        {
            let mut state = self.lock();
            for ticket in tickets {
                match state.waiting.pop() {
                    Some(user) => handover.push((user, *ticket)),
                    None if state.backlog.len() < self.capacity => state.backlog.push_back(*ticket),
                    None => break,
                }
                accepted += 1;
            }
        }
        // A user that is gone gives its ticket back.
        let refused: Vec<_> =
            handover.into_iter().filter_map(|(user, ticket)| user.send(ticket).err()).collect();
        if refused.is_empty() { accepted } else { accepted - refused.len() + self.offer(&refused) }
    }

    /// Waits for a ticket. `None` once the queue is closed and its backlog is empty.
    pub(crate) async fn take(&self) -> Option<Taken> {
        let promise = {
            let mut state = self.lock();
            if let Some(ticket) = state.backlog.pop_front() {
                return Some(Taken { ticket, waited: false });
            }
            if state.closed {
                return None;
            }
            let (user, promise) = oneshot::channel();
            state.waiting.push(user);
            promise
        };
        promise.await.ok().map(|ticket| Taken { ticket, waited: true })
    }

    /// Sends every user home that waits or comes.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        drop(waiting);
    }

    /// Empties the backlog.
    #[cfg(test)]
    pub(crate) fn drain(&self) -> Vec<Ticket> {
        self.lock().backlog.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;

    fn tickets(from: u64, to: u64) -> Vec<Ticket> {
        let due = Instant::now();
        (from..to).map(|seq| Ticket { seq, step: 0, due, measured: true, late_from_pacer: false }).collect()
    }

    async fn settle() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    #[tokio::test]
    async fn a_backlog_is_bounded_and_keeps_its_order() {
        let queue = Queue::new(3);
        assert_eq!(queue.offer(&tickets(0, 2)), 2);
        assert_eq!(queue.offer(&tickets(2, 5)), 1);
        queue.close();
        for seq in 0..3 {
            let taken = queue.take().await.expect("the backlog outlives the closing");
            assert_eq!((taken.ticket.seq, taken.waited), (seq, false));
        }
        assert!(queue.take().await.is_none());
    }

    #[tokio::test]
    async fn each_ticket_goes_to_one_user_that_waits() {
        let queue = Arc::new(Queue::new(0));
        let take = |queue: &Arc<Queue>| {
            let queue = Arc::clone(queue);
            tokio::spawn(async move { queue.take().await })
        };
        let (gone, first, second, third) = (take(&queue), take(&queue), take(&queue), take(&queue));
        settle().await;
        // A user that is gone must not swallow a ticket; with no backlog, the fourth finds no taker.
        third.abort();
        settle().await;
        assert_eq!(queue.offer(&tickets(0, 2)), 2);
        let mut seqs = Vec::new();
        for user in [first, second] {
            let taken = user.await.expect("no panic").expect("not closed");
            assert!(taken.waited);
            seqs.push(taken.ticket.seq);
        }
        seqs.sort_unstable();
        assert_eq!(seqs, [0, 1]);
        queue.close();
        assert!(gone.await.expect("no panic").is_none());
    }
}
