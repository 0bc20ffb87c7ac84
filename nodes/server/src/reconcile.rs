//! What the meta leader asks of all groups, until they are as the table of members wants them.
//!
//! It remembers nothing that matters: whoever leads next begins by asking every group again, and a group
//! that is as wanted answers at once. Groups are asked side by side, not one after the other: one that
//! waits for a dead node must not hold up the others.

use crate::placing::Post;
use apps::meta::{Command, Table};
use replica::GroupId;
use replica::frame::Response;
use rt::time::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest wait for a group's leader: it answers at once, or is asked again.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known to be done.
#[derive(Default)]
pub(crate) struct Reconciler {
    version: u64,
    settled: BTreeSet<GroupId>,
}

impl Reconciler {
    /// Asks every group that is not known to be as wanted; removes members that nobody needs any more.
    /// True if nothing is left to do.
    pub(crate) async fn step(&mut self, post: &Post, table: &Table) -> bool {
        if self.version != table.version {
            *self = Reconciler { version: table.version, settled: BTreeSet::new() };
        }
        let targets = table.targets();
        let groups = targets.len();
        for target in targets {
            let group = target.group;
            if self.settled.contains(&group) {
                continue;
            }
            let answer = post.gateway.reconfigure(target, Instant::now() + PATIENCE).await;
            match answer {
                Some(Response::Members { settled: true, .. }) => drop(self.settled.insert(group)),
                answer => tracing::debug!(group, ?answer, "group is not yet as wanted"),
            }
        }
        if self.settled.len() < groups {
            return false;
        }
        let free = table.can_be_removed();
        for node in &free {
            post.propose(&Command::Removed { node: *node }).await;
        }
        free.is_empty()
    }
}
