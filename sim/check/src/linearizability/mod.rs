//! Linearizability: every object behaves as if its operations happened one at a time.
//!
//! Law: the operations on one object can be put in one order, such that each takes effect at one moment
//! between its call and its answer, and each is answered as the [`Specification`] says. An operation
//! without an answer may take effect at any time after its call, or never; a rejected one never does.
//! Source: Herlihy and Wing 1990. Objects are judged one by one, which is enough (locality, theorem 1
//! there).
//!
//! The search is that of Wing and Gong with Lowe's two improvements ("Testing for linearizability", 2017):
//! operations are put in order only when an answer forces it, and no configuration (which operations took
//! effect, and the state they left) is looked at twice. Knossos and porcupine work alike. The problem
//! is NP-complete, so the search is bounded by [`Limits`]: an object beyond them is
//! [`Undecided`], which is neither a pass nor a violation.
//!
//! What it takes, for a thousand operations of ten concurrent clients on one register (dev profile, one of
//! two busy cores, worst of ten seeds; `tests/examples/linearizability_speed.rs`): 10 ms if they are legal;
//! if not, 350 ms, most of it to find small evidence. It grows with the number of
//! writes that overlap at one moment (each may double the configurations), not with the length of the history:
//! with twenty clients some broken histories are undecided under the standard limits. Writes
//! without an answer are cheap where, as for registers, few states are possible; where every subset of them
//! leaves another state (a counter), some fifteen are the limit.
//!
//! Does not check across objects (see `durability` and `conservation` in [`crate::client`] for totals), nor
//! anything about reads that were allowed to be stale: leave those out of the history.
//!
//! ```
//! use check::history::{Operation, Outcome};
//! use check::linearizability::{Limits, Register, RegisterAnswer::*, RegisterCall, judge};
//!
//! let operation = |id, begin_ns, end_ns, call, answer| {
//!     let (client, end_ns, outcome) = (id as u32, Some(end_ns), Outcome::Ok(answer));
//!     Operation { client, id, begin_ns, end_ns, call, outcome }
//! };
//! let mut history = vec![
//!     operation(0, 0, 10, RegisterCall::write("x", 1), Written),
//!     operation(1, 20, 40, RegisterCall::write("x", 2), Written),
//!     // Concurrent with the second write: it may see either value.
//!     operation(2, 30, 50, RegisterCall::read("x"), Value(Some(1))),
//! ];
//! let judgement = judge(&Register::new(), &history, Limits::default());
//! assert!(judgement.violations.is_empty() && judgement.undecided.is_empty());
//!
//! // Called after the second write was acknowledged: now the old value is a lie.
//! history.push(operation(3, 60, 70, RegisterCall::read("x"), Value(Some(1))));
//! let judgement = judge(&Register::new(), &history, Limits::default());
//! assert!(judgement.violations[0].evidence.contains("operation 3 of client 3 (read saw 1"));
//! ```

mod evidence;
mod register;
mod search;

#[cfg(test)]
mod tests;

pub use register::{Register, RegisterAnswer, RegisterCall};

use crate::history::{Operation, Outcome};
use crate::violation::{Findings, Judge, Violation};
use search::{Budget, Item, Ruling};
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

/// What an object does when its operations come one at a time.
///
/// ```
/// use check::linearizability::Specification;
///
/// /// A counter: `Some(n)` adds n, `None` reads.
/// struct Counter;
///
/// impl Specification for Counter {
///     type Call = Option<u64>;
///     type Answer = u64;
///     type State = u64;
///
///     fn initial(&self) -> u64 {
///         0
///     }
///
///     fn step(&self, state: &u64, call: &Option<u64>, answer: Option<&u64>) -> Option<u64> {
///         let after = state + call.unwrap_or(0);
///         answer.is_none_or(|answer| *answer == after).then_some(after)
///     }
///
///     fn only_observes(&self, call: &Option<u64>, _: Option<&u64>) -> bool {
///         call.is_none()
///     }
/// }
/// ```
pub trait Specification {
    /// What clients ask for.
    type Call: Debug;
    /// What they are answered.
    type Answer: Debug;
    /// What the object remembers. Small is fast: it is kept for each configuration.
    type State: Clone + Ord + Debug;

    /// The object that a call is about; objects are independent of each other. The same for all calls
    /// unless said otherwise.
    fn object<'a>(&self, _call: &'a Self::Call) -> &'a str {
        ""
    }

    /// State of an object before its first operation.
    fn initial(&self) -> Self::State;

    /// The state after `call`, if in `state` it may be answered by `answer`; `None` if it may not. Without
    /// an answer it took effect, and nobody knows what it would have answered.
    fn step(
        &self,
        state: &Self::State,
        call: &Self::Call,
        answer: Option<&Self::Answer>,
    ) -> Option<Self::State>;

    /// True if a call that was answered so leaves every state as it is: a read, a compare-and-set that
    /// failed. It makes the search much faster, and must not be true for anything else.
    fn only_observes(&self, _call: &Self::Call, _answer: Option<&Self::Answer>) -> bool {
        false
    }

    /// A state for people, in evidence.
    fn state_in_words(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// Call and answer for people, in evidence.
    fn call_in_words(&self, call: &Self::Call, answer: Option<&Self::Answer>) -> String {
        answer.map_or_else(|| format!("{call:?}"), |answer| format!("{call:?} answered {answer:?}"))
    }
}

/// How far the search for one object may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Configurations remembered at a time; each takes some 200 bytes and a copy of the state.
    pub max_configurations: usize,
    /// Steps of the specification tried; some millions take a second.
    pub max_steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_configurations: 300_000, max_steps: 20_000_000 }
    }
}

/// An object that could not be judged within the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The object.
    pub object: String,
    /// Why not.
    pub reason: String,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linearizability of {:?} is undecided: {}", self.object, self.reason)
    }
}

/// What the judge found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// One for each object that is not linearizable, up to [`crate::MAX_VIOLATIONS_PER_JUDGE`].
    pub violations: Vec<Violation>,
    /// Objects that could not be judged.
    pub undecided: Vec<Undecided>,
    /// Steps of the specification that the search tried: what it cost, the same on every machine.
    pub steps: u64,
}

/// Judges a history, each object by itself.
pub fn judge<S: Specification>(
    specification: &S,
    history: &[Operation<S::Call, S::Answer>],
    limits: Limits,
) -> Judgement {
    let mut objects: BTreeMap<&str, Vec<Item<'_, S>>> = BTreeMap::new();
    for operation in history {
        let items = objects.entry(specification.object(&operation.call)).or_default();
        items.extend(item(specification, operation));
    }
    let mut findings = Findings::new(Judge::Linearizability);
    let mut judgement = Judgement::default();
    for (object, items) in objects {
        let mut budget = Budget::new(limits);
        match search::search(specification, &items, &mut budget) {
            Ruling::Ordered => {}
            Ruling::Stuck { item, states } => findings.add(items.get(item).map(|item| item.end_ns), || {
                evidence::describe(specification, object, &items, item, &states)
            }),
            Ruling::Undecided(reason) => {
                judgement.undecided.push(Undecided { object: object.to_owned(), reason });
            }
        }
        judgement.steps += budget.steps();
    }
    judgement.violations = findings.into_vec();
    judgement
}

/// What the search needs to know of an operation; `None` if it can tell nothing.
fn item<'a, S: Specification>(
    specification: &S,
    operation: &'a Operation<S::Call, S::Answer>,
) -> Option<Item<'a, S>> {
    let Operation { client, id, begin_ns, end_ns, call, outcome } = operation;
    let answer = match outcome {
        Outcome::Ok(answer) => Some(answer),
        Outcome::Rejected(_) => return None,
        Outcome::Unknown(_) => None,
    };
    let end_ns = answer.and(*end_ns).unwrap_or(u64::MAX);
    let observes = specification.only_observes(call, answer);
    let item = Item { client: *client, id: *id, begin_ns: *begin_ns, end_ns, call, answer, observes };
    // What changes nothing and was not answered has no trace.
    (answer.is_some() || !observes).then_some(item)
}
