//! Injections: faults that are in force, and how often each of them bit.
//!
//! Whoever injects a fault gets an [`Injection`] back. The room that carries it out (links, disks, clocks)
//! counts a *bite* each time the fault changed something that a node could observe: a segment held back,
//! a write refused, a clock read that gave another time. [`World::mend`] ends it and tells the count. A
//! fault that never bit has proved nothing.

use super::World;
use std::collections::BTreeMap;

/// A fault in force, see [`World::mend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Injection(u64);

/// How often each injection bit so far.
#[derive(Default)]
pub(crate) struct Bites {
    next: u64,
    counts: BTreeMap<Injection, u64>,
}

impl Bites {
    /// A new injection that has not bitten yet.
    pub(crate) fn begin(&mut self) -> Injection {
        self.next += 1;
        let injection = Injection(self.next);
        self.counts.insert(injection, 0);
        injection
    }

    /// Counts a bite.
    pub(crate) fn bite(&mut self, injection: Injection) {
        if let Some(count) = self.counts.get_mut(&injection) {
            *count += 1;
        }
    }
}

impl World {
    /// How often an injection bit so far, also after it has ended.
    pub fn bites(&self, injection: Injection) -> u64 {
        self.state().bites.counts.get(&injection).copied().unwrap_or(0)
    }

    /// Ends an injection and returns how often it bit. What cannot be undone (a rotten sector) stays; what
    /// was held back goes on. A second call changes nothing.
    pub fn mend(&self, injection: Injection) -> u64 {
        self.mend_links(injection);
        self.mend_disk(injection);
        self.mend_clock(injection);
        self.bites(injection)
    }
}
