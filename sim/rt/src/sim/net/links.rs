//! Links: what each direction between two machines does to what is sent over it.

use crate::sim::World;
use crate::sim::injection::Injection;

impl World {
    /// Ends a link's injection, if it is one.
    pub(crate) fn mend_links(&self, _injection: Injection) {}
}
