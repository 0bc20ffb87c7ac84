//! HTTP/1.1 as real bytes over [`crate::net`]: a server for axum routers and a pooled client.

mod client;
mod server;
mod timer;

pub use client::{Client, ClientOptions, RequestError};
pub use server::{PeerAddr, ServeOptions, Server, serve};
