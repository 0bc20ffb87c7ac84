//! The process asked for points: see `engine::duck`, whose methods these are from afar.

use super::remote::{PATIENCE, Remote, gone};
use super::{Answer, Request};
use crate::EngineError;
use crate::points::{Batch, Held, Kept, Point};

impl Remote {
    /// As [`crate::duck::Duck::held`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn held(&self, partition: u64) -> Result<Held, EngineError> {
        self.held_after(&Request::Held(partition))
    }

    /// As [`crate::duck::Duck::append_points`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn append_points(&self, partition: u64, batch: Batch) -> Result<Held, EngineError> {
        self.held_after(&Request::AppendPoints { partition, batch })
    }

    fn held_after(&self, request: &Request) -> Result<Held, EngineError> {
        match self.request(request, PATIENCE)? {
            Answer::Held(held) => Ok(held),
            _ => Err(gone("a strange answer")),
        }
    }

    /// As [`crate::duck::Duck::forget_points`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn forget_points(&self, partition: u64, kept: Kept) -> Result<(), EngineError> {
        self.request(&Request::ForgetPoints { partition, kept }, PATIENCE).map(drop)
    }

    /// As [`crate::duck::Duck::clear_points`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn clear_points(&self, partition: u64) -> Result<(), EngineError> {
        self.request(&Request::ClearPoints(partition), PATIENCE).map(drop)
    }

    /// As [`crate::duck::Duck::last_point`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn last_point(&self, partition: u64) -> Result<Option<Point>, EngineError> {
        match self.request(&Request::LastPoint(partition), PATIENCE)? {
            Answer::LastPoint(point) => Ok(point),
            _ => Err(gone("a strange answer")),
        }
    }
}
