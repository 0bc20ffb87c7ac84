//! TCP and UDP.

mod tcp;
mod udp;

pub(crate) use tcp::Detached;
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
