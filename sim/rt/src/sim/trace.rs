//! The trace: every event that crosses the façade, and one hash over all of them.
//!
//! Two runs of one seed are the same run if their traces are. The hash always runs; the events
//! themselves are kept on request.

use super::machine::MachineId;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(SUPERVISOR) };
}

/// Which task runs, and as part of which life of which machine. A task keeps it to its end, its
/// destructors included: they run when its machine may live again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Here {
    task: u32,
    /// `None`: the supervisor's.
    pub(crate) machine: Option<MachineId>,
    pub(crate) incarnation: u32,
}

const SUPERVISOR: Here = Here { task: 0, machine: None, incarnation: 0 };

/// Where the current task runs; the supervisor's place outside a task.
pub(crate) fn here() -> Here {
    HERE.get()
}

/// Something that happened at the façade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Simulated nanoseconds since the start.
    pub at_ns: u64,
    /// Number of the machine, 0 for the world itself.
    pub node: u16,
    /// Number of the task within the run, 0 for the supervisor.
    pub task: u32,
    /// What happened.
    pub kind: &'static str,
    /// To what: connection, file, group, …
    pub subject: u64,
    /// More: a length, a content hash, …
    pub detail: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at_ns as f64 / 1e9;
        let Event { node, task, kind, subject, detail, .. } = self;
        write!(f, "{seconds:.9} node={node} task={task} {kind} {subject} {detail:016x}")
    }
}

/// All events of a run, as a hash and, on request, one by one.
pub struct Trace {
    hash: u64,
    count: u64,
    kept: Option<Vec<Event>>,
    counts: BTreeMap<&'static str, u64>,
    tasks: Vec<&'static Location<'static>>,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Trace {
            hash: 0,
            count: 0,
            kept: keep.then(Vec::new),
            counts: BTreeMap::new(),
            tasks: vec![Location::caller()],
        }
    }

    pub(crate) fn record(&mut self, at_ns: u64, node: u16, kind: &'static str, subject: u64, detail: u64) {
        let event = Event { at_ns, node, task: HERE.get().task, kind, subject, detail };
        let kind_hash = kind.bytes().fold(0u64, |hash, byte| hash.rotate_left(5) ^ u64::from(byte));
        let place = u64::from(node) << 32 | u64::from(event.task);
        for word in [at_ns, place, kind_hash, subject, detail] {
            self.hash = (self.hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        self.count += 1;
        if let Some(kept) = &mut self.kept {
            *self.counts.entry(kind).or_default() += 1;
            kept.push(event);
        }
    }

    /// Hash over all events.
    pub fn hash(&self) -> u64 {
        self.hash ^ self.hash >> 31
    }

    /// Number of events.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The events, if they were kept.
    pub fn events(&self) -> &[Event] {
        self.kept.as_deref().unwrap_or_default()
    }

    /// Events by kind, if they were kept.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// Where in the source task number `task` was spawned.
    pub fn task_origin(&self, task: u32) -> String {
        match self.tasks.get(task as usize) {
            Some(location) if task > 0 => format!("{}:{}", location.file(), location.line()),
            _ => "supervisor".into(),
        }
    }
}

/// Gives a task of the current machine its number within the run, so that events can name it.
pub(crate) fn numbered<F: Future>(future: F, origin: &'static Location<'static>) -> Numbered<F> {
    let Here { machine, incarnation, .. } = HERE.get();
    numbered_on(machine, incarnation, future, origin)
}

/// The same for a task of another machine.
pub(crate) fn numbered_on<F: Future>(
    machine: Option<MachineId>,
    incarnation: u32,
    future: F,
    origin: &'static Location<'static>,
) -> Numbered<F> {
    let task = super::current().map_or(0, |world| {
        let mut trace = world.trace();
        trace.tasks.push(origin);
        u32::try_from(trace.tasks.len() - 1).unwrap_or(u32::MAX)
    });
    Numbered { here: Here { task, machine, incarnation }, future: Some(Box::pin(future)) }
}

pub(crate) struct Numbered<F> {
    here: Here,
    /// `None` only while this is dropped.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for Numbered<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let outer = HERE.replace(self.here);
        let poll = self.future.as_mut().map_or(Poll::Pending, |future| future.as_mut().poll(cx));
        HERE.set(outer);
        poll
    }
}

impl<F> Drop for Numbered<F> {
    fn drop(&mut self) {
        let outer = HERE.replace(self.here);
        self.future = None;
        HERE.set(outer);
    }
}
