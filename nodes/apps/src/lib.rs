//! The replicated state machines and their routes, one folder each, all folders shaped alike:
//! `command` (what the log holds), `state` (what applying it does), `query`, `routes`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`meta`] | who belongs to the cluster, and which partition lives where (group 0) |
//! | [`raftmetrics`] | RaftMetrics (groups 1 and up) |
//! | [`partition`] | from a name to its partition |
//! | [`http`] | what all routes share: errors, auth, negotiation, metrics |
//! | [`cluster`] | the cluster as routes see it |

pub mod cluster;
pub mod http;
pub mod meta;
pub mod partition;
pub mod raftmetrics;

use replica::{GroupId, StateMachine};

/// The group that holds members and placement.
pub const META_GROUP: GroupId = 0;

/// The empty state machine of `group`. A new app is registered here.
pub fn machine(group: GroupId) -> Box<dyn StateMachine> {
    if group == META_GROUP {
        Box::new(meta::State::default())
    } else {
        Box::new(raftmetrics::State::default())
    }
}
