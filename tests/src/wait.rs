//! Waiting for a condition, with a deadline that only a broken system reaches.

use std::time::{Duration, Instant};

/// Long enough for an election on a machine that is busy with other tests.
pub const LONG: Duration = Duration::from_secs(40);

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not within [`LONG`]; `what` says what was waited for.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    if !holds_within(LONG, &mut condition) {
        panic!("waited {LONG:?} in vain: {what}");
    }
}

/// True if `condition` comes to hold within `patience`.
pub fn holds_within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
