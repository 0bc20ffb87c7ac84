//! Time: a monotonic clock for intervals and a wall clock for dates, kept apart, and sleeping.

use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A moment on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(std::time::Instant);

impl Instant {
    /// Now.
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    pub fn now() -> Self {
        #[cfg(feature = "sim")]
        if let Some(world) = crate::sim::current() {
            return Instant(world.monotonic());
        }
        Instant(std::time::Instant::now())
    }

    pub(crate) fn from_std(instant: std::time::Instant) -> Self {
        Instant(instant)
    }

    pub(crate) fn into_std(self) -> std::time::Instant {
        self.0
    }

    /// Time since `self`; zero if `self` lies ahead.
    pub fn elapsed(self) -> Duration {
        Instant::now() - self
    }

    /// `self - earlier`, zero if `earlier` is later.
    pub fn saturating_duration_since(self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0 + duration)
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

/// Milliseconds since the Unix epoch on the wall clock, which may jump.
#[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
pub fn wall_ms() -> u64 {
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        return world.wall_ms();
    }
    millis(std::time::SystemTime::now())
}

fn millis(time: std::time::SystemTime) -> u64 {
    // A clock set before 1970 reads as 1970: dates are for people, nothing is decided by them.
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Waits for `duration`.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    #[cfg(feature = "sim")]
    if crate::sim::current().is_some() {
        return Sleep(Arm::Sim(crate::sim::timer::Sleep::here(deadline.0)));
    }
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    Sleep(Arm::Real(Box::pin(tokio::time::sleep_until(deadline.0.into()))))
}

/// The future behind [`sleep`].
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep(Arm);

enum Arm {
    Real(Pin<Box<tokio::time::Sleep>>),
    #[cfg(feature = "sim")]
    Sim(crate::sim::timer::Sleep),
}

impl Sleep {
    /// Moves the deadline.
    pub fn reset(&mut self, deadline: Instant) {
        match &mut self.0 {
            Arm::Real(sleep) => sleep.as_mut().reset(deadline.0.into()),
            #[cfg(feature = "sim")]
            Arm::Sim(sleep) => sleep.reset(deadline.0),
        }
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Arm::Real(sleep) => sleep.as_mut().poll(cx),
            #[cfg(feature = "sim")]
            Arm::Sim(sleep) => sleep.poll(cx),
        }
    }
}

/// The deadline passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline has elapsed")]
pub struct Elapsed;

/// Runs `future` for at most `duration`, then drops it.
///
/// # Errors
/// [`Elapsed`] if the time is over first.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(Instant::now() + duration, future).await
}

/// Runs `future` until `deadline` at the latest, then drops it.
///
/// # Errors
/// [`Elapsed`] if the time is over first.
pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    crate::select! {
        output = future => Ok(output),
        _ = sleep_until(deadline) => Err(Elapsed),
    }
}

/// Ticks at a fixed period from now on; late ticks are skipped, never made up for.
pub fn interval(period: Duration) -> Interval {
    let next = Instant::now() + period;
    Interval { period, next, sleep: sleep_until(next) }
}

/// See [`interval`].
pub struct Interval {
    period: Duration,
    next: Instant,
    sleep: Sleep,
}

impl Interval {
    /// Waits for the next tick. Safe to drop before it ends: no tick is lost.
    pub async fn tick(&mut self) {
        (&mut self.sleep).await;
        let now = Instant::now();
        self.next = self.next + self.period;
        if self.next <= now {
            self.next = now + self.period;
        }
        self.sleep.reset(self.next);
    }
}
