//! What all routes share.

pub mod auth;
pub mod body;
pub mod error;
pub mod exposition;
pub mod health;
pub mod metrics;
pub mod router;
pub mod timestamp;
