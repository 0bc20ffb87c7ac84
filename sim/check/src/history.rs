//! What clients did and saw: the material of the judges that look from outside.
//!
//! A history belongs to one run. Times are nanoseconds of simulated time from the start of the run.
//! Leaves out what nodes did inside: that is [`crate::observation`].

use serde::{Deserialize, Serialize};

/// One operation of one client, from its call to its answer. Calls and answers are those of append-only
/// series unless another system says its own, see [`crate::linearizability`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation<C = Call, A = Answer> {
    /// Client that called.
    pub client: u32,
    /// Number of the call within the run, in the order of the calls.
    pub id: u64,
    /// When it was called.
    pub begin_ns: u64,
    /// When the answer came. `None`: the run ended first; the outcome is then `Unknown`.
    pub end_ns: Option<u64>,
    /// What was asked.
    pub call: C,
    /// What came of it.
    pub outcome: Outcome<A>,
}

/// What a client asked for. Series are append-only lists of numbers with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Append `value` to `series`. Values are unique within a run (but for retries with the same key).
    Append {
        /// Name of the series.
        series: String,
        /// The number.
        value: f64,
        /// Idempotency key, if the call carries one. The same key twice means: the same write, retried.
        key: Option<String>,
    },
    /// Read all values of `series`.
    ReadValues {
        /// Name of the series.
        series: String,
        /// True: linearizable; false: the client allowed a stale answer.
        linearizable: bool,
    },
    /// Read count and exact sum of `series`.
    ReadAggregate {
        /// Name of the series.
        series: String,
        /// True: linearizable; false: the client allowed a stale answer.
        linearizable: bool,
    },
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome<A = Answer> {
    /// Answered.
    Ok(A),
    /// Refused: certainly without effect.
    Rejected(String),
    /// No answer: may have taken effect, may still take effect, or never will.
    Unknown(String),
}

/// The content of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// An append was acknowledged; `message` is the answer's text (a retry must get the same).
    Appended {
        /// Text of the answer.
        message: String,
    },
    /// All values in insertion order.
    Values(Vec<f64>),
    /// Count and sum.
    Aggregate {
        /// Number of values.
        count: u64,
        /// Exact sum, rounded once to f64.
        sum: f64,
    },
    /// The series does not exist.
    Absent,
}
