//! Clocks: each machine's own wall and monotonic time.

use super::World;
use super::injection::Injection;

impl World {
    /// Ends a clock's injection, if it is one.
    pub(crate) fn mend_clock(&self, _injection: Injection) {}
}
