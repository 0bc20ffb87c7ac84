//! User functions, and the bounded pool that they run on.

use super::Counts;
use crate::http::error::ApiError;
use http::StatusCode;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
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
    /// [`ApiError`] if too much waits already, the function refuses its input, or it panics.
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
            // Users write functions: one that panics fails its own task, and no more.
            std::panic::catch_unwind(AssertUnwindSafe(|| function.call(data, &params, &cancelled)))
        });
        let done = done.await;
        drop(cancels);
        counts.task_micros.inc_by(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        done.map_err(|_| ApiError::Internal)?.map_err(|text| ApiError::invalid("invalid-data", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt::time::{sleep, timeout};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(20);

    /// Works until it is cancelled, if it is told to, and counts how many of it work at once.
    #[derive(Default)]
    struct Slow {
        running: AtomicUsize,
        most: AtomicUsize,
        cancelled: AtomicUsize,
    }

    impl Function for Slow {
        fn name(&self) -> &'static str {
            "Slow"
        }

        fn call(&self, data: Vec<u8>, params: &[u8], cancelled: &Cancelled) -> Result<Vec<u8>, String> {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            while params == b"until cancelled" && !cancelled.is() {
                std::hint::spin_loop();
            }
            self.cancelled.fetch_add(usize::from(cancelled.is()), Ordering::SeqCst);
            self.running.fetch_sub(1, Ordering::SeqCst);
            match params {
                b"panic" => panic!("a bug of its own"),
                b"refuse" => Err("not this".into()),
                _ => Ok(data),
            }
        }
    }

    fn run(story: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async { timeout(LONG, story).await.expect("it ends") });
    }

    #[test]
    fn a_function_ends_with_its_request() {
        run(async {
            let (functions, slow, counts) =
                (Functions::default(), Arc::new(Slow::default()), Counts::default());
            let task = functions.run(slow.clone(), vec![], b"until cancelled".to_vec(), &counts);
            assert!(
                timeout(Duration::from_millis(50), task).await.is_err(),
                "it goes on while somebody waits"
            );
            while slow.cancelled.load(Ordering::SeqCst) == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(functions.load(), 0);
        });
    }

    #[test]
    fn the_pool_is_bounded_and_too_many_are_refused() {
        run(async {
            let (functions, slow) = (Arc::new(Functions::default()), Arc::new(Slow::default()));
            let mut tasks = Vec::new();
            for _ in 0..WAITING {
                let (functions, slow) = (functions.clone(), slow.clone());
                tasks.push(rt::task::spawn(async move {
                    functions.run(slow, vec![], b"until cancelled".to_vec(), &Counts::default()).await
                }));
            }
            // All are in, and as many as may run do.
            while functions.load() < WAITING as u32 || slow.most.load(Ordering::SeqCst) < RUNNING {
                sleep(Duration::from_millis(1)).await;
            }
            let refused = functions.run(slow.clone(), vec![], vec![], &Counts::default()).await.unwrap_err();
            assert_eq!(refused.to_problem().status, 503);
            tasks.iter().for_each(rt::task::JoinHandle::abort);
            for task in tasks {
                assert!(task.await.is_err(), "it was stopped");
            }
            assert_eq!(slow.most.load(Ordering::SeqCst), RUNNING);
            let answer = functions.run(slow, b"x".to_vec(), vec![], &Counts::default()).await;
            assert_eq!(answer.unwrap(), b"x", "there is room again");
        });
    }

    #[test]
    fn one_that_panics_or_refuses_fails_alone() {
        run(async {
            let (functions, slow, counts) =
                (Functions::default(), Arc::new(Slow::default()), Counts::default());
            for (params, status) in [("panic", 500), ("refuse", 400)] {
                for _ in 0..RUNNING + 1 {
                    let task = functions.run(slow.clone(), vec![], params.into(), &counts);
                    assert_eq!(task.await.unwrap_err().to_problem().status, status, "{params}");
                }
            }
            assert_eq!(functions.run(slow, b"x".to_vec(), vec![], &counts).await.unwrap(), b"x");
        });
    }
}
