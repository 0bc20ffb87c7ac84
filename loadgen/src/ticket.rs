//! One arrival on its way from the pacer to a user.

use std::time::Instant;

/// An arrival that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    /// Number over the whole run; decides series, value and target.
    pub(crate) seq: u64,
    /// The step it belongs to.
    pub(crate) step: usize,
    /// When it should be sent. Latencies count from here.
    pub(crate) due: Instant,
    /// False in a step's settle window: seen, but left out of the step's figures.
    pub(crate) measured: bool,
    /// The pacer itself was late with it: whatever follows is not the cluster's doing.
    pub(crate) late_from_pacer: bool,
}
