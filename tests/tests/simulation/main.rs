//! What only a simulation can do: faults on purpose, and the same history again.
//!
//! | module | what it holds |
//! |---|---|
//! | [`stage`] | worlds of idle machines for the tests here |
//! | [`trio`] | three nodes and a client |
//! | [`cuts`], [`dead_ends`] | cut ways; what peers of a dead machine notice |
//! | [`links`], [`clogs`], [`datagrams`] | degraded links; clogs and flapping; datagrams on them |
//! | [`half_open`] | connections of which one end knows more than the other; blocked connects |
//! | [`machines`], [`afterlife`] | crash, power loss, pause, restart; nothing acts after its death |
//! | [`disk`], [`crash_points`] | what is left of writes and of names |
//! | [`disk_faults`] | errors, slowness and damage |
//! | [`clocks`], [`bad_clocks`] | clocks that go wrong, and what they decide: limits, timeouts, elections |
//! | [`export_crashes`] | `metrics.jsonl` dies at every disk operation of a run |
//! | [`store_crashes`] | the store dies at every disk operation of a run |
//! | [`snapshot_crashes`] | a follower dies at every disk operation of a snapshot |
//! | [`sites`] | trouble on purpose, laws and states in the code |
//! | [`endings`] | how a simulation itself ends |
//! | [`determinism`] | one seed, one history |
//! | [`cluster`], [`raft3d`], [`plans`] | our cluster in the storm, and each of its systems; plans as files |
//! | [`membership`] | nodes that come, go, lose their disks; older formats |
//! | [`cases`] | seeds that failed once |
#![cfg(feature = "sim")]
#![allow(clippy::disallowed_methods, reason = "tests read real files from outside the simulation")]

mod afterlife;
mod analytics;
mod bad_clocks;
mod cases;
mod clocks;
mod clogs;
mod cluster;
mod crash_points;
mod cuts;
mod datagrams;
mod dead_ends;
mod determinism;
mod disk;
mod disk_faults;
mod endings;
mod export_crashes;
mod half_open;
mod kinds;
mod links;
mod machines;
mod membership;
mod plans;
mod queues;
mod raft3d;
mod serving_modes;
mod sites;
mod snapshot_crashes;
mod stage;
mod store_crashes;
mod trio;
