//! Where a simulation's wall time goes, by section of the program.
//!
//! Sections nest; each is charged for what it does itself. Without the feature `sim`, and in a
//! simulation that was not asked to measure, all of this is nothing or next to nothing.

#[cfg(feature = "sim")]
mod allocations;

use std::future::Future;

#[cfg(feature = "sim")]
pub use allocations::{CountingAllocator, allocations};

/// A part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Executor, timers, clients, everything not named here.
    Rest,
    /// Simulated sockets.
    Network,
    /// hyper, routes, JSON, both ends.
    Http,
    /// Blocking work: redb on the simulated disk.
    Store,
    /// The raft driver: raft-rs, state machines, codecs.
    Raft,
    /// Judges that look on.
    Judges,
}

impl Section {
    /// All sections.
    pub const ALL: [Section; 6] =
        [Section::Network, Section::Http, Section::Store, Section::Raft, Section::Judges, Section::Rest];

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Section::Rest => "rest",
            Section::Network => "network",
            Section::Http => "http",
            Section::Store => "redb",
            Section::Raft => "raft",
            Section::Judges => "judges",
        }
    }
}

/// Charges every poll of `future` to `section`.
#[cfg(not(feature = "sim"))]
pub fn measure<F: Future>(_section: Section, future: F) -> F {
    future
}

/// Charges every poll of `future` to `section`.
#[cfg(feature = "sim")]
pub async fn measure<F: Future>(section: Section, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let _span = measured::span(section);
        future.as_mut().poll(cx)
    })
    .await
}

#[cfg(feature = "sim")]
pub use measured::{Span, span};
#[cfg(feature = "sim")]
pub(crate) use measured::{start, taken};

#[cfg(feature = "sim")]
mod measured {
    use super::Section;
    use std::cell::Cell;

    thread_local! {
        /// Section and begin of what runs now; `None` when nothing is measured.
        static NOW: Cell<Option<(Section, u64)>> = const { Cell::new(None) };
        static CHARGED_NS: Cell<[u64; 6]> = const { Cell::new([0; 6]) };
    }

    /// Wall time that the simulation's own clock does not replace.
    #[allow(unsafe_code, reason = "the system call itself: madsim replaces the function of the C library")]
    fn wall_ns() -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is valid for the kernel to write one timespec.
        unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut time) };
        // A monotonic clock is never negative.
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
    }

    /// Measures on this thread from now on.
    pub(crate) fn start() {
        NOW.set(Some((Section::Rest, wall_ns())));
        CHARGED_NS.set([0; 6]);
    }

    /// Nanoseconds by section, in the order of [`Section::ALL`]; `None` if nothing was measured.
    pub(crate) fn taken() -> Option<[u64; 6]> {
        switch(Section::Rest)?;
        NOW.set(None);
        Some(CHARGED_NS.get())
    }

    /// Charges what ran until now and goes on with `section`; gives the section before.
    fn switch(section: Section) -> Option<Section> {
        let (before, since) = NOW.get()?;
        let now = wall_ns();
        let mut charged = CHARGED_NS.get();
        if let Some(place) = Section::ALL.iter().position(|known| *known == before) {
            charged[place] += now - since;
        }
        CHARGED_NS.set(charged);
        NOW.set(Some((section, now)));
        Some(before)
    }

    /// Charges to a section until it is dropped.
    pub struct Span(Option<Section>);

    /// Charges what follows to `section`, until the result is dropped.
    pub fn span(section: Section) -> Span {
        Span(switch(section))
    }

    impl Drop for Span {
        fn drop(&mut self) {
            if let Some(before) = self.0 {
                switch(before);
            }
        }
    }
}
