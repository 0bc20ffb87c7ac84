//! Distri for programs: bytes in, bytes out, over its byte protocol or over HTTP.
//!
//! | module | what it holds |
//! |---|---|
//! | [`frame`] | the frames of the byte protocol |
//! | [`hex`] | bytes as hexadecimal digits |
//! | [`prove`] | how a node proves who it is |
//! | [`session`] | the client |
//! | `transport` | one exchange with one node |
//! | [`peer`] | programs that find each other through the cloud |
//! | [`trial`] | the two tests by which it is measured |

pub mod frame;
pub mod hex;
pub mod peer;
pub mod prove;
pub mod session;
mod transport;
pub mod trial;

pub use frame::{MAX_FRAME_BYTES, Request, Response};
pub use peer::{Handler, Peer, PeerInfo};
pub use session::{Client, ClientOptions, NodeInfo, SendError, Transport};
pub use transport::LOAD_HEADER;
