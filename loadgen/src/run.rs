//! The ladder from its first step to its last, and the report of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reports::model::{ErrorCount, LoadReport, LoadSecond, LoadStep};

use crate::cpu::Snapshot;
use crate::executor::Executor;
use crate::latency::summary;
use crate::options::Plan;
use crate::pacer::{Emission, Order, Paced, Pacer};
use crate::progress::Progress;
use crate::queue::Queue;
use crate::recorder::{Recorder, StepTally};
use crate::request::{Failure, Requests};
use crate::schedule::Schedule;
use crate::step::{StepFacts, judge};
use crate::{LoadError, LoadOptions, consistency, os};

/// From the order to the first arrival, so that the pacer sleeps when it is due.
const LEAD: Duration = Duration::from_millis(20);
/// Longest nap of the main loop: how soon it sees a cancelled run.
const NAP: Duration = Duration::from_millis(50);
/// Beyond the request timeout, how long a step may take to answer what is under way.
const DRAIN: Duration = Duration::from_secs(1);
/// Tickets the queue holds at least.
const QUEUE_MIN: usize = 1_000;

/// Drives the targets of `options` and reports what they carried.
///
/// Blocks until the load is over, and makes its own runtime: call it from a thread outside any. Runs in
/// one process go one after the other. A cancelled run returns what it has.
pub fn run(options: LoadOptions, progress: &dyn Progress) -> Result<LoadReport, LoadError> {
    let plan = options.plan()?;
    let target = options.targets.join(", ");
    drive(&plan, target, progress)
}

/// Drives a plan. `target` is what the report calls it.
pub(crate) fn drive(plan: &Plan, target: String, progress: &dyn Progress) -> Result<LoadReport, LoadError> {
    let requests = Arc::new(Requests::new(plan, &run_id())?);
    let recorder = Arc::new(Recorder::new(Executor::threads(), plan.series));
    let target_rps = plan.rates.last().copied().unwrap_or_default();
    // A second of arrivals: what waits longer than that is lost to its user anyway.
    let queue = Arc::new(Queue::new((target_rps as usize).max(QUEUE_MIN)));
    let mut executor =
        Executor::start(plan, Arc::clone(&queue), Arc::clone(&requests), Arc::clone(&recorder))?;
    let emission = Arc::new(Emission::default());
    let pacer = Pacer::start(queue, Arc::clone(&emission), plan.cancel.clone())?;
    let begin = Instant::now();
    let mut load =
        Load { plan, progress, executor: &executor, pacer, emission, recorder, begin, seconds: Vec::new() };
    let mut steps = Vec::new();
    for (number, rate) in plan.rates.iter().enumerate() {
        if load.is_cancelled() {
            break;
        }
        progress.step_started(number, plan.rates.len(), *rate, plan.settle + plan.measured);
        if let Some(step) = load.step(number, *rate)? {
            progress.step_done(&step);
            steps.push(step);
        }
    }
    load.close_last_second();
    let Load { pacer, recorder, seconds, .. } = load;
    let elapsed_seconds = begin.elapsed().as_secs_f64();
    pacer.stop();
    // The figures are complete already: how goose ends does not change them.
    if let Err(error) = executor.finish() {
        progress.note(&error.to_string());
    }
    let consistency = consistency::check(plan, &executor, &requests, &recorder, progress);
    Ok(LoadReport { target, target_rps, steps, seconds, consistency, elapsed_seconds })
}

/// A short word that no other run has: metrics of earlier runs may still be in the cluster.
fn run_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}{:x}", now.as_millis(), std::process::id())
}

/// A run under way.
struct Load<'a> {
    plan: &'a Plan,
    progress: &'a dyn Progress,
    executor: &'a Executor,
    pacer: Pacer,
    emission: Arc<Emission>,
    recorder: Arc<Recorder>,
    begin: Instant,
    seconds: Vec<LoadSecond>,
}

impl Load<'_> {
    /// Drives one rate. `None` when the run was cancelled before anything counted.
    fn step(&mut self, number: usize, rate: f64) -> Result<Option<LoadStep>, LoadError> {
        let schedule = Schedule::constant(rate, self.plan.settle, self.plan.measured);
        let start = Instant::now() + LEAD;
        self.pacer.begin(Order { step: number, schedule, start })?;
        self.watch_until(start + schedule.settle())?;
        let before = Snapshot::take();
        self.executor.probe.reset();
        self.watch_until(start + schedule.length())?;
        let after = Snapshot::take();
        let starved_share = self.executor.probe.late_share();
        let measured = start.elapsed().saturating_sub(schedule.settle()).min(self.plan.measured);
        let paced = self.pacer.finish()?;
        self.drain()?;
        let tally = self.recorder.close_step();
        let interrupted = self.is_cancelled() && measured < self.plan.measured;
        if interrupted && paced.offered == 0 {
            return Ok(None);
        }
        let cpus = |prefix: &str| after.as_ref()?.processors_since(before.as_ref()?, prefix);
        let mut step = figures(rate, measured, &paced, &tally);
        step.client_cpus = cpus("load-").unwrap_or_default();
        step.cluster_cpus = cpus("node-");
        let verdict = judge(&StepFacts {
            offered: step.offered,
            sent: step.sent,
            sent_on_time: step.sent_on_time,
            late_all_busy: tally.late_all_busy,
            ok: step.ok,
            worst_error: step.errors.iter().max_by_key(|error| error.count).map(|error| error.class.clone()),
            users: self.executor.users(),
            client_cpus: step.client_cpus,
            machine_cpus: os::cpus(),
            starved_share,
            interrupted,
        });
        step.validity = verdict.validity;
        step.carried = verdict.carried;
        step.missed = verdict.missed;
        Ok(Some(step))
    }

    /// Goose takes Ctrl-C into its kill switch where nobody else took it before.
    fn is_cancelled(&self) -> bool {
        self.plan.cancel.is_cancelled() || goose::is_killswitch_triggered()
    }

    /// Waits, and closes the seconds that pass. Returns early when the run is cancelled.
    fn watch_until(&mut self, deadline: Instant) -> Result<(), LoadError> {
        loop {
            let now = Instant::now();
            let next_second = self.begin + Duration::from_secs(self.seconds.len() as u64 + 1);
            if now >= next_second {
                self.close_second();
                continue;
            }
            if now >= deadline {
                return Ok(());
            }
            if self.is_cancelled() {
                // The pacer looks at the token alone.
                self.plan.cancel.cancel();
                return Ok(());
            }
            if self.executor.has_ended() {
                return Err(LoadError::Goose("ended before the schedule was over".to_owned()));
            }
            std::thread::sleep((deadline - now).min(next_second - now).min(NAP));
        }
    }

    /// Waits until every queued ticket is through, as long as an answer may take.
    fn drain(&mut self) -> Result<(), LoadError> {
        let patience = if self.is_cancelled() { DRAIN } else { self.plan.request_timeout + DRAIN };
        let deadline = Instant::now() + patience;
        while self.emission.queued.load(Ordering::Acquire) > self.recorder.finished() {
            let now = Instant::now();
            if now >= deadline {
                break;
            }
            if self.is_cancelled() {
                std::thread::sleep(Duration::from_millis(5));
            } else {
                self.watch_until(now + Duration::from_millis(5))?;
            }
        }
        Ok(())
    }

    /// The last second is a part of one: of use only if something happened in it.
    fn close_last_second(&mut self) {
        self.close_second();
        if self.seconds.last().is_some_and(|last| last.offered + last.sent + last.ok + last.failed == 0) {
            self.seconds.pop();
        }
    }

    fn close_second(&mut self) {
        let tally = self.recorder.take_second();
        let intended = summary(&tally.intended);
        let service = summary(&tally.service);
        let shed = self.emission.shed_this_second.swap(0, Ordering::Relaxed);
        let second = LoadSecond {
            at_seconds: self.seconds.len() as f64,
            offered: self.emission.due_this_second.swap(0, Ordering::Relaxed),
            sent: tally.sent,
            ok: tally.ok,
            failed: tally.failed + shed,
            intended_p50_us: intended.p50_us,
            intended_p99_us: intended.p99_us,
            service_p50_us: service.p50_us,
            service_p99_us: service.p99_us,
        };
        self.progress.second(&second);
        self.seconds.push(second);
    }
}

/// What was counted and measured in a step. Processors and verdict are still to come.
fn figures(rate: f64, measured: Duration, paced: &Paced, tally: &StepTally) -> LoadStep {
    LoadStep {
        target_rps: rate,
        duration_seconds: measured.as_secs_f64(),
        offered: paced.offered,
        sent: tally.sent,
        sent_on_time: tally.sent_on_time,
        ok: tally.ok,
        errors: errors(paced, tally),
        intended: summary(&tally.intended),
        service: summary(&tally.service),
        queue: summary(&tally.queue),
        pacer_lag: summary(&paced.lag),
        ..LoadStep::default()
    }
}

/// Everything that was offered and not answered well, by class: the counts add up.
fn errors(paced: &Paced, tally: &StepTally) -> Vec<ErrorCount> {
    let mut failures: BTreeMap<Failure, u64> = tally.failures.clone();
    let answered = tally.ok + failures.values().sum::<u64>();
    failures.insert(Failure::Unanswered, tally.sent.saturating_sub(answered));
    failures.insert(Failure::Shed, paced.shed);
    failures.insert(Failure::NeverSent, paced.offered.saturating_sub(paced.shed + tally.sent));
    failures.retain(|_, count| *count > 0);
    failures.iter().map(|(failure, count)| ErrorCount { class: failure.to_string(), count: *count }).collect()
}
