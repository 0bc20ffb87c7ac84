//! The cluster as routes see it: where a name lives, and how to write and read there.

use crate::http::error::ApiError;
use crate::http::metrics::NodeMetrics;
use crate::meta::Placement;
use crate::partition;
use replica::frame::Consistency;
use replica::gateway::{ReadAnswer, Written};
use replica::start::StatusHandle;
use replica::{Envelope, Gateway, GroupId, NodeId};
use rt::time::Instant;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Which system's habits a listener follows where they contradict each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// All systems, open on loopback.
    #[default]
    Unified,
    /// RaftMetrics: every request needs its token.
    RaftMetrics,
}

/// What a listener's routes work with. Clones share it.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    options: ClusterOptions,
    gateway: Gateway,
    status: StatusHandle,
    placement: OnceLock<Placement>,
    metrics: NodeMetrics,
}

/// Fixed properties of [`Cluster`].
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// This node.
    pub node: NodeId,
    /// Its name, as `GET /health` says it.
    pub name: String,
    /// The listener's profile.
    pub profile: Profile,
    /// True if requests need the token although the profile is open on loopback.
    pub require_token: bool,
    /// The token.
    pub token: String,
    /// How long a request may take inside the cluster.
    pub deadline: Duration,
    /// Largest request body.
    pub max_body_bytes: usize,
}

impl Cluster {
    /// A cluster whose placement is not known yet.
    pub fn new(options: ClusterOptions, gateway: Gateway, status: StatusHandle) -> Self {
        let placement = OnceLock::new();
        Cluster(Arc::new(Inner { options, gateway, status, placement, metrics: NodeMetrics::default() }))
    }

    /// Makes the placement known. Only the first one counts: there is only one.
    pub fn place(&self, placement: Placement) {
        for spec in &placement.partitions {
            self.0.gateway.add_group(spec);
        }
        let _ = self.0.placement.set(placement);
    }

    /// The placement, once it is known.
    pub fn placement(&self) -> Option<&Placement> {
        self.0.placement.get()
    }

    /// Fixed properties.
    pub fn options(&self) -> &ClusterOptions {
        &self.0.options
    }

    /// This node's own measurements.
    pub fn metrics(&self) -> &NodeMetrics {
        &self.0.metrics
    }

    /// How this node's replicas are.
    pub fn status(&self) -> &StatusHandle {
        &self.0.status
    }

    /// The group that `name` lives in.
    ///
    /// # Errors
    /// If the placement is not known yet.
    pub fn group_of(&self, name: &str) -> Result<GroupId, ApiError> {
        let placement = self.placement().ok_or(ApiError::NotReady)?;
        let partitions = u32::try_from(placement.partitions.len()).unwrap_or(u32::MAX);
        Ok(partition::group_of(name, partitions))
    }

    /// The number of the worker that is home to `group`, counted from 1: the same whoever leads.
    pub fn home_worker(&self, group: GroupId) -> u64 {
        let Some(placement) = self.placement() else { return 0 };
        let home = placement.partitions.iter().find(|spec| spec.group == group).map(|spec| spec.home);
        let place = home.and_then(|home| placement.workers.iter().position(|worker| *worker == home));
        place.map_or(0, |place| place as u64 + 1)
    }

    /// Puts a command into a group's log and waits for its answer.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn write(&self, group: GroupId, envelope: Envelope) -> Result<Written, ApiError> {
        let deadline = Instant::now() + self.0.options.deadline;
        Ok(self.0.gateway.write(group, envelope, deadline).await?)
    }

    /// Asks a group's state machine.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn read(
        &self,
        group: GroupId,
        query: Vec<u8>,
        consistency: Consistency,
    ) -> Result<ReadAnswer, ApiError> {
        let deadline = Instant::now() + self.0.options.deadline;
        Ok(self.0.gateway.read(group, query, consistency, deadline).await?)
    }
}
