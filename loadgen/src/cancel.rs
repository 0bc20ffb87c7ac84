//! Ending a run early.
//!
//! Goose installs a Ctrl-C handler of its own, over whatever handler is there, unless one was installed
//! through the same crate (`ctrlc`) before. So a program that wants Ctrl-C for itself takes it with
//! [`CancelToken::on_ctrl_c`] before its first run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Exit code of a program that is interrupted a second time.
const INTERRUPTED: i32 = 130;

/// Says that a run should end now, with what it has. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that nobody has cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The process-wide token that the first Ctrl-C cancels. A second Ctrl-C ends the process.
    ///
    /// Where the signal cannot be had (something else took it through the same crate), the token is an
    /// ordinary one.
    pub fn on_ctrl_c() -> Self {
        static TOKEN: OnceLock<CancelToken> = OnceLock::new();
        TOKEN
            .get_or_init(|| {
                let token = CancelToken::new();
                let cancelled = token.clone();
                let _taken = ctrlc::set_handler(move || {
                    if cancelled.is_cancelled() {
                        std::process::exit(INTERRUPTED);
                    }
                    cancelled.cancel();
                });
                token
            })
            .clone()
    }

    /// Asks the run to end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Was the run asked to end?
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl From<Arc<AtomicBool>> for CancelToken {
    /// A token over a flag that the caller already has.
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}
