//! What was stored in the end: the other half of the material of the client judges.
//!
//! Read linearizably after the faults have healed, by a client that took no part in the history. How it
//! is read is the scenario's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All series at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FinalState {
    /// Series by name. A series that is not listed does not exist, which the judges take as empty.
    pub series: BTreeMap<String, SeriesFinal>,
}

/// One series at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesFinal {
    /// All values in insertion order, from a read of values.
    pub values: Vec<f64>,
    /// Number of values, from a read of the aggregate.
    pub count: u64,
    /// Exact sum, rounded once, from a read of the aggregate.
    pub sum: f64,
}
