//! The judges that look from outside, one law a file.
//!
//! They judge a whole history together with the state at the end of the run. The [`index`] arranges both
//! once, by series; each judge then takes O(n log n) in the number of operations, plus the length of the
//! values that were read.
//!
//! An answer that does not fit its call (values for an aggregate, say) tells nothing and is left out,
//! but that any answer to an append acknowledges it. Two moments that are equal in time are taken as
//! concurrent, which favours the system.

pub mod append_order;
pub mod conservation;
pub mod durability;
pub mod exactly_once;
pub mod index;
pub mod real_time_reads;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod random_histories;
#[cfg(test)]
mod tests;

use crate::final_state::FinalState;
use crate::history::Operation;
use crate::violation::Violation;

/// Judges a history by all client laws. `state` must have been read after the last operation ended.
pub fn judge_history(history: &[Operation], state: &FinalState) -> Vec<Violation> {
    let index = index::Index::new(history, state);
    let judges = [
        durability::judge,
        exactly_once::judge,
        conservation::judge,
        real_time_reads::judge,
        append_order::judge,
    ];
    judges.into_iter().flat_map(|judge| judge(&index)).collect()
}
