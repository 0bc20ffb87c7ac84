//! Do the executor's own threads get the processor when they want it?
//!
//! A task on the executor's runtime sleeps a fixed time and looks how late it woke. When users come back
//! late for lack of a processor, all of them look busy; only this tells it from a slow cluster.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::step::ON_TIME;

/// Between two looks: often enough for a share, seldom enough to cost nothing.
const PERIOD: Duration = Duration::from_millis(10);

/// Counts of looks and of late ones. Resets at will.
#[derive(Default)]
pub(crate) struct Probe {
    looks: AtomicU64,
    late: AtomicU64,
}

impl Probe {
    /// Looks until the runtime ends.
    pub(crate) async fn run(&self) {
        loop {
            let wake = Instant::now() + PERIOD;
            tokio::time::sleep_until(wake.into()).await;
            self.looks.fetch_add(1, Ordering::Relaxed);
            if Instant::now() > wake + ON_TIME {
                self.late.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Forgets what was seen.
    pub(crate) fn reset(&self) {
        self.looks.store(0, Ordering::Relaxed);
        self.late.store(0, Ordering::Relaxed);
    }

    /// Share of the looks that came later than a ticket may be, 0.0 to 1.0.
    pub(crate) fn late_share(&self) -> f64 {
        let looks = self.looks.load(Ordering::Relaxed);
        // No look at all: the executor stood still.
        if looks == 0 { 1.0 } else { self.late.load(Ordering::Relaxed) as f64 / looks as f64 }
    }
}
