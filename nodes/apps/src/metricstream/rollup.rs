//! Stream processing: what the points of a block sum up to, for each series and pane of time.
//!
//! A *pane* is [`PANE_MS`] long and aligned to the Unix epoch. Every block leaves one row of panes when it
//! is sealed. A tumbling window is some panes next to each other, a sliding one too, with the next window
//! beginning before the last one ends: both are put together from panes when they are asked for. A point
//! that comes late is in the panes of a later block, and so in its window all the same.
//!
//! All of it follows from the log: a retry that the table of keys answers adds nothing, and a replica that
//! was rebuilt from a snapshot has the same panes.

use super::accumulator::{Accumulator, Need, Stored};
use super::columns::Columns;
use super::index::Index;
use std::collections::BTreeMap;

/// Length of a pane; part of the format.
pub const PANE_MS: u64 = 10_000;

/// Series, begin of the pane, and what its points sum up to.
pub type Panes = Vec<(u32, u64, Stored)>;

/// What a pane holds of a series.
pub fn need(is_set: bool) -> Need {
    Need { sum: !is_set, quantiles: false, members: is_set }
}

/// The panes of a block whose first point has the number `first`.
pub fn of(block: &Columns, first: u64, index: &Index) -> Panes {
    let mut panes: BTreeMap<(u32, u64), Accumulator> = BTreeMap::new();
    for (number, point) in (first..).zip(block.points()) {
        let is_set = index.is_set(point.series);
        let pane = (point.series, point.at_ms - point.at_ms % PANE_MS);
        let sum = panes.entry(pane).or_insert_with(|| Accumulator::new(need(is_set)));
        add(sum, block, number, point, is_set);
    }
    panes.into_iter().map(|((series, at), sum)| (series, at, sum.to_stored())).collect()
}

/// Adds a point of `block`.
pub fn add(sum: &mut Accumulator, block: &Columns, number: u64, point: super::columns::Point, is_set: bool) {
    if is_set {
        let place = usize::try_from(point.bits).unwrap_or(usize::MAX);
        let member = block.members.get(place).map_or("", String::as_str);
        sum.add_member(number, point.at_ms, xxhash_rust::xxh3::xxh3_64(member.as_bytes()));
    } else {
        sum.add(number, point.at_ms, f64::from_bits(point.bits));
    }
}
