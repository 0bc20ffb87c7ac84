//! User functions, and the bounded pool that they run on.

use super::Counts;
use crate::http::error::ApiError;
use http::StatusCode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Semaphore;

/// Functions that run at once on a node.
const RUNNING: usize = 4;
/// Functions that run or wait on a node at most.
const WAITING: usize = 256;

/// A service of bytes.
pub trait Function: Send + Sync + 'static {
    /// What clients call it.
    fn name(&self) -> &'static str;

    /// Does the work, on a thread where it may block. Long work looks at `cancelled` now and then.
    ///
    /// # Errors
    /// A text that says what is wrong with the input.
    fn call(&self, data: Vec<u8>, params: &[u8], cancelled: &Cancelled) -> Result<Vec<u8>, String>;
}

/// True once nobody waits for the answer any more.
#[derive(Clone, Debug, Default)]
pub struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    /// Whether that is so.
    pub fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Cancels when it is dropped: with the request, or after the answer, when it means nothing.
struct Cancels(Cancelled);

impl Drop for Cancels {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// The functions of a node.
pub struct Functions {
    by_name: RwLock<BTreeMap<&'static str, Arc<dyn Function>>>,
    pool: Arc<Semaphore>,
    load: AtomicUsize,
}

impl Default for Functions {
    fn default() -> Self {
        let (by_name, load) = (RwLock::default(), AtomicUsize::new(0));
        Functions { by_name, pool: Arc::new(Semaphore::new(RUNNING)), load }
    }
}

/// Counts as load while it lives.
struct Load<'a>(&'a AtomicUsize);

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Functions {
    /// Makes a function known; it replaces an older one of its name.
    pub fn register(&self, function: Arc<dyn Function>) {
        let mut known = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(function.name(), function);
    }

    /// The function of that name.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Function>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Tasks that run or wait.
    pub fn load(&self) -> u32 {
        u32::try_from(self.load.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// Runs a function on the pool.
    ///
    /// # Errors
    /// [`ApiError`] if too much waits already, or the function refuses its input.
    pub async fn run(
        &self,
        function: Arc<dyn Function>,
        data: Vec<u8>,
        params: Vec<u8>,
        counts: &Counts,
    ) -> Result<Vec<u8>, ApiError> {
        let busy = self.load.fetch_add(1, Ordering::Relaxed) >= WAITING;
        let _load = Load(&self.load);
        let full = || {
            let text = format!("{WAITING} tasks run or wait here; try again in a moment");
            ApiError::app(StatusCode::SERVICE_UNAVAILABLE, "busy", "Overloaded", text)
        };
        if busy {
            return Err(full());
        }
        let permit = self.pool.clone().acquire_owned().await.map_err(|_| full())?;
        let started = rt::time::Instant::now();
        let cancels = Cancels(Cancelled::default());
        let cancelled = cancels.0.clone();
        let done = rt::task::blocking(move || {
            // Held until the thread is free again, also if nobody waits any more.
            let _permit = permit;
            function.call(data, &params, &cancelled)
        });
        let done = done.await;
        counts.task_micros.inc_by(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        done.map_err(|text| ApiError::invalid("invalid-data", text))
    }
}
