//! Points as they lie there, in columns, for whoever wants all of them: a block, or what is open.

use super::columns::Columns;
use super::command::Definition;
use super::query::Slice;
use super::state::State;
use replica::machine::Stored;
use std::borrow::Cow;

/// Bytes of definitions in one answer, roughly.
const MAX_DEFINITION_BYTES: usize = 1 << 20;

impl State {
    /// The points from number `from` on that lie together, as far as they belong to series that the asker
    /// knows, which are those below `known`, or is told of.
    pub(super) fn slice(&self, from: u64, known: u32, stored: &dyn Stored) -> Result<Slice, String> {
        let before = self.blocks.range(..=from).next_back();
        let before = before.filter(|(first, head)| **first + head.count > from);
        let block = before.or_else(|| self.blocks.range(from..).next()).map(|(first, _)| *first);
        let (first, block) = match block {
            Some(first) => (first, Cow::Owned(self.block(first, stored)?)),
            None => (self.meta.sealed, Cow::Borrowed(&self.open)),
        };
        let series = self.definitions(known);
        let reach = known.saturating_add(series.len() as u32);
        let start = first.max(from);
        let skip = usize::try_from(start - first).unwrap_or(usize::MAX);
        let (mut columns, mut members) = (Columns::default(), Vec::new());
        let points = block.points().skip(skip).take_while(|point| point.series < reach);
        for (place, point) in (0u32..).zip(points) {
            let mut bits = point.bits;
            if self.index.is_set(point.series) {
                members.push(place);
                let member = usize::try_from(bits).ok().and_then(|bits| block.members.get(bits));
                bits = columns.members.len() as u64;
                columns.members.push(member.cloned().unwrap_or_default());
            }
            columns.series.push(point.series);
            columns.times.push(point.at_ms);
            columns.bits.push(bits);
        }
        Ok(Slice {
            start,
            columns: columns.encode(),
            members,
            series,
            end: self.meta.next,
            retained_ms: self.meta.retained_ms,
            kept: self.blocks.first_key_value().map_or(self.meta.sealed, |(first, _)| *first),
        })
    }

    /// Definitions from number `from` on, at least one if there is one.
    fn definitions(&self, from: u32) -> Vec<Definition> {
        let mut bytes = 0;
        (from..)
            .map_while(|number| self.index.definition(number))
            .take_while(|definition| {
                let room = bytes < MAX_DEFINITION_BYTES;
                let tags = definition.tags.iter().map(|(key, value)| key.len() + value.len());
                bytes += definition.name.len() + tags.sum::<usize>();
                room
            })
            .cloned()
            .collect()
    }
}
