//! One exchange with one node, over the byte protocol or over HTTP.

use super::frame::{self, Request, Response};
use super::session::{ClientOptions, Transport};
use super::{hex, prove};
use bytes::Bytes;
use rt::net::TcpStream;
use rt::time::{self, Instant};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};

/// Idle connections kept for each node.
const IDLE_PER_NODE: usize = 64;
/// Header with the tasks that run or wait at a node.
pub const LOAD_HEADER: &str = "x-distri-load";

/// Why there is no answer.
pub(super) struct Failure {
    /// In words.
    pub text: String,
    /// True if the request may have arrived.
    pub arrived: bool,
}

impl Failure {
    fn unsent(text: String) -> Self {
        Failure { text, arrived: false }
    }
}

/// Connections to nodes.
pub(super) struct Wire {
    options: ClientOptions,
    idle: Mutex<BTreeMap<String, Vec<TcpStream>>>,
    http: rt::http::Client,
}

impl Wire {
    pub fn new(options: ClientOptions) -> Self {
        let connect_timeout = options.connect;
        let http = rt::http::ClientOptions { connect_timeout, ..rt::http::ClientOptions::default() };
        Wire { options, idle: Mutex::default(), http: rt::http::Client::new(http) }
    }

    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Sends a request to a node, once, and waits for the answer.
    pub async fn exchange(
        &self,
        address: &str,
        request: &Request,
        limit: Instant,
    ) -> Result<Response, Failure> {
        match self.options.transport {
            Transport::Bytes => self.over_bytes(address, request, limit).await,
            Transport::Http => self.over_http(address, request, limit).await,
        }
    }

    fn with_idle<T>(&self, address: &str, work: impl FnOnce(&mut Vec<TcpStream>) -> T) -> T {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        work(idle.entry(address.to_owned()).or_default())
    }

    async fn over_bytes(
        &self,
        address: &str,
        request: &Request,
        limit: Instant,
    ) -> Result<Response, Failure> {
        let bytes = request.encode().map_err(Failure::unsent)?;
        let mut arrived = false;
        let work = async {
            while let Some(mut stream) = self.with_idle(address, Vec::pop) {
                if has_ended(&mut stream).await {
                    continue;
                }
                arrived = true;
                if let Ok(response) = exchange(&mut stream, &bytes).await {
                    return Ok((stream, response));
                }
                // It was closed meanwhile: another try is for who knows whether the request has a key.
                return Err(format!("{address} closed the connection"));
            }
            let mut stream = self.connect(address, limit).await?;
            arrived = true;
            let response = exchange(&mut stream, &bytes).await?;
            Ok::<_, String>((stream, response))
        };
        let done = time::timeout_at(limit, work).await;
        let done = done.unwrap_or_else(|_| Err(format!("{address} did not answer in time")));
        let (stream, response) = done.map_err(|text| Failure { text, arrived })?;
        self.with_idle(address, |idle| {
            if idle.len() < IDLE_PER_NODE {
                idle.push(stream);
            }
        });
        Ok(response)
    }

    async fn connect(&self, address: &str, limit: Instant) -> Result<TcpStream, String> {
        let limit = limit.min(Instant::now() + self.options.connect);
        let connected = time::timeout_at(limit, TcpStream::connect(address)).await;
        let connected = connected.map_err(|_| format!("{address}: no connection in time"))?;
        let mut stream = connected.map_err(|error| format!("{address}: {error}"))?;
        let ask = |service: &str, data| Request { service: service.into(), data, ..Request::default() };
        let refused = |response: Response| format!("{address}: {}", String::from_utf8_lossy(&response.data));
        if let Some(token) = &self.options.token {
            let known = exchange(&mut stream, &ask("Token", token.clone().into()).encode()?).await?;
            if known.status != 200 {
                return Err(refused(known));
            }
        }
        if let Some(secret) = &self.options.secret {
            let challenge = exchange(&mut stream, &ask("Challenge", Vec::new()).encode()?).await?;
            let proof = prove::sign(secret, &challenge.data);
            let proved = exchange(&mut stream, &ask("Prove", proof).encode()?).await?;
            if proved.status != 200 {
                return Err(refused(proved));
            }
        }
        Ok(stream)
    }

    async fn over_http(&self, address: &str, request: &Request, limit: Instant) -> Result<Response, Failure> {
        let mut http = http::Request::post(uri(request));
        if !request.key.is_empty() {
            http = http.header(crate::IDEMPOTENCY_KEY, &request.key);
        }
        if let Some(token) = &self.options.token {
            http = http.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = Bytes::from(request.data.clone());
        let http = http.body(body).map_err(|error| Failure::unsent(error.to_string()))?;
        let patience = limit.saturating_duration_since(Instant::now());
        let answer = self.http.send(address, http, patience).await;
        let answer =
            answer.map_err(|error| Failure { text: error.to_string(), arrived: error.may_have_arrived() })?;
        let load = answer.headers().get(LOAD_HEADER).and_then(|load| load.to_str().ok()?.parse().ok());
        let (status, load) = (answer.status().as_u16(), load.unwrap_or(0));
        Ok(Response { status, load, data: answer.into_body().into() })
    }
}

/// `AddDocument<users>` is at `/distri/AddDocument/users`.
fn uri(request: &Request) -> String {
    let inside = request.service.strip_suffix('>').and_then(|service| service.split_once('<'));
    let (service, collection) = inside.map_or((request.service.as_str(), None), |(a, b)| (a, Some(b)));
    let mut uri = "/distri".to_owned();
    for part in std::iter::once(service).chain(collection) {
        uri.push('/');
        for byte in part.bytes() {
            // Writing into a string has no way to fail.
            let _ = match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    write!(uri, "{}", byte as char)
                }
                _ => write!(uri, "%{byte:02X}"),
            };
        }
    }
    if !request.params.is_empty() {
        uri.push_str("?params=");
        uri.push_str(&hex::encode(&request.params));
    }
    uri
}

/// True if the other side has closed the connection, as far as is known here, or says something unasked.
async fn has_ended(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut buffer).is_ready())).await
}

async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<Response, String> {
    let text = |error: std::io::Error| error.to_string();
    frame::write(stream, request).await.map_err(text)?;
    let length = frame::read_length(stream).await.map_err(text)?;
    let length = length.ok_or("the node closed the connection")?;
    Response::decode(&frame::read_payload(stream, length).await.map_err(text)?)
}

/// How long a connection may take to be made, if nobody says.
pub(super) const CONNECT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_paths() {
        let uri = |service: &str, params: &[u8]| {
            uri(&Request { service: service.into(), params: params.into(), ..Request::default() })
        };
        assert_eq!(uri("Encrypt", b""), "/distri/Encrypt");
        assert_eq!(uri("AddDocument<users>", b""), "/distri/AddDocument/users");
        assert_eq!(uri("a/b?c", &[1, 255]), "/distri/a%2Fb%3Fc?params=01ff");
    }
}
