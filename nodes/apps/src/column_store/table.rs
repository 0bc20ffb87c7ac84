//! What an app's table in the column store is.

use super::store::Store;
use crate::cluster::Cluster;
use replica::GroupId;
use replica::frame::Consistency;
use std::pin::Pin;

/// Yes or no, or why that cannot be told.
pub type Told<'a> = Pin<Box<dyn Future<Output = Result<bool, String>> + Send + 'a>>;

/// Data of one app, as they come from partitions that number them. Both questions are asked for one
/// partition at a time, and never twice at once for the same one.
pub trait Table: Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// True if what is held of a partition is this cluster's, or nothing. Asked once, before anything is
    /// brought: the folder may have been another cluster's.
    fn is_ours<'a>(&'a self, store: &'a Store, cluster: &'a Cluster, group: GroupId) -> Told<'a>;

    /// Brings all of a partition that is missing. False if more is held than the cluster has.
    fn bring<'a>(
        &'a self,
        store: &'a Store,
        cluster: &'a Cluster,
        group: GroupId,
        consistency: Consistency,
    ) -> Told<'a>;
}
