//! Serving with a fixed number of threads, each of which accepts a connection, answers one request and closes
//! it, before it accepts the next one: what servers did before they were async. One thread is a server that
//! answers one request after the other.
//!
//! For real they are threads of the operating system. In a simulation they are tasks that serve in the same
//! way: who waits for whom is the same.

use super::connection::serve_connection;
use super::timer::Timer;
use crate::net::{Detached, TcpListener, TcpStream};
use crate::{task, time};
use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::watch;

/// How long a connection may take for its one request and the answer, and how long a graceful end waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// Threads that serve. They end when this is dropped, each after the connection that it serves;
/// [`Threads::shutdown`] waits for that.
pub struct Threads {
    address: SocketAddr,
    workers: Vec<Worker>,
    /// Its end ends them.
    _alive: watch::Sender<()>,
}

enum Worker {
    Real(thread::JoinHandle<()>),
    #[cfg(feature = "sim")]
    Sim(task::JoinHandle<()>),
}

/// Serves `router` on `listener` with so many threads, until the returned [`Threads`] end.
///
/// # Errors
/// As the operating system says, if it gives no thread or no handle of the listener.
pub fn serve_with_threads(listener: TcpListener, router: Router, count: usize) -> std::io::Result<Threads> {
    let address = listener.local_addr()?;
    let (alive, ending) = watch::channel(());
    let mut workers = Vec::with_capacity(count);
    match listener.detach()? {
        Detached::Real(listener) => {
            for number in 0..count {
                let work = thread_of(listener.try_clone()?, router.clone(), ending.clone());
                let thread = thread::Builder::new().name(format!("serving-{number}")).spawn(work)?;
                workers.push(Worker::Real(thread));
            }
        }
        #[cfg(feature = "sim")]
        Detached::Sim(listener) => {
            let listener = Arc::new(listener);
            for _ in 0..count {
                let work = serve_in_turn(listener.clone(), router.clone(), ending.clone());
                workers.push(Worker::Sim(task::spawn(work)));
            }
        }
    }
    Ok(Threads { address, workers, _alive: alive })
}

/// What a thread does: it drives one connection and nothing else. What an answer waits for runs elsewhere.
fn thread_of(
    listener: std::net::TcpListener,
    router: Router,
    ending: watch::Receiver<()>,
) -> impl FnOnce() + Send + 'static {
    move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime.inspect_err(|error| tracing::error!(%error, "no runtime to serve with"))
        else {
            return;
        };
        runtime.block_on(async {
            match TcpListener::attach(listener) {
                Ok(listener) => serve_in_turn(Arc::new(listener), router, ending).await,
                Err(error) => tracing::error!(%error, "the listener cannot be served"),
            }
        });
    }
}

/// A connection, a request, an answer, and the next connection.
async fn serve_in_turn(listener: Arc<TcpListener>, router: Router, mut ending: watch::Receiver<()>) {
    loop {
        let accepted = crate::select! {
            accepted = listener.accept() => accepted,
            // Nothing is ever sent: the sender is gone.
            _ = ending.changed() => return,
        };
        match accepted {
            // Who is slow is left alone in the end; an error is the peer's.
            Ok((stream, peer)) => drop(time::timeout(PATIENCE, serve_one(stream, peer, &router)).await),
            // Out of file handles, or the peer was gone already: the next one may do better.
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve_one(stream: TcpStream, peer: SocketAddr, router: &Router) {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(Timer)
        .keep_alive(false)
        // Who has sent a whole request and closed its side still waits for the answer.
        .half_close(true);
    serve_connection(&http, stream, peer, router, std::future::pending()).await;
}

impl Threads {
    /// The address they listen on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, and waits until those that are served have ended.
    pub async fn shutdown(self) {
        let Threads { workers, _alive, .. } = self;
        drop(_alive);
        for worker in workers {
            // One that panicked has ended too, and none takes longer than its connection may.
            match worker {
                Worker::Real(thread) => drop(task::blocking(move || thread.join()).await),
                #[cfg(feature = "sim")]
                Worker::Sim(task) => drop(task.await),
            }
        }
    }
}
