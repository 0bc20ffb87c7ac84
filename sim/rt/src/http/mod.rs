//! HTTP/1.1 as real bytes over [`crate::net`]: servers for axum routers and a pooled client.

mod client;
mod connection;
mod server;
mod threads;
mod timer;

pub use client::{Client, ClientOptions, RequestError};
pub use server::{PeerAddr, ServeOptions, Server, serve};
pub use threads::{Threads, serve_with_threads};
