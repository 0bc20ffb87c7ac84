//! TCP, with `TCP_NODELAY` always on.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Connections that wait to be accepted, as tokio asks for.
#[cfg(feature = "sim")]
const BACKLOG: u32 = 1024;

/// Waits for connections.
pub struct TcpListener(Listener);

enum Listener {
    Real(tokio::net::TcpListener),
    #[cfg(feature = "sim")]
    Sim(crate::sim::net::Listener),
}

impl TcpListener {
    /// Binds `address` (`host:port`; port 0 picks a free one).
    ///
    /// # Errors
    /// As the operating system says, most often `AddrInUse`.
    pub async fn bind(address: &str) -> io::Result<Self> {
        #[cfg(feature = "sim")]
        if let Some(world) = crate::sim::current() {
            return Ok(TcpListener(Listener::Sim(world.listen(address, BACKLOG)?)));
        }
        #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
        Ok(TcpListener(Listener::Real(tokio::net::TcpListener::bind(address).await?)))
    }

    /// Like [`TcpListener::bind`], on an address with an IP, with room for about `backlog` connections that
    /// wait to be accepted. Requests beyond that are not answered, and sent again by their kernels.
    ///
    /// # Errors
    /// As the operating system says, most often `AddrInUse`.
    pub async fn bind_with_backlog(address: &str, backlog: u32) -> io::Result<Self> {
        #[cfg(feature = "sim")]
        if let Some(world) = crate::sim::current() {
            return Ok(TcpListener(Listener::Sim(world.listen(address, backlog)?)));
        }
        let invalid = |_| io::Error::new(io::ErrorKind::InvalidInput, format!("{address:?} is not IP:port"));
        let address: SocketAddr = address.parse().map_err(invalid)?;
        let v4 = address.is_ipv4();
        let socket = if v4 { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(TcpListener(Listener::Real(socket.listen(backlog)?)))
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// As the operating system says; most are passing (out of file handles), so try again after a pause.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.0 {
            Listener::Real(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((TcpStream(Stream::Real(stream)), peer))
            }
            #[cfg(feature = "sim")]
            Listener::Sim(listener) => {
                let stream = listener.accept().await?;
                let peer = stream.peer_addr();
                Ok((TcpStream(Stream::Sim(stream)), peer))
            }
        }
    }

    /// For threads that have runtimes of their own: the operating system's listener, which waits for its
    /// next runtime. The simulated one as it is.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        match self.0 {
            Listener::Real(listener) => Ok(Detached::Real(listener.into_std()?)),
            #[cfg(feature = "sim")]
            Listener::Sim(_) => Ok(Detached::Sim(self)),
        }
    }

    /// A listener of the runtime that this is called on.
    pub(crate) fn attach(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(TcpListener(Listener::Real(tokio::net::TcpListener::from_std(listener)?)))
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Listener::Real(listener) => listener.local_addr(),
            #[cfg(feature = "sim")]
            Listener::Sim(listener) => Ok(listener.local_addr()),
        }
    }
}

/// A listener without a runtime.
pub(crate) enum Detached {
    Real(std::net::TcpListener),
    #[cfg(feature = "sim")]
    Sim(TcpListener),
}

/// A connection.
pub struct TcpStream(Stream);

enum Stream {
    Real(tokio::net::TcpStream),
    #[cfg(feature = "sim")]
    Sim(crate::sim::net::Stream),
}

impl TcpStream {
    /// Connects to `address` (`host:port`). Sets no deadline: wrap it in [`crate::time::timeout`].
    ///
    /// # Errors
    /// As the operating system says: `ConnectionRefused`, `TimedOut`, …
    pub async fn connect(address: &str) -> io::Result<Self> {
        #[cfg(feature = "sim")]
        if let Some(world) = crate::sim::current() {
            return Ok(TcpStream(Stream::Sim(world.connect(address).await?)));
        }
        #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(TcpStream(Stream::Real(stream)))
    }

    /// Address of the other end.
    ///
    /// # Errors
    /// As the operating system says, most often that the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Stream::Real(stream) => stream.peer_addr(),
            #[cfg(feature = "sim")]
            Stream::Sim(stream) => Ok(stream.peer_addr()),
        }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Stream::Real(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(feature = "sim")]
            Stream::Sim(stream) => stream.poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Stream::Real(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(feature = "sim")]
            Stream::Sim(stream) => stream.poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Stream::Real(stream) => Pin::new(stream).poll_flush(cx),
            // Written bytes are on their way at once, as with TCP_NODELAY.
            #[cfg(feature = "sim")]
            Stream::Sim(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Stream::Real(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "sim")]
            Stream::Sim(stream) => Poll::Ready(stream.shutdown()),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Stream::Real(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            #[cfg(feature = "sim")]
            Stream::Sim(stream) => {
                // No write takes more than a window: a large body is not copied anew for every part of it.
                let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
                let joined: Vec<u8> = bytes.take(crate::sim::net::WINDOW_BYTES).collect();
                stream.poll_write(cx, &joined)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
