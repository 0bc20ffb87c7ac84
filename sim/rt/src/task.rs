//! Tasks, and blocking work beside them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Starts `future` as a task of its own, which goes on when the handle is dropped.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[cfg(feature = "sim")]
    if crate::sim::current().is_some() {
        let future = crate::sim::trace::numbered(future, std::panic::Location::caller());
        return JoinHandle(Handle::Sim(madsim::task::spawn(future)));
    }
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    JoinHandle(Handle::Real(tokio::spawn(future)))
}

/// Runs `work`, which blocks on a disk, without blocking other tasks.
///
/// For real it runs on a blocking thread. In a simulation the machine's disk delay passes first; then
/// the work runs at once and in one poll, so that no other task sees it half done. If the disk's crash
/// point was reached within it, the machine is dead when it ends, and this never returns.
///
/// # Panics
/// If `work` panics.
pub async fn blocking<T, F>(work: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        return world.blocking(work).await;
    }
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    match tokio::task::spawn_blocking(work).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down and this task with it: there is nobody left to answer.
            Err(_) => std::future::pending().await,
        },
    }
}

/// A task that ended without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task was stopped before it ended")]
pub struct Stopped;

/// Waits for a task, or stops it.
pub struct JoinHandle<T>(Handle<T>);

enum Handle<T> {
    Real(tokio::task::JoinHandle<T>),
    #[cfg(feature = "sim")]
    Sim(madsim::task::JoinHandle<T>),
}

impl<T> JoinHandle<T> {
    /// A task that was started on a simulated machine.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(handle: madsim::task::JoinHandle<T>) -> Self {
        JoinHandle(Handle::Sim(handle))
    }

    /// True if the task has ended, or was stopped.
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Handle::Real(handle) => handle.is_finished(),
            #[cfg(feature = "sim")]
            Handle::Sim(handle) => handle.is_finished(),
        }
    }

    /// Stops the task at its next point of waiting.
    pub fn abort(&self) {
        match &self.0 {
            Handle::Real(handle) => handle.abort(),
            #[cfg(feature = "sim")]
            Handle::Sim(handle) => handle.abort(),
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Stopped>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Handle::Real(handle) => Pin::new(handle).poll(cx).map(|r| r.map_err(|_| Stopped)),
            #[cfg(feature = "sim")]
            Handle::Sim(handle) => Pin::new(handle).poll(cx).map(|r| r.map_err(|_| Stopped)),
        }
    }
}

/// Stops its tasks when it is dropped: the lifetime of a node's background work.
#[derive(Default)]
pub struct TaskGroup(std::sync::Mutex<Vec<JoinHandle<()>>>);

impl TaskGroup {
    /// Starts `future` as a task that ends with this group at the latest.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = spawn(future);
        let mut tasks = self.lock();
        // Room for a new one is made by letting go of those that have ended, before more is asked for.
        if tasks.len() == tasks.capacity() {
            tasks.retain(|task| !task.is_finished());
        }
        tasks.push(task);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        // A poisoned list is still a list of tasks to stop.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for TaskGroup {
    fn drop(&mut self) {
        for task in self.lock().drain(..) {
            task.abort();
        }
    }
}
