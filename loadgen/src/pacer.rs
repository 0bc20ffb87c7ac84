//! The thread that turns the schedule into tickets, on time whatever the cluster does.
//!
//! It sleeps to absolute deadlines, never waits for anybody, and never moves the schedule: tickets that
//! fell due while it slept go out at once, and tickets that find the queue full are counted as shed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::latency::{Latencies, latencies, record};
use crate::queue::Queue;
use crate::schedule::Schedule;
use crate::step::ON_TIME;
use crate::ticket::Ticket;
use crate::{CancelToken, LoadError, os};

/// Shortest time between two wakes. Up to 2,000/s each ticket is woken for; above, tickets go out in
/// small batches, since on a small machine each wake takes processor time from the cluster.
const WAKE_SPACING: Duration = Duration::from_micros(500);

/// Longest sleep, so that a cancelled run ends soon.
const NAP: Duration = Duration::from_millis(100);

/// A step to be paced.
pub(crate) struct Order {
    pub(crate) step: usize,
    pub(crate) schedule: Schedule,
    pub(crate) start: Instant,
}

/// How a step was paced. Counts and lag are those of the measured part.
pub(crate) struct Paced {
    pub(crate) offered: u64,
    pub(crate) shed: u64,
    pub(crate) lag: Latencies,
}

/// Counts that others watch while the pacer runs.
#[derive(Default)]
pub(crate) struct Emission {
    /// Tickets put into the queue, over the whole run.
    pub(crate) queued: AtomicU64,
    /// Arrivals that fell due since somebody last took the count.
    pub(crate) due_this_second: AtomicU64,
    /// Of these: shed.
    pub(crate) shed_this_second: AtomicU64,
}

/// The running thread. Dropping it ends the thread at the next order.
pub(crate) struct Pacer {
    orders: mpsc::Sender<Order>,
    outcomes: mpsc::Receiver<Paced>,
    thread: Option<JoinHandle<()>>,
}

impl Pacer {
    /// Starts the thread. It lives for the whole run, so that its processor time can be followed.
    pub(crate) fn start(
        queue: Arc<Queue>,
        emission: Arc<Emission>,
        cancel: CancelToken,
    ) -> Result<Self, LoadError> {
        let (orders, todo) = mpsc::channel::<Order>();
        let (done, outcomes) = mpsc::channel();
        let mut pace = Pace { queue, emission, cancel, seq: 0, batch: Vec::new() };
        let thread = std::thread::Builder::new()
            .name("load-pacer".to_owned())
            .spawn(move || {
                os::tighten_timer();
                for order in todo {
                    if done.send(pace.run(&order)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|source| LoadError::Start { what: "the pacer thread", source })?;
        Ok(Self { orders, outcomes, thread: Some(thread) })
    }

    /// Hands over a step. Returns at once.
    pub(crate) fn begin(&self, order: Order) -> Result<(), LoadError> {
        self.orders.send(order).map_err(|_| LoadError::Pacer)
    }

    /// Waits until the step's schedule is over.
    pub(crate) fn finish(&self) -> Result<Paced, LoadError> {
        self.outcomes.recv().map_err(|_| LoadError::Pacer)
    }

    /// Ends the thread.
    pub(crate) fn stop(mut self) {
        drop(self.orders);
        if let Some(thread) = self.thread.take() {
            // A panic in it showed as LoadError::Pacer already.
            let _ended = thread.join();
        }
    }
}

/// What the thread works with.
struct Pace {
    queue: Arc<Queue>,
    emission: Arc<Emission>,
    cancel: CancelToken,
    seq: u64,
    /// Kept for its memory.
    batch: Vec<Ticket>,
}

impl Pace {
    fn run(&mut self, order: &Order) -> Paced {
        let schedule = &order.schedule;
        let (first_measured, arrivals) = (schedule.first_measured(), schedule.arrivals());
        let mut paced = Paced { offered: 0, shed: 0, lag: latencies() };
        let mut not_before = order.start;
        let mut k = 0;
        while k < arrivals {
            let wake = (order.start + schedule.due(k)).max(not_before);
            let Some(now) = self.sleep_until(wake) else { break };
            not_before = now + WAKE_SPACING;
            if k >= first_measured {
                record(&mut paced.lag, now - wake);
            }
            while k < arrivals && order.start + schedule.due(k) <= now {
                let due = order.start + schedule.due(k);
                let (measured, late_from_pacer) = (k >= first_measured, now > due + ON_TIME);
                self.batch.push(Ticket { seq: self.seq, step: order.step, due, measured, late_from_pacer });
                self.seq += 1;
                k += 1;
            }
            let measured = self.batch.iter().filter(|ticket| ticket.measured).count() as u64;
            paced.offered += measured;
            // The end of a batch is shed first, and what is measured stands at its end.
            paced.shed += self.emit().min(measured);
        }
        paced
    }

    /// Sleeps to the moment and says when it woke, or `None` when the run was cancelled.
    fn sleep_until(&self, wake: Instant) -> Option<Instant> {
        loop {
            if self.cancel.is_cancelled() {
                return None;
            }
            let now = Instant::now();
            if now >= wake {
                return Some(now);
            }
            std::thread::sleep((wake - now).min(NAP));
        }
    }

    /// Hands the batch over and returns how many tickets of its end had to be shed.
    fn emit(&mut self) -> u64 {
        let due = self.batch.len() as u64;
        // Counted before, so that nobody sees more tickets answered than queued.
        self.emission.queued.fetch_add(due, Ordering::Release);
        let shed = due - self.queue.offer(&self.batch) as u64;
        self.batch.clear();
        self.emission.queued.fetch_sub(shed, Ordering::Release);
        self.emission.due_this_second.fetch_add(due, Ordering::Relaxed);
        self.emission.shed_this_second.fetch_add(shed, Ordering::Relaxed);
        shed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(capacity: usize, rps: f64, settle_ms: u64, measured_ms: u64) -> (Paced, Vec<Ticket>, Instant) {
        let queue = Arc::new(Queue::new(capacity));
        let pacer = Pacer::start(Arc::clone(&queue), Arc::default(), CancelToken::new())
            .expect("a thread can be started");
        let schedule =
            Schedule::constant(rps, Duration::from_millis(settle_ms), Duration::from_millis(measured_ms));
        let start = Instant::now() + Duration::from_millis(5);
        pacer.begin(Order { step: 3, schedule, start }).expect("the thread runs");
        let paced = pacer.finish().expect("the thread runs");
        pacer.stop();
        (paced, queue.drain(), start)
    }

    #[test]
    fn every_arrival_becomes_a_ticket_in_order() {
        let (paced, tickets, start) = pace(10_000, 10_000.0, 100, 400);
        assert_eq!((paced.offered, paced.shed), (4_000, 0));
        assert_eq!(tickets.len(), 5_000);
        for (k, ticket) in tickets.iter().enumerate() {
            assert_eq!((ticket.seq, ticket.step, ticket.measured), (k as u64, 3, k >= 1_000));
            let exact = start + Duration::from_micros(100 * k as u64);
            assert!(ticket.due.max(exact) - ticket.due.min(exact) <= Duration::from_nanos(1));
        }
    }

    #[test]
    fn a_full_queue_sheds_and_does_not_slow_the_schedule() {
        let begin = Instant::now();
        let (paced, tickets, _) = pace(10, 1_000.0, 0, 300);
        assert_eq!((paced.offered, paced.shed), (300, 290));
        assert_eq!(tickets.len(), 10);
        assert!(begin.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn a_cancelled_run_ends_soon() {
        let cancel = CancelToken::new();
        let queue = Arc::new(Queue::new(10));
        let pacer = Pacer::start(queue, Arc::default(), cancel.clone()).expect("a thread can be started");
        let schedule = Schedule::constant(1.0, Duration::ZERO, Duration::from_secs(60));
        pacer.begin(Order { step: 0, schedule, start: Instant::now() }).expect("the thread runs");
        cancel.cancel();
        assert!(pacer.finish().expect("the thread runs").offered <= 1);
        pacer.stop();
    }
}
