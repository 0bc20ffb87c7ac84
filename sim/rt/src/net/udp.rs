//! UDP: datagrams without any promise.

use std::io;
use std::net::SocketAddr;

/// Sends and receives datagrams. What is sent may be lost, come twice or overtake what was sent before,
/// and nobody is told.
pub struct UdpSocket(Socket);

enum Socket {
    Real(tokio::net::UdpSocket),
    #[cfg(feature = "sim")]
    Sim(crate::sim::net::Socket),
}

impl UdpSocket {
    /// Binds `address` (`host:port`; port 0 picks a free one).
    ///
    /// # Errors
    /// As the operating system says, most often `AddrInUse`.
    pub async fn bind(address: &str) -> io::Result<Self> {
        #[cfg(feature = "sim")]
        if let Some(world) = crate::sim::current() {
            return Ok(UdpSocket(Socket::Sim(world.bind_datagrams(address)?)));
        }
        Ok(UdpSocket(Socket::Real(tokio::net::UdpSocket::bind(address).await?)))
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Socket::Real(socket) => socket.local_addr(),
            #[cfg(feature = "sim")]
            Socket::Sim(socket) => Ok(socket.local_addr()),
        }
    }

    /// Sends `bytes` as one datagram to `address` (`host:port`).
    ///
    /// # Errors
    /// As the operating system says, most often that it is too large (more than 65,507 bytes over IPv4).
    /// That nobody is there is no error.
    pub async fn send_to(&self, bytes: &[u8], address: &str) -> io::Result<usize> {
        match &self.0 {
            Socket::Real(socket) => socket.send_to(bytes, address).await,
            #[cfg(feature = "sim")]
            Socket::Sim(socket) => socket.send_to(bytes, address),
        }
    }

    /// Waits for the next datagram and gives its length and its sender. What does not fit into `buffer`
    /// is cut off.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match &self.0 {
            Socket::Real(socket) => socket.recv_from(buffer).await,
            #[cfg(feature = "sim")]
            Socket::Sim(socket) => socket.recv_from(buffer).await,
        }
    }
}
