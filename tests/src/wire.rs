//! HTTP/1.1 as bytes on a plain socket, blocking.
//!
//! A client library would put right what tests send wrong on purpose, so there is none here. Leaves out
//! what nodes never send: chunked answers, compression, redirects.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait for a byte: longer than a node takes for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it will be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without headers or body.
    pub fn new(method: &str, target: &str) -> Self {
        Request { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A `POST` of JSON.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Request { body: body.into(), ..Request::new("POST", target) }.with("Content-Type", "application/json")
    }

    /// The same with another body.
    pub fn with_body(self, body: impl Into<Vec<u8>>) -> Self {
        Request { body: body.into(), ..self }
    }

    /// The same with one header more.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// What goes over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nHost: test\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if self.method == "POST" || !self.body.is_empty() {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers as they came.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is no UTF-8 shows as such.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection on which anything can be sent.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub fn end_sending(&mut self) {
        // The other side may be gone already, which is as good.
        let _ = self.0.get_ref().shutdown(Shutdown::Write);
    }

    /// A second handle, to send while another thread reads.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn sender(&self) -> io::Result<TcpStream> {
        self.0.get_ref().try_clone()
    }

    /// True if something comes, or the connection ends, within `patience`.
    pub fn hears_within(&mut self, patience: Duration) -> bool {
        let set = |reader: &BufReader<TcpStream>, time| drop(reader.get_ref().set_read_timeout(Some(time)));
        set(&self.0, patience);
        let heard = self.0.fill_buf().is_ok();
        set(&self.0, PATIENCE);
        heard
    }

    /// The next answer; `None` when the connection ended before one began. Answers that only say
    /// "go on" are left out.
    ///
    /// # Errors
    /// If the connection breaks, nothing comes, or what comes is not an answer.
    pub fn answer(&mut self) -> io::Result<Option<Answer>> {
        loop {
            match self.any_answer()? {
                Some(answer) if answer.status < 200 => {}
                answer => return Ok(answer),
            }
        }
    }

    fn any_answer(&mut self) -> io::Result<Option<Answer>> {
        let Some(line) = self.line()? else { return Ok(None) };
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status = status.ok_or_else(|| broken(&format!("no status line: {line:?}")))?;
        let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = self.line()?.ok_or_else(|| broken("the headers broke off"))?;
            if line.is_empty() {
                break;
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| broken(&format!("no header: {line:?}")))?;
            answer.headers.push((name.into(), value.trim().into()));
        }
        let length = answer.header("content-length").map_or(Ok(0), str::parse);
        let length: usize = length.map_err(|_| broken("a content length that is no number"))?;
        answer.body.resize(length, 0);
        self.0.read_exact(&mut answer.body)?;
        Ok(Some(answer))
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        if self.0.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Everything until the other side ends the connection, or breaks it.
    ///
    /// # Errors
    /// If it does neither within [`PATIENCE`], whatever it sends meanwhile.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        while Instant::now() < deadline {
            match self.0.read(&mut piece) {
                Ok(0) => return Ok(bytes),
                Ok(count) => bytes.extend(&piece[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A reset is an end too.
                Err(_) => return Ok(bytes),
            }
        }
        Err(ErrorKind::TimedOut.into())
    }
}

fn broken(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}

/// Percent-encodes a path segment.
pub fn encode(segment: &str) -> String {
    let mut encoded = String::new();
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            // Writing into memory has no way to fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
