//! The serving modes of the scaling journey, behind one API: one request after the other, a pool of threads,
//! async on one machine, a cluster.
//!
//! The last two are served by [`rt::http::serve`]. The first two are served here, by threads of the operating
//! system, each of which accepts a connection, answers one request and closes it, before it accepts the next
//! one: a node that is sequential has one such thread. They are for comparison on real machines, and not
//! simulated.

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rt::http::PeerAddr;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tower::Service as _;

/// Threads of a pool.
const POOL: usize = 16;
/// How long a thread waits for a connection before it looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);
/// How long a connection may take for its one request and the answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a node serves its API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One request after the other, on one thread; one node.
    Sequential,
    /// As many requests at a time as there are threads; one node.
    Threads,
    /// Any number of connections on an async runtime; one node.
    Async,
    /// The same, in a cluster.
    #[default]
    Cluster,
}

impl Mode {
    /// Threads that serve; `None` where the runtime does.
    pub fn threads(self) -> Option<usize> {
        match self {
            Mode::Sequential => Some(1),
            Mode::Threads => Some(POOL),
            Mode::Async | Mode::Cluster => None,
        }
    }

    /// True if the node is a cluster by itself.
    pub fn is_alone(self) -> bool {
        self != Mode::Cluster
    }
}

impl FromStr for Mode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sequential" => Ok(Mode::Sequential),
            "threads" => Ok(Mode::Threads),
            "async" => Ok(Mode::Async),
            "cluster" => Ok(Mode::Cluster),
            _ => Err(format!("no mode {text:?}; allowed are sequential, threads, async, cluster")),
        }
    }
}

/// Threads that serve. They end soon after this is dropped.
pub struct Threads {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Threads {
    /// Lets requests under way finish. Blocks.
    pub fn end(mut self) {
        self.ending.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // One that panicked has ended too.
            let _ = thread.join();
        }
    }

    /// Serves `router` on `address` with so many threads.
    ///
    /// # Errors
    /// If the address cannot be listened on, or no thread be made.
    pub fn serve(address: &str, router: Router, count: usize) -> std::io::Result<Self> {
        #[allow(clippy::disallowed_methods, reason = "threads of their own serve here, without a runtime")]
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut serving = Threads { address, ending: Arc::default(), threads: Vec::new() };
        for number in 0..count {
            let (listener, router, ending) = (listener.try_clone()?, router.clone(), serving.ending.clone());
            let thread = thread::Builder::new().name(format!("serving-{number}"));
            serving.threads.push(thread.spawn(move || work(listener, &router, &ending))?);
        }
        Ok(serving)
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Not waited for: what they wait for may run on this very thread.
        self.ending.store(true, Ordering::SeqCst);
    }
}

/// One thread: a connection, a request, an answer, and the next connection.
fn work(listener: std::net::TcpListener, router: &Router, ending: &AtomicBool) {
    // Drives this one connection and nothing else: what the answer waits for runs elsewhere.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        while !ending.load(Ordering::SeqCst) {
            // Nobody came, or somebody was gone again already.
            let Ok(Ok((stream, peer))) = rt::time::timeout(LOOK, listener.accept()).await else { continue };
            let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(PeerAddr(peer));
                router.clone().call(request)
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .keep_alive(false)
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service);
            // An error here is the peer's.
            let _ = rt::time::timeout(PATIENCE, connection).await;
        }
    });
}
