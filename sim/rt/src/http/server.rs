//! Serving an axum `Router`, with limits on slow headers and on connections, and a graceful end.

use super::connection::serve_connection;
use super::timer::Timer;
use crate::net::{TcpListener, TcpStream};
use crate::profile::{Section, measure};
use crate::{task, time};
use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// A connection that has not sent all headers of a request after this time is closed.
    pub header_read_timeout: Duration,
    /// Connections served at a time; more wait to be accepted.
    pub max_connections: usize,
    /// How long a graceful end waits for requests under way.
    pub drain: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        ServeOptions {
            header_read_timeout: Duration::from_secs(10),
            max_connections: 4096,
            drain: Duration::from_secs(5),
        }
    }
}

/// Address of the peer, in the extensions of each request: `axum::Extension<PeerAddr>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// A running server. It ends when this is dropped; [`Server::shutdown`] ends it gracefully.
pub struct Server {
    shared: Arc<Shared>,
    accepting: task::JoinHandle<()>,
    address: SocketAddr,
}

struct Shared {
    router: Router,
    options: ServeOptions,
    slots: Arc<Semaphore>,
    ending: AtomicBool,
    /// Told once, when the server begins to end.
    end: Notify,
}

/// Serves `router` on `listener` until the returned [`Server`] ends.
///
/// # Errors
/// If the listener does not know its address.
pub fn serve(listener: TcpListener, router: Router, options: ServeOptions) -> std::io::Result<Server> {
    let address = listener.local_addr()?;
    let shared = Arc::new(Shared {
        router,
        options,
        slots: Arc::new(Semaphore::new(options.max_connections)),
        ending: AtomicBool::new(false),
        end: Notify::new(),
    });
    let accepting = task::spawn(accept(listener, shared.clone()));
    Ok(Server { shared, accepting, address })
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok(slot) = shared.slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let shared = shared.clone();
                task::spawn(async move {
                    measure(Section::Http, serve_one(stream, peer, &shared)).await;
                    drop(slot);
                });
            }
            // Out of file handles, or the peer was gone already: the next one may do better.
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve_one(stream: TcpStream, peer: SocketAddr, shared: &Shared) {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(Timer)
        .header_read_timeout(shared.options.header_read_timeout)
        // Who has sent a whole request and closed its side still waits for the answer.
        .half_close(true);
    let end = async {
        let mut told = std::pin::pin!(shared.end.notified());
        // Registered before the look at the flag, so that no end slips through between them.
        told.as_mut().enable();
        if !shared.ending.load(Ordering::SeqCst) {
            told.await;
        }
    };
    serve_connection(&http, stream, peer, &shared.router, end).await;
}

impl Server {
    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets requests under way finish for [`ServeOptions::drain`] at the longest.
    pub async fn shutdown(mut self) {
        self.accepting.abort();
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.end.notify_waiters();
        // The address is free when the task that holds the listener is gone, not when it is told to go.
        let _ = (&mut self.accepting).await;
        let all = u32::try_from(self.shared.options.max_connections).unwrap_or(u32::MAX);
        // Either all connections are gone, or the time is up: both end it.
        let _ = time::timeout(self.shared.options.drain, self.shared.slots.acquire_many(all)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.end.notify_waiters();
    }
}
