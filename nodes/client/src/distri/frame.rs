//! The frames of the byte protocol. All numbers are big-endian.
//!
//! A frame is its length (u32, at most [`MAX_FRAME_BYTES`]) and so many bytes. One request after the other
//! goes over a connection, and is answered before the next; an end of the connection cancels what runs.
//!
//! | request | bytes |
//! |---|---|
//! | service | length (u16), then UTF-8: `Encrypt`, `AddDocument<users>`, … |
//! | key | length (u16), then ASCII; empty for none: makes a retried write harmless |
//! | params | length (u32), then bytes |
//! | data | the rest |
//!
//! | response | bytes |
//! |---|---|
//! | status | u16, with HTTP's meaning; 200 is success |
//! | load | u32: tasks that run or wait at the node |
//! | data | the rest; for an error the problem as JSON |

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest frame: an image of 8 MiB and what stands before it.
pub const MAX_FRAME_BYTES: usize = (8 << 20) + (64 << 10);

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The service.
    pub service: String,
    /// Idempotency key; empty for none.
    pub key: String,
    /// Parameters.
    pub params: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// As in HTTP.
    pub status: u16,
    /// Tasks that run or wait at the node.
    pub load: u32,
    /// The data, or the problem.
    pub data: Vec<u8>,
}

/// Takes `length` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], length: usize, what: &str) -> Result<&'a [u8], String> {
    let (taken, rest) =
        bytes.split_at_checked(length).ok_or_else(|| format!("the frame ends within {what}"))?;
    *bytes = rest;
    Ok(taken)
}

fn take_u16(bytes: &mut &[u8], what: &str) -> Result<usize, String> {
    Ok(take(bytes, 2, what)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

fn take_u32(bytes: &mut &[u8], what: &str) -> Result<u32, String> {
    Ok(take(bytes, 4, what)?.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
}

fn text(bytes: &[u8], what: &str) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| format!("{what} is not UTF-8"))
}

impl Request {
    /// The frame's bytes, without its length.
    ///
    /// # Errors
    /// If a field is longer than its length can say.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let short = |text: &str| u16::try_from(text.len()).map_err(|_| format!("{} bytes", text.len()));
        let params = u32::try_from(self.params.len()).map_err(|_| "params too long".to_owned())?;
        let mut bytes = Vec::with_capacity(self.data.len() + self.params.len() + 64);
        bytes.extend(short(&self.service)?.to_be_bytes());
        bytes.extend(self.service.as_bytes());
        bytes.extend(short(&self.key)?.to_be_bytes());
        bytes.extend(self.key.as_bytes());
        bytes.extend(params.to_be_bytes());
        bytes.extend(&self.params);
        bytes.extend(&self.data);
        Ok(bytes)
    }

    /// The request in a frame.
    ///
    /// # Errors
    /// A text that says where the frame is wrong.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, String> {
        let length = take_u16(&mut bytes, "the service's length")?;
        let service = text(take(&mut bytes, length, "the service")?, "the service")?;
        let length = take_u16(&mut bytes, "the key's length")?;
        let key = text(take(&mut bytes, length, "the key")?, "the key")?;
        let length = take_u32(&mut bytes, "the params' length")?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let params = take(&mut bytes, length, "the params")?.to_vec();
        Ok(Request { service, key, params, data: bytes.to_vec() })
    }
}

impl Response {
    /// The frame's bytes, without its length.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.data.len() + 6);
        bytes.extend(self.status.to_be_bytes());
        bytes.extend(self.load.to_be_bytes());
        bytes.extend(&self.data);
        bytes
    }

    /// The response in a frame.
    ///
    /// # Errors
    /// A text that says where the frame is wrong.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, String> {
        let status = u16::try_from(take_u16(&mut bytes, "the status")?).unwrap_or(u16::MAX);
        let load = take_u32(&mut bytes, "the load")?;
        Ok(Response { status, load, data: bytes.to_vec() })
    }
}

/// Writes a frame.
///
/// # Errors
/// If it is too long, or cannot be written.
pub async fn write<W: AsyncWrite + Unpin>(writer: &mut W, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_FRAME_BYTES);
    let length = length.ok_or_else(|| too_long(payload.len()))?;
    writer.write_all(&length.to_be_bytes()).await?;
    writer.write_all(payload).await?;
    writer.flush().await
}

/// Reads a frame's length; `None` if the connection ended before it.
///
/// # Errors
/// If the frame is too long, or the connection broke.
pub async fn read_length<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Option<usize>> {
    let mut length = [0; 4];
    if reader.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    reader.read_exact(&mut length[1..]).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_FRAME_BYTES { Err(too_long(length)) } else { Ok(Some(length)) }
}

/// Reads a frame's bytes. What was announced and never comes takes no memory.
///
/// # Errors
/// If the connection ends within the frame.
pub async fn read_payload<R: AsyncRead + Unpin>(reader: &mut R, length: usize) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    reader.take(length as u64).read_to_end(&mut payload).await?;
    if payload.len() < length {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within a frame"));
    }
    Ok(payload)
}

fn too_long(length: usize) -> io::Error {
    let text = format!("a frame of {length} bytes; the limit is {MAX_FRAME_BYTES}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back() {
        let request = Request {
            service: "AddDocument<users>".into(),
            key: "k".into(),
            params: vec![1],
            data: vec![0, 255],
        };
        let bytes = request.encode().unwrap();
        assert_eq!(Request::decode(&bytes), Ok(request.clone()));
        // Cut anywhere before the data, it is refused.
        for end in 0..bytes.len() - 2 {
            Request::decode(&bytes[..end]).unwrap_err();
        }
        let response = Response { status: 404, load: 7, data: vec![9] };
        assert_eq!(Response::decode(&response.encode()), Ok(response));
        Response::decode(&[0, 200, 0]).unwrap_err();
    }

    #[test]
    fn the_documented_bytes() {
        let request =
            Request { service: "Encrypt".into(), key: "k".into(), params: vec![], data: vec![1, 2] };
        assert_eq!(request.encode().unwrap(), b"\0\x07Encrypt\0\x01k\0\0\0\0\x01\x02");
    }
}
