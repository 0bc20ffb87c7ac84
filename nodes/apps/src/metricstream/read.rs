//! Answers to questions: over the blocks on the disk, and over what is open.
//!
//! A question is answered between two log entries, so it must not take long: one answer reads
//! [`MAX_READ_BLOCKS`] blocks at most, and says where to go on.

use super::accumulator::Accumulator;
use super::columns::Columns;
use super::command::Kind;
use super::query::{Listed, MAX_CELLS, Points, Select, Sum, Sums, Value};
use super::rollup::{self, Panes};
use super::state::{BLOCK_ROW, ROLLUP_ROW, State, row_key};
use replica::machine::Stored;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Blocks that one answer reads.
const MAX_READ_BLOCKS: usize = 32;

/// Which group the points of a series belong to; none of those that were not selected.
struct Groups {
    of: Vec<Option<u32>>,
    groups: Vec<(Kind, Vec<(String, String)>)>,
}

impl State {
    /// Series that are selected, from number `from` on.
    pub(super) fn listed(&self, select: &Select, from: u32, limit: u64) -> Vec<Listed> {
        let numbers = self.index.select(select).into_iter().filter(|number| *number >= from);
        let listed = numbers.filter_map(|number| {
            let definition = self.index.definition(number)?.clone();
            let count = self.totals.get(number as usize).copied().unwrap_or(0);
            Some(Listed { number, definition, count })
        });
        listed.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect()
    }

    /// A row, as the last command left it.
    fn row<'a>(&'a self, key: &[u8], stored: &dyn Stored) -> Result<Cow<'a, [u8]>, String> {
        if let Some(Some(row)) = self.changes.get(key) {
            return Ok(Cow::Borrowed(row));
        }
        let rows = stored.rows(Bound::Included(key), Bound::Included(key), 1)?;
        rows.into_iter()
            .next()
            .map(|(_, row)| Cow::Owned(row))
            .ok_or_else(|| format!("row {key:?} is missing"))
    }

    pub(super) fn block(&self, first: u64, stored: &dyn Stored) -> Result<Columns, String> {
        Columns::decode(&self.row(&row_key(BLOCK_ROW, first), stored)?)
    }

    /// First points of the blocks from `from` on that may hold such times, and where to go on after them.
    fn blocks_of(&self, select: &Select, from: u64) -> (Vec<u64>, Option<u64>) {
        let overlaps = |first_ms: u64, last_ms: u64| first_ms < select.to_ms && last_ms >= select.from_ms;
        let blocks = self.blocks.range(from..).filter(|(_, head)| overlaps(head.first_ms, head.last_ms));
        let mut found: Vec<u64> = blocks.map(|(first, _)| *first).take(MAX_READ_BLOCKS + 1).collect();
        let next = if found.len() > MAX_READ_BLOCKS { found.pop() } else { None };
        (found, next)
    }

    /// Points that are selected, from number `from` on.
    pub(super) fn points(
        &self,
        select: &Select,
        from: u64,
        limit: u64,
        stored: &dyn Stored,
    ) -> Result<Points, String> {
        let mut selected = vec![false; self.index.len()];
        for number in self.index.select(select) {
            selected[number as usize] = true;
        }
        let mut answer =
            Points { end: self.meta.next, retained_ms: self.meta.retained_ms, ..Points::default() };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // The block that holds `from` begins before it.
        let start = self.blocks.range(..=from).next_back().map_or(from, |(first, _)| *first);
        let (blocks, mut next) = self.blocks_of(select, start);
        let open = if next.is_none() { Some(self.meta.sealed) } else { None };
        for first in blocks.into_iter().chain(open) {
            let block = if open == Some(first) {
                Cow::Borrowed(&self.open)
            } else {
                Cow::Owned(self.block(first, stored)?)
            };
            for (number, point) in (first..).zip(block.points()) {
                let inside = number >= from && point.at_ms >= select.from_ms && point.at_ms < select.to_ms;
                if !inside || !selected.get(point.series as usize).is_some_and(|selected| *selected) {
                    continue;
                }
                if answer.points.len() >= limit {
                    next = Some(number);
                    break;
                }
                let value = if self.index.is_set(point.series) {
                    let place = usize::try_from(point.bits).unwrap_or(usize::MAX);
                    Value::Member(block.members.get(place).cloned().unwrap_or_default())
                } else {
                    Value::Number(f64::from_bits(point.bits))
                };
                answer.points.push((number, point.series, point.at_ms, value));
            }
            if answer.points.len() >= limit && next.is_some() {
                break;
            }
        }
        answer.next = next;
        let appearing: std::collections::BTreeSet<u32> = answer.points.iter().map(|point| point.1).collect();
        let definitions = appearing.into_iter().map(|n| Some((n, self.index.definition(n)?.clone())));
        answer.series = definitions.flatten().collect();
        Ok(answer)
    }

    fn groups(&self, sum: &Sum) -> Groups {
        let mut groups = Groups { of: vec![None; self.index.len()], groups: Vec::new() };
        let mut known = BTreeMap::new();
        for number in self.index.select(&sum.select) {
            let Some(definition) = self.index.definition(number) else { continue };
            let mut tags = definition.tags.clone();
            if let Some(by) = &sum.by {
                tags.retain(|(key, _)| by.contains(key));
            }
            let group = (definition.kind, tags);
            let next = groups.groups.len() as u32;
            let place = *known.entry(group.clone()).or_insert(next);
            if place == next {
                groups.groups.push(group);
            }
            groups.of[number as usize] = Some(place);
        }
        groups
    }

    /// Points summed up; `None` if there are too many steps.
    pub(super) fn sums(&self, sum: &Sum, stored: &dyn Stored) -> Result<Option<Sums>, String> {
        let Groups { of, groups } = self.groups(sum);
        let mut cells: BTreeMap<(u32, u64), Accumulator> = BTreeMap::new();
        let (blocks, next) = self.blocks_of(&sum.select, sum.from);
        let step =
            |at_ms: u64| if sum.step_ms == 0 { sum.select.from_ms } else { at_ms - at_ms % sum.step_ms };
        let group_of = |series: u32, at_ms: u64| {
            let inside = at_ms >= sum.select.from_ms && at_ms < sum.select.to_ms;
            of.get(series as usize).copied().flatten().filter(|_| inside)
        };
        let mut add_points = |block: &Columns, first: u64| {
            for (number, point) in (first..).zip(block.points()) {
                let Some(group) = group_of(point.series, point.at_ms) else { continue };
                let cell = cells.entry((group, step(point.at_ms)));
                let cell = cell.or_insert_with(|| Accumulator::new(sum.need));
                rollup::add(cell, block, number, point, groups[group as usize].0 == Kind::Set);
                if cells.len() > MAX_CELLS {
                    return;
                }
            }
        };
        if next.is_none() {
            add_points(&self.open, self.meta.sealed);
        }
        if !sum.rolled_up {
            for first in &blocks {
                add_points(&self.block(*first, stored)?, *first);
            }
        } else {
            for first in &blocks {
                let row = self.row(&row_key(ROLLUP_ROW, *first), stored)?;
                let panes: Panes = postcard::from_bytes(&row).map_err(|error| error.to_string())?;
                for (series, at_ms, pane) in panes {
                    let Some(group) = group_of(series, at_ms) else { continue };
                    let pane = Accumulator::from_stored(pane).ok_or("a pane that makes no sense")?;
                    let cell = cells.entry((group, step(at_ms)));
                    cell.or_insert_with(|| Accumulator::new(sum.need)).merge(&pane);
                }
                if cells.len() > MAX_CELLS {
                    break;
                }
            }
        }
        if cells.len() > MAX_CELLS {
            return Ok(None);
        }
        let cells = cells.into_iter().map(|((group, at), sum)| (group, at, sum.to_stored())).collect();
        Ok(Some(Sums { groups, cells, next, watermark_ms: self.meta.watermark_ms }))
    }
}
