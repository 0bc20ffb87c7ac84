//! Runs one test body on the real arm and on the simulated one.
//!
//! A body is an `async fn(Place)`. It asks its [`Place`] for what differs between the arms, a folder and
//! a second machine, and for nothing else.

use rt::net::{TcpListener, UdpSocket};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Makes two tests of each body: `real::name` and, with the feature `sim`, `simulated::name`.
macro_rules! both_arms {
    ($($body:ident),+ $(,)?) => {
        mod real {
            $(#[test] fn $body() { crate::arms::run_real(super::$body); })+
        }
        #[cfg(feature = "sim")]
        mod simulated {
            $(#[test] fn $body() { crate::arms::run_simulated(super::$body); })+
        }
    };
}

/// A body that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a body runs.
#[derive(Clone)]
pub struct Place {
    /// An empty folder.
    pub folder: PathBuf,
    bind: &'static str,
    start_elsewhere: Arc<dyn Fn(Task) + Send + Sync>,
}

impl Place {
    /// A listener on a free port that the other machine reaches as well.
    pub async fn listen(&self) -> TcpListener {
        TcpListener::bind(self.bind).await.expect("a free port")
    }

    /// The same, with room for about `backlog` connections that wait.
    pub async fn listen_with_backlog(&self, backlog: u32) -> TcpListener {
        TcpListener::bind_with_backlog(self.bind, backlog).await.expect("a free port")
    }

    /// A socket for datagrams on a free port that the other machine reaches as well.
    pub async fn datagrams(&self) -> UdpSocket {
        UdpSocket::bind(self.bind).await.expect("a free port")
    }

    /// Runs `future` on another machine, which for real is this one, and waits for what it gives.
    pub fn elsewhere<T, F>(&self, future: F) -> impl Future<Output = T> + Send + use<T, F>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        (self.start_elsewhere)(Box::pin(async move {
            // Nobody waits any more: then nobody wants to know.
            let _ = sender.send(future.await);
        }));
        async move { receiver.await.expect("the task on the other machine gives a value") }
    }
}

/// Runs `body` on tokio, with a folder of its own.
pub fn run_real<F: Future<Output = ()> + Send + 'static>(body: fn(Place) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let place = Place {
        folder: folder.path().to_owned(),
        bind: "127.0.0.1:0",
        start_elsewhere: Arc::new(move |task| drop(handle.spawn(task))),
    };
    runtime.block_on(async {
        let body = tokio::spawn(body(place));
        match tokio::time::timeout(PATIENCE, body).await.expect("the body hangs") {
            Ok(()) => {}
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    });
    // A blocking thread or a task that waits for ever must not hold the test back.
    runtime.shutdown_background();
}

/// Runs `body` in simulations of a few seeds.
#[cfg(feature = "sim")]
pub fn run_simulated<F: Future<Output = ()> + Send + 'static>(body: fn(Place) -> F) {
    use rt::sim::{Options, Simulation};
    for seed in 0..4 {
        let outcome = Simulation::run(seed, Options::default(), move |world| async move {
            let here = world.add_machine("here", "10.0.0.1".parse().unwrap(), std::future::pending::<()>);
            let there = world.add_machine("there", "10.0.0.2".parse().unwrap(), std::future::pending::<()>);
            let other = Arc::downgrade(&world);
            let place = Place {
                folder: "/data".into(),
                bind: "0.0.0.0:0",
                start_elsewhere: Arc::new(move |task| {
                    drop(other.upgrade().expect("the simulation runs").spawn_on(there, task));
                }),
            };
            let body = world.spawn_on(here, async move {
                let folder = place.folder.clone();
                rt::task::blocking(move || rt::disk::create_dir_all(&folder)).await.unwrap();
                body(place).await;
            });
            rt::time::timeout(PATIENCE, body).await
        });
        match outcome {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(stopped))) => panic!("seed {seed}: the body was stopped: {stopped:?}"),
            Ok(Err(_)) => panic!("seed {seed}: the body hangs"),
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
}
