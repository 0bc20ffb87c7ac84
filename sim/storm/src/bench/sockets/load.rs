//! The work that both arms do: requests and answers, over HTTP as our clients and over frames as our
//! replicas.

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Where servers listen.
pub(super) const PORT: u16 = 8080;
/// A frame as replicas exchange: a few entries.
const FRAME_BYTES: usize = 300;

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// hyper's HTTP/1.1 and an axum router, kept-alive connections.
    Http,
    /// Length and bytes, and the same back.
    Frames,
}

impl Work {
    pub(super) fn name(self) -> &'static str {
        match self {
            Work::Http => "http",
            Work::Frames => "frames",
        }
    }
}

/// How much work.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) work: Work,
    /// Machines with a server each; as many have clients.
    pub(super) machines: u64,
    /// Clients, each with one connection.
    pub(super) clients: u64,
    /// Requests of all clients together, about.
    pub(super) requests: u64,
}

impl Load {
    pub(super) fn requests_per_client(self) -> u64 {
        self.requests / self.clients
    }
}

/// What a run took.
pub(super) struct Round {
    pub(super) wall: Duration,
    pub(super) simulated: Duration,
    pub(super) allocations: u64,
    /// Events of the trace; none where there is no trace.
    pub(super) events: u64,
}

/// A kind of simulated sockets and tasks.
pub(super) trait Arm: 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    type Listener: Send + Sync + 'static;

    fn bind(port: u16) -> impl Future<Output = io::Result<Self::Listener>> + Send;
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    fn connect(address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    fn spawn(future: impl Future<Output = ()> + Send + 'static);
    /// Does all the work in a fresh simulation.
    fn run(seed: u64, load: Load) -> anyhow::Result<Round>;
}

/// Serves for ever.
pub(super) async fn serve<A: Arm>(work: Work) {
    let Ok(listener) = A::bind(PORT).await else { return };
    let router = Router::new().route("/echo", post(async |body: Bytes| body));
    while let Ok(stream) = A::accept(&listener).await {
        match work {
            Work::Http => {
                let service = TowerToHyperService::new(router.clone());
                A::spawn(async move {
                    let builder = hyper::server::conn::http1::Builder::new();
                    // It ends with its client.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Work::Frames => A::spawn(async move {
                // It ends with its client.
                let _ = echo(stream).await;
            }),
        }
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut frame = Vec::new();
    loop {
        let len = stream.read_u32().await?;
        frame.resize(4 + usize::try_from(len).unwrap_or(0), 0);
        frame[..4].copy_from_slice(&len.to_be_bytes());
        stream.read_exact(&mut frame[4..]).await?;
        stream.write_all(&frame).await?;
        stream.flush().await?;
    }
}

/// Asks a server so often, one request after the other.
///
/// # Errors
/// If an answer is missing or wrong.
pub(super) async fn ask<A: Arm>(work: Work, address: String, requests: u64) -> anyhow::Result<()> {
    let stream = A::connect(&address).await?;
    match work {
        Work::Http => ask_http::<A>(stream, &address, requests).await,
        Work::Frames => ask_frames(stream, requests).await,
    }
}

async fn ask_http<A: Arm>(stream: A::Stream, host: &str, requests: u64) -> anyhow::Result<()> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    A::spawn(async move { drop(connection.await) });
    for number in 0..requests {
        let text = format!("{{\"name\":\"series-{}\",\"value\":{number}}}", number % 6);
        let request = http::Request::post("/echo")
            .header("host", host)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(text.clone())))?;
        let answer = sender.send_request(request).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        anyhow::ensure!(body == text, "request {number} was answered with {body:?}");
    }
    Ok(())
}

async fn ask_frames(mut stream: impl AsyncRead + AsyncWrite + Unpin, requests: u64) -> anyhow::Result<()> {
    let mut frame = vec![7; 4 + FRAME_BYTES];
    frame[..4].copy_from_slice(&u32::try_from(FRAME_BYTES)?.to_be_bytes());
    let mut answer = vec![0; frame.len()];
    for number in 0..requests {
        frame[4..12].copy_from_slice(&number.to_be_bytes());
        stream.write_all(&frame).await?;
        stream.flush().await?;
        stream.read_exact(&mut answer).await?;
        anyhow::ensure!(answer == frame, "frame {number} came back as another one");
    }
    Ok(())
}
