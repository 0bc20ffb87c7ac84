//! What all routes share.

pub mod auth;
pub mod body;
mod discovery;
pub mod error;
pub mod exposition;
pub mod health;
pub mod idempotency;
pub mod limiter;
pub mod metrics;
pub mod metrics_path;
pub mod openapi;
pub mod rate_limit;
pub mod router;
pub mod timestamp;
