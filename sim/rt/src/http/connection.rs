//! One served connection, from its first request until nobody can miss an answer any more.

use super::server::PeerAddr;
use crate::net::TcpStream;
use crate::time;
use axum::Router;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::Service as _;

/// A peer that goes on sending after its answer is listened to for so long at the longest,
const LINGER: Duration = Duration::from_secs(5);
/// and is left when it has sent nothing for so long.
const LINGER_QUIET: Duration = Duration::from_secs(1);

/// Serves requests that come on `stream` until the connection ends; from `end` on no further ones.
pub(super) async fn serve_connection(
    http: &http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    end: impl Future<Output = ()>,
) {
    let unread = Arc::new(AtomicBool::new(false));
    let routed = Routed { router: router.clone(), peer, unread: unread.clone() };
    let mut connection = http.serve_connection(TokioIo::new(stream), routed);
    // An error is the peer's: a broken request or a lost connection. hyper has answered it.
    crate::select! {
        _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => {}
        () = end => {
            Pin::new(&mut connection).graceful_shutdown();
            let _ = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
        }
    }
    let parts = connection.into_parts();
    let still_sending = unread.load(Ordering::Relaxed) || !parts.read_buf.is_empty();
    close(parts.io.into_inner(), still_sending).await;
}

/// Closes a connection. One that is closed with bytes unread is reset, and a peer that is reset while it
/// sends never reads the answer that lies ready for it (RFC 9112 §9.6): so what it still sends is read first.
async fn close(mut stream: TcpStream, still_sending: bool) {
    if stream.shutdown().await.is_err() || !still_sending {
        return;
    }
    let mut nobody_reads_this = [0; 8192];
    let _ = time::timeout(LINGER, async {
        while let Ok(Ok(1..)) = time::timeout(LINGER_QUIET, stream.read(&mut nobody_reads_this)).await {}
    })
    .await;
}

/// The router, for one connection.
struct Routed {
    router: Router,
    peer: SocketAddr,
    /// True while the body of the last request has not been read to its end.
    unread: Arc<AtomicBool>,
}

impl Service<hyper::Request<Incoming>> for Routed {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let mut request = request.map(|body| Watched::new(body, self.unread.clone()));
        request.extensions_mut().insert(PeerAddr(self.peer));
        // Cloning a router copies one pointer; calling it needs it mutable.
        self.router.clone().call(request)
    }
}

/// A body that says whether it was read to its end.
struct Watched {
    body: Incoming,
    unread: Arc<AtomicBool>,
}

impl Watched {
    fn new(body: Incoming, unread: Arc<AtomicBool>) -> Self {
        unread.store(!body.is_end_stream(), Ordering::Relaxed);
        Watched { body, unread }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.unread.store(false, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
