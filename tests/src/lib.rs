//! Helpers of the tests that need more than one crate. Everything here blocks and uses the standard
//! library alone, so that a test's own mistakes are not those of the code under test.
//!
//! | module | what it holds |
//! |---|---|
//! | [`wire`] | HTTP/1.1 as bytes on a plain socket |
//! | [`client`] | requests one after another over it |
//! | [`process`] | nodes and other programs as processes of their own |
//! | [`ports`] | addresses that nobody else takes meanwhile |
//! | [`random`] | numbers from a fixed seed |
//! | [`wait`] | waiting for a condition, with a deadline |

#![allow(clippy::disallowed_methods, reason = "tests look at real nodes from the outside")]

pub mod client;
pub mod ports;
pub mod process;
pub mod random;
pub mod wait;
pub mod wire;
