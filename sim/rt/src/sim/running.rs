//! A simulation under way, and how it ends. Leaves out how it is built: that is [`super::Simulation`].

use super::SimulationError;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A simulation under way on a thread of its own, see [`super::Simulation::start`]. It goes on if this is
/// dropped.
pub struct Running<T> {
    thread: JoinHandle<()>,
    result: Receiver<T>,
    limit: Duration,
    began: Instant,
}

impl<T> Running<T> {
    #[allow(clippy::disallowed_methods, reason = "the limit is one of wall time")]
    pub(super) fn new(thread: JoinHandle<()>, result: Receiver<T>, limit: Duration) -> Self {
        Running { thread, result, limit, began: Instant::now() }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`SimulationError`] if anything inside panics, or everything waits for ever.
    pub fn wait(self) -> Result<T, SimulationError> {
        match self.result.recv_timeout(self.limit.saturating_sub(self.began.elapsed())) {
            Ok(output) => return Ok(output),
            Err(RecvTimeoutError::Timeout) => return Err(SimulationError::Hung(self.limit)),
            // The thread has panicked, or is about to end without a result.
            Err(RecvTimeoutError::Disconnected) => {}
        }
        let ended = self.thread.join().map(|()| "ended without a result".to_owned());
        let text = ended.unwrap_or_else(|panic| panic_text(&*panic));
        Err(SimulationError::Panicked(text))
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "without a message".into())
}

/// How many simulations this machine can run at a time.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
