//! Keeps goose's log lines off the terminal.
//!
//! Goose installs a process-wide logger whose least level is `warn`, and warns of every request that
//! failed to connect: against a dead cluster that is 10,000 lines a second. Its first moment is spent at
//! `warn`; then the level goes back to what it was, so that nobody else's lines are lost.

/// Remembers the level of the process's log; dropping it puts the level back.
pub(crate) struct Hush(log::LevelFilter);

impl Hush {
    /// Remembers the level as it is.
    pub(crate) fn new() -> Self {
        Self(log::max_level())
    }
}

impl Drop for Hush {
    fn drop(&mut self) {
        log::set_max_level(self.0);
    }
}
