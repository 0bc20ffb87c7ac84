//! A client with a pool of kept-alive connections.
//!
//! It never sends a request twice on its own, with one exception that cannot double anything: a request
//! of which no byte had been sent when a pooled connection turned out to be closed goes to a fresh one.

use crate::net::TcpStream;
use crate::profile::{Section, measure};
use crate::task;
use crate::time::{self, Instant};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Limits of a [`Client`].
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Idle connections kept for a host.
    pub max_idle_per_host: usize,
    /// Idle connections older than this are not used again.
    pub idle_timeout: Duration,
    /// Largest body of an answer.
    pub max_body_bytes: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            connect_timeout: Duration::from_secs(1),
            max_idle_per_host: 32,
            idle_timeout: Duration::from_secs(30),
            max_body_bytes: 64 << 20,
        }
    }
}

/// Why there is no answer. [`RequestError::may_have_arrived`] tells whether the request may have had an
/// effect.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No connection; nothing was sent.
    #[error("cannot connect to {host}: {source}")]
    Connect {
        /// The host.
        host: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The deadline passed before the request was sent.
    #[error("deadline passed before the request to {host} was sent")]
    TimedOutUnsent {
        /// The host.
        host: String,
    },
    /// The deadline passed after the request was sent, or partly sent.
    #[error("no answer from {host} before the deadline")]
    TimedOut {
        /// The host.
        host: String,
    },
    /// The connection broke after the request was sent, or partly sent.
    #[error("connection to {host} lost: {source}")]
    Lost {
        /// The host.
        host: String,
        /// What went wrong.
        source: hyper::Error,
    },
    /// The answer's body is larger than [`ClientOptions::max_body_bytes`], or broke off.
    #[error("unusable answer from {host}: {reason}")]
    Body {
        /// The host.
        host: String,
        /// What went wrong.
        reason: String,
    },
}

impl RequestError {
    /// False if the request certainly had no effect.
    pub fn may_have_arrived(&self) -> bool {
        !matches!(self, RequestError::Connect { .. } | RequestError::TimedOutUnsent { .. })
    }
}

type Connection = SendRequest<Full<Bytes>>;

/// Idle connections by host, with the time since when they are idle; the newest last.
type Pool = BTreeMap<String, Vec<(Connection, Instant)>>;

/// Sends requests over kept-alive connections. Clones share the pool.
#[derive(Clone)]
pub struct Client {
    options: ClientOptions,
    idle: Arc<Mutex<Pool>>,
}

impl Client {
    /// A client with an empty pool.
    pub fn new(options: ClientOptions) -> Self {
        Client { options, idle: Arc::default() }
    }

    /// Sends `request` to `host` (`host:port`) and waits for the whole answer until `deadline` from now.
    /// The request's URI holds path and query only; the `Host` header is set here if it is missing.
    ///
    /// # Errors
    /// [`RequestError`] when there is no whole answer. An answer with an error status is an answer.
    pub async fn send(
        &self,
        host: &str,
        mut request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, RequestError> {
        if let Ok(value) = host.parse() {
            request.headers_mut().entry(http::header::HOST).or_insert(value);
        }
        let deadline = Instant::now() + deadline;
        let mut request = request.map(Full::new);
        while let Some(mut connection) = self.take_idle(host) {
            match time::timeout_at(deadline, connection.try_send_request(request)).await {
                Err(time::Elapsed) => return Err(RequestError::TimedOut { host: host.into() }),
                Ok(Ok(response)) => return self.finish(host, connection, response, deadline).await,
                Ok(Err(mut error)) => match error.take_message() {
                    // Not a byte was sent: another connection may take it.
                    Some(unsent) => request = unsent,
                    None => return Err(RequestError::Lost { host: host.into(), source: error.into_error() }),
                },
            }
        }
        let mut connection = self.connect(host, deadline).await?;
        match time::timeout_at(deadline, connection.send_request(request)).await {
            Err(time::Elapsed) => Err(RequestError::TimedOut { host: host.into() }),
            Ok(Ok(response)) => self.finish(host, connection, response, deadline).await,
            Ok(Err(source)) => Err(RequestError::Lost { host: host.into(), source }),
        }
    }

    async fn finish(
        &self,
        host: &str,
        connection: Connection,
        response: Response<hyper::body::Incoming>,
        deadline: Instant,
    ) -> Result<Response<Bytes>, RequestError> {
        let (head, body) = response.into_parts();
        let collected = Limited::new(body, self.options.max_body_bytes).collect();
        match time::timeout_at(deadline, collected).await {
            Err(time::Elapsed) => Err(RequestError::TimedOut { host: host.into() }),
            Ok(Ok(body)) => {
                self.put_idle(host, connection);
                Ok(Response::from_parts(head, body.to_bytes()))
            }
            Ok(Err(error)) => {
                let limit = self.options.max_body_bytes;
                let reason = match error.downcast_ref::<LengthLimitError>() {
                    Some(_) => format!("its body is larger than {limit} bytes"),
                    None => error.to_string(),
                };
                Err(RequestError::Body { host: host.into(), reason })
            }
        }
    }

    async fn connect(&self, host: &str, deadline: Instant) -> Result<Connection, RequestError> {
        let failed = |source| RequestError::Connect { host: host.into(), source };
        let until = deadline.min(Instant::now() + self.options.connect_timeout);
        let stream = match time::timeout_at(until, TcpStream::connect(host)).await {
            Ok(stream) => stream.map_err(failed)?,
            Err(time::Elapsed) if until == deadline => {
                return Err(RequestError::TimedOutUnsent { host: host.into() });
            }
            Err(time::Elapsed) => return Err(failed(std::io::ErrorKind::TimedOut.into())),
        };
        let lost = |source| RequestError::Lost { host: host.into(), source };
        let (connection, driver) = handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // It ends with the connection; how, the request on it learns.
        task::spawn(async move { drop(measure(Section::Http, driver).await) });
        Ok(connection)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self, host: &str) -> Option<Connection> {
        let mut pool = self.pool();
        let idle = pool.get_mut(host)?;
        while let Some((connection, since)) = idle.pop() {
            let usable = !connection.is_closed() && connection.is_ready();
            crate::sometimes!(!usable, "http client: a pooled connection was stale");
            let young = since.elapsed() < self.options.idle_timeout;
            if usable && young && !crate::buggify!("http client: a pooled connection is not used again") {
                return Some(connection);
            }
        }
        None
    }

    fn put_idle(&self, host: &str, connection: Connection) {
        if connection.is_closed() {
            return;
        }
        let mut pool = self.pool();
        let idle = pool.entry(host.to_owned()).or_default();
        if idle.len() < self.options.max_idle_per_host {
            idle.push((connection, Instant::now()));
        }
    }
}
