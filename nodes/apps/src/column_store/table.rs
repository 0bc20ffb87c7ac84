//! What an app's table in the column store is.

use super::store::Store;
use crate::cluster::Cluster;
use replica::GroupId;
use replica::frame::Consistency;
use std::pin::Pin;

/// Yes or no, or why that cannot be told.
pub type Told<'a> = Pin<Box<dyn Future<Output = Result<bool, String>> + Send + 'a>>;

/// Asks about a partition's part.
pub type IsOurs = for<'a> fn(&'a Store, &'a Cluster, GroupId) -> Told<'a>;

/// Brings a partition's part.
pub type Bring = for<'a> fn(&'a Store, &'a Cluster, GroupId, Consistency) -> Told<'a>;

/// Data of one app, as they come from partitions that number them. Both questions are asked for one
/// partition at a time, and never twice at once for the same one.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// True if what is held of a partition is this cluster's, or nothing. Asked once, before anything is
    /// brought: the folder may have been another cluster's.
    pub is_ours: IsOurs,
    /// Brings all of a partition that is missing. False if more is held than the cluster has.
    pub bring: Bring,
}
