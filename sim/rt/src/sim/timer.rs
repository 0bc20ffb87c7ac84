//! Timers: on the world's clock, or on that of a machine.
//!
//! madsim's own `Sleep` adds a timer at every poll and waits for a millisecond at least. Ours registers
//! once a deadline and is exact. One that follows a machine's clock is set anew when that clock changes
//! its speed.

use super::clock::{Due, Owner};
use madsim::time::TimeHandle;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

/// Wakes `target` at `deadline` (of the simulated clock), once. The wake happens inside the timer
/// queue's lock: it may only mark and wake tasks, never add a timer.
pub(crate) fn wake_at(clock: &TimeHandle, deadline: Instant, target: Waker) {
    let mut sleep = pin!(clock.sleep_until(deadline));
    // `reset` knows no least duration, unlike the constructor.
    sleep.as_mut().reset(deadline);
    if sleep.as_mut().poll(&mut Context::from_waker(&target)).is_ready() {
        target.wake();
    }
}

/// A future that ends at its deadline.
pub(crate) struct Sleep {
    deadline: Instant,
    /// Whose clock the deadline is on; `None` is the world's.
    owner: Option<Owner>,
    armed: Option<Armed>,
}

/// A timer that is set.
struct Armed {
    /// In the world's time.
    at: Instant,
    /// The owner's count of changes of speed when it was set.
    speeds: u32,
    slot: Arc<Slot>,
}

/// Stands between the timer queue and whichever task polled last.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Waker>>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while a task waits for it.
    pub(crate) fn is_waiting(&self) -> bool {
        self.lock().is_some()
    }

    /// Who waits; not any more.
    pub(crate) fn take(&self) -> Option<Waker> {
        self.lock().take()
    }
}

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }
}

impl Sleep {
    /// Until `deadline` in the world's time.
    pub(crate) fn new(deadline: Instant) -> Self {
        Sleep { deadline, owner: None, armed: None }
    }

    /// Until `deadline` on the clock of the current task's machine.
    pub(crate) fn here(deadline: Instant) -> Self {
        Sleep { deadline, owner: Owner::here(), armed: None }
    }

    /// Moves the deadline; it is on the clock of the current task's machine.
    pub(crate) fn reset(&mut self, deadline: Instant) {
        self.disarm();
        (self.deadline, self.owner) = (deadline, Owner::here());
    }

    fn disarm(&mut self) {
        if let Some(armed) = self.armed.take() {
            armed.slot.take();
        }
    }

    fn due(&self, clock: &TimeHandle) -> Due {
        match (self.owner, super::current()) {
            (Some(owner), Some(world)) => world.due(owner, self.deadline),
            _ if clock.now_instant() >= self.deadline => Due::Now,
            _ => Due::At { world: self.deadline, speeds: 0 },
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let clock = TimeHandle::current();
        let Due::At { world: at, speeds } = self.due(&clock) else { return Poll::Ready(()) };
        match &self.armed {
            Some(armed) if armed.speeds == speeds && armed.at > clock.now_instant() => {
                *armed.slot.lock() = Some(cx.waker().clone());
            }
            _ => {
                self.disarm();
                let slot = Arc::new(Slot(Mutex::new(Some(cx.waker().clone()))));
                if let (Some(owner), Some(world)) = (self.owner, super::current()) {
                    world.watch_timer(owner, &slot);
                }
                wake_at(&clock, at, slot.clone().into());
                self.armed = Some(Armed { at, speeds, slot });
            }
        }
        Poll::Pending
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Sleep::poll(&mut self, cx)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}
