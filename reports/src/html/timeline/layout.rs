//! Where everything on the timeline goes, from top to bottom: violation label, a row for each fault kind,
//! a lane for each node, the strip of operations, the time axis.

use std::collections::BTreeSet;

use crate::html::chart::plot::Frame;
use crate::html::chart::scale::Scale;
use crate::model::Timeline;

pub(super) const WIDTH: f64 = 1180.0;
pub(super) const LEFT: f64 = 122.0;
pub(super) const RIGHT: f64 = 16.0;
/// Height of a fault kind's row.
pub(super) const KIND: f64 = 16.0;
/// Height of the top part of a lane, for the names of faults.
pub(super) const LABEL: f64 = 14.0;
/// Height of a leadership bar with the space below it.
pub(super) const BAR: f64 = 14.0;

const TOP: f64 = 24.0;
const GAP: f64 = 12.0;
const LANE_PADDING: f64 = 4.0;
const STRIP: f64 = 130.0;
const BOTTOM: f64 = 42.0;

/// A timeline with a place for everything on it.
pub(super) struct Layout<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) x: Scale,
    /// Fault kinds, and the tops of their rows.
    pub(super) kinds: Vec<(&'a str, f64)>,
    pub(super) lanes: Vec<Lane<'a>>,
    /// Raft groups of the whole timeline; the place in this list gives the colour.
    pub(super) groups: Vec<u64>,
    /// Top and bottom of the strip of operations.
    pub(super) strip: (f64, f64),
}

/// A node's lane.
pub(super) struct Lane<'a> {
    pub(super) node: &'a str,
    pub(super) top: f64,
    pub(super) height: f64,
    /// Groups that the node leads at some time, one row each.
    pub(super) groups: Vec<u64>,
}

impl<'a> Layout<'a> {
    pub(super) fn of(timeline: &'a Timeline) -> Self {
        let x = Scale::linear(0.0, timeline.end_seconds, (LEFT, WIDTH - RIGHT));
        let mut y = TOP;
        let kinds: BTreeSet<&str> = timeline.faults.iter().map(|fault| fault.kind.as_str()).collect();
        let kinds: Vec<(&str, f64)> = kinds.into_iter().map(|kind| (kind, take(&mut y, KIND))).collect();
        y += if kinds.is_empty() { 0.0 } else { GAP };
        let lanes: Vec<Lane> = timeline.nodes.iter().map(|node| lane(timeline, node, &mut y)).collect();
        y += if lanes.is_empty() { 0.0 } else { GAP };
        Self { timeline, x, kinds, lanes, groups: groups(timeline), strip: (y, y + STRIP) }
    }

    /// Where rows and lanes begin.
    pub(super) fn top(&self) -> f64 {
        TOP
    }

    pub(super) fn frame(&self) -> Frame {
        let height = self.strip.1 + BOTTOM;
        Frame { width: WIDTH, height, left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM }
    }
}

/// Raft groups that have a leader at some time, in order.
pub(super) fn groups(timeline: &Timeline) -> Vec<u64> {
    let groups: BTreeSet<u64> = timeline.leaderships.iter().map(|bar| bar.group).collect();
    groups.into_iter().collect()
}

fn lane<'a>(timeline: &Timeline, node: &'a str, y: &mut f64) -> Lane<'a> {
    let led = timeline.leaderships.iter().filter(|bar| bar.node == node).map(|bar| bar.group);
    let groups: Vec<u64> = led.collect::<BTreeSet<u64>>().into_iter().collect();
    let height = LABEL + groups.len().max(1) as f64 * BAR + LANE_PADDING;
    Lane { node, top: take(y, height), height, groups }
}

fn take(y: &mut f64, height: f64) -> f64 {
    let top = *y;
    *y += height;
    top
}
