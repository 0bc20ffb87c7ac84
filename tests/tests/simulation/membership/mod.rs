//! Nodes that come, go, and lose their disks, while the cluster serves. Every test ends with all judges.
//!
//! | module | what it holds |
//! |---|---|
//! | [`town`] | a cluster in a world, with clients at work and judges watching |
//! | [`beyond`] | more damage than can be survived |
//! | [`changes`] | join, leave, replace; one at a time and at once |
//! | [`wiped`] | disks that are gone: the id is never used again |
//! | [`moved`] | members that are reached elsewhere than before |
//! | [`rotten`] | disks that rot under running nodes |
//! | [`storms`] | changes under crashes and cuts |
//! | [`rolling`] | joining, leaving and replacing everybody under cuts, crashes and slow links |
//! | [`returns`] | a replica that comes back to a group which it had left |
//! | [`waits`] | a change whose new voter is down: nobody is promoted, nothing is deleted |
//! | [`regions`] | members in three regions: the loss of any one stops nothing |
//! | [`formats`] | a cluster that moves from an older format to today's, node by node |

mod beyond;
mod changes;
mod formats;
mod moved;
mod regions;
mod returns;
mod rolling;
mod rotten;
mod storms;
mod town;
mod waits;
mod wiped;
