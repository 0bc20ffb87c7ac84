//! What happened to the tickets, in HDR histograms of microseconds.
//!
//! Sharded by thread, not by user: a histogram takes 139 kB. Three clocks a request: from its due time
//! (what a user waits), from its sending (what the cluster took), and between the two (what the
//! generator owes). Latencies are those of successful requests; a failed one is counted by its class.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::latency::{Latencies, add, latencies, record};
use crate::request::Failure;
use crate::step::ON_TIME;
use crate::ticket::Ticket;

/// What became of the measured tickets of one step.
pub(crate) struct StepTally {
    pub(crate) sent: u64,
    pub(crate) sent_on_time: u64,
    /// Sent late, and no user had been free to send it sooner.
    pub(crate) late_all_busy: u64,
    pub(crate) ok: u64,
    pub(crate) failures: BTreeMap<Failure, u64>,
    pub(crate) intended: Latencies,
    pub(crate) service: Latencies,
    pub(crate) queue: Latencies,
}

impl Default for StepTally {
    fn default() -> Self {
        Self {
            sent: 0,
            sent_on_time: 0,
            late_all_busy: 0,
            ok: 0,
            failures: BTreeMap::new(),
            intended: latencies(),
            service: latencies(),
            queue: latencies(),
        }
    }
}

/// What happened in one second, settle windows included.
pub(crate) struct SecondTally {
    pub(crate) sent: u64,
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) intended: Latencies,
    pub(crate) service: Latencies,
}

impl Default for SecondTally {
    fn default() -> Self {
        Self { sent: 0, ok: 0, failed: 0, intended: latencies(), service: latencies() }
    }
}

/// What became of the writes to one series, over the whole run.
#[derive(Default)]
pub(crate) struct SeriesTally {
    pub(crate) sent: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) without_effect: AtomicU64,
}

#[derive(Default)]
struct Shard {
    step: StepTally,
    second: SecondTally,
}

/// All shards, and the counts that are read while the run goes on.
pub(crate) struct Recorder {
    shards: Vec<Mutex<Shard>>,
    /// The step that `Shard::step` belongs to: what belongs to an older one comes too late to count.
    step: AtomicUsize,
    finished: AtomicU64,
    pub(crate) series: Vec<SeriesTally>,
}

impl Recorder {
    /// A recorder for that many threads and series.
    pub(crate) fn new(threads: usize, series: usize) -> Self {
        Self {
            shards: (0..threads.max(1)).map(|_| Mutex::default()).collect(),
            step: AtomicUsize::new(0),
            finished: AtomicU64::new(0),
            series: (0..series).map(|_| SeriesTally::default()).collect(),
        }
    }

    /// The ticket is being sent. `waited` is true when the user had been free before the ticket came.
    pub(crate) fn sent(&self, ticket: &Ticket, series: usize, now: Instant, waited: bool) {
        self.series[series].sent.fetch_add(1, Ordering::Relaxed);
        let late = now.saturating_duration_since(ticket.due);
        let mut shard = self.shard();
        shard.second.sent += 1;
        if self.counts(ticket) {
            let step = &mut shard.step;
            step.sent += 1;
            step.sent_on_time += u64::from(late <= ON_TIME);
            step.late_all_busy += u64::from(late > ON_TIME && !waited && !ticket.late_from_pacer);
            record(&mut step.queue, late);
        }
    }

    /// The ticket was answered, or there will be no answer.
    pub(crate) fn answered(
        &self,
        ticket: &Ticket,
        series: usize,
        (sent, end): (Instant, Instant),
        result: Result<(), Failure>,
    ) {
        match result {
            Ok(()) => self.series[series].acknowledged.fetch_add(1, Ordering::Relaxed),
            Err(failure) if failure.may_have_taken_effect() => 0,
            Err(_) => self.series[series].without_effect.fetch_add(1, Ordering::Relaxed),
        };
        let intended = end.saturating_duration_since(ticket.due);
        let service = end.saturating_duration_since(sent);
        {
            let mut shard = self.shard();
            let counts = self.counts(ticket);
            if let Err(failure) = result {
                shard.second.failed += 1;
                if counts {
                    *shard.step.failures.entry(failure).or_default() += 1;
                }
            } else {
                shard.second.ok += 1;
                record(&mut shard.second.intended, intended);
                record(&mut shard.second.service, service);
                if counts {
                    shard.step.ok += 1;
                    record(&mut shard.step.intended, intended);
                    record(&mut shard.step.service, service);
                }
            }
        }
        self.finished.fetch_add(1, Ordering::Release);
    }

    /// The ticket came out of the queue when its step was closed already.
    pub(crate) fn never_sent(&self) {
        self.shard().second.failed += 1;
        self.finished.fetch_add(1, Ordering::Release);
    }

    /// Does the ticket belong to a step that was closed?
    pub(crate) fn is_closed(&self, ticket: &Ticket) -> bool {
        ticket.step < self.step.load(Ordering::Acquire)
    }

    /// Tickets that are through, over the whole run.
    pub(crate) fn finished(&self) -> u64 {
        self.finished.load(Ordering::Acquire)
    }

    /// Takes what happened since the last call.
    pub(crate) fn take_second(&self) -> SecondTally {
        let mut all = SecondTally::default();
        for shard in &self.shards {
            let second = std::mem::take(&mut lock(shard).second);
            all.sent += second.sent;
            all.ok += second.ok;
            all.failed += second.failed;
            add(&mut all.intended, &second.intended);
            add(&mut all.service, &second.service);
        }
        all
    }

    /// Closes the step and takes its figures. From now on the next step's tickets count.
    pub(crate) fn close_step(&self) -> StepTally {
        self.step.fetch_add(1, Ordering::AcqRel);
        let mut all = StepTally::default();
        for shard in &self.shards {
            let step = std::mem::take(&mut lock(shard).step);
            all.sent += step.sent;
            all.sent_on_time += step.sent_on_time;
            all.late_all_busy += step.late_all_busy;
            all.ok += step.ok;
            for (failure, count) in step.failures {
                *all.failures.entry(failure).or_default() += count;
            }
            add(&mut all.intended, &step.intended);
            add(&mut all.service, &step.service);
            add(&mut all.queue, &step.queue);
        }
        all
    }

    fn counts(&self, ticket: &Ticket) -> bool {
        ticket.measured && ticket.step == self.step.load(Ordering::Acquire)
    }

    /// This thread's shard. Threads take their numbers in the order in which they first come here.
    fn shard(&self) -> MutexGuard<'_, Shard> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static NUMBER: Cell<Option<usize>> = const { Cell::new(None) });
        let number = NUMBER.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            NUMBER.set(Some(number));
            number
        });
        lock(&self.shards[number % self.shards.len()])
    }
}

/// A panic cannot leave a shard half changed in a way that matters to counts.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
