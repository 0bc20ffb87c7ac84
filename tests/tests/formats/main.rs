//! Storage formats: today's nodes open what older ones left behind.
//!
//! | module | what it holds |
//! |---|---|
//! | [`golden`] | whole clusters on golden data folders |
#![allow(clippy::disallowed_methods, reason = "tests unpack real files")]

mod golden;
