//! Conformance of the two arms: every behaviour of `rt` that others rely on has one body here, which runs
//! on the real arm and, with the feature `sim`, on the simulated one.
//!
//! | module | what it holds |
//! |---|---|
//! | [`arms`] | how a body is run on either arm |
//! | [`task`], [`time`], [`random`] | tasks, clocks, randomness |
//! | [`tcp`], [`tcp_ends`] | connections while they live, and how they end |
//! | [`udp`] | datagrams |
//! | [`http_client`], [`http_pool`], [`http_server`], [`http_threads`] | HTTP over them |
//! | [`disk`] | files and directories |
//!
//! Leaves out what only a simulation can do (faults, repeatability): that is `simulation`.
#![allow(clippy::disallowed_methods, reason = "the real arm's own runtime starts the bodies")]

#[macro_use]
mod arms;
mod disk;
mod http_client;
mod http_pool;
mod http_server;
mod http_threads;
mod random;
mod task;
mod tcp;
mod tcp_ends;
mod time;
mod udp;
