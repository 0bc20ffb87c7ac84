//! Timers on madsim's clock.
//!
//! madsim's own `Sleep` adds a timer at every poll and waits for a millisecond at least. Ours registers
//! once a deadline and is exact.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

/// Wakes `target` at `deadline` (of the simulated clock), once. The wake happens inside the timer
/// queue's lock: it may only mark and wake tasks, never add a timer.
pub(crate) fn wake_at(clock: &madsim::time::TimeHandle, deadline: Instant, target: Waker) {
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
    slot: Option<Arc<Slot>>,
}

/// Stands between the timer queue and whichever task polled last.
struct Slot(Mutex<Option<Waker>>);

impl Slot {
    fn set(&self, waker: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), waker)
    }
}

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        if let Some(waker) = self.set(None) {
            waker.wake();
        }
    }
}

impl Sleep {
    pub(crate) fn new(deadline: Instant) -> Self {
        Sleep { deadline, slot: None }
    }

    pub(crate) fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if let Some(slot) = self.slot.take() {
            slot.set(None);
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let clock = madsim::time::TimeHandle::current();
        if clock.now_instant() >= self.deadline {
            return Poll::Ready(());
        }
        match &self.slot {
            Some(slot) => {
                slot.set(Some(cx.waker().clone()));
            }
            None => {
                let slot = Arc::new(Slot(Mutex::new(Some(cx.waker().clone()))));
                wake_at(&clock, self.deadline, slot.clone().into());
                self.slot = Some(slot);
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
        if let Some(slot) = &self.slot {
            slot.set(None);
        }
    }
}
