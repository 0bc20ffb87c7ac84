//! A partition's state machine: points in the order of their arrival.
//!
//! New points are *open*: in memory, and in one row for each command that brought some. When [`BLOCK`] of
//! them have come together they are *sealed*: one row with a block of columns, one with what its points sum
//! up to in each pane of time (see [`super::rollup`]), and the rows of the open points go. No row is written
//! for a single metric, and none is read to write another. When a block is sealed depends on nothing but the
//! log, so replicas are equal down to their rows.
//!
//! In memory are the open points, the definitions of all series, and the head of each block.

use super::columns::{Columns, Head};
use super::command::{Command, Counts, Definition, DefinitionRef, Kind, MAX_SERIES, Part, Reply, encode};
use super::index::Index;
use super::query::Query;
use super::rollup;
use super::sources::Sources;
use replica::StateMachine;
use replica::machine::{Row, RowChange, Stored};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Points that make a block; part of the format.
pub const BLOCK: usize = 8192;
/// Blocks that a partition keeps at most; the oldest goes first. Part of the format.
pub const MAX_BLOCKS: usize = 32_768;
/// Series in a row of totals.
const TOTALS: usize = 256;

/// Kinds of rows, by the first byte of their keys.
pub(super) const BLOCK_ROW: u8 = b'b';
const DEFINITION_ROW: u8 = b'd';
const META_ROW: u8 = b'm';
const OPEN_ROW: u8 = b'p';
const TOTALS_ROW: u8 = b't';
pub(super) const ROLLUP_ROW: u8 = b'u';
/// How far a source was taken in. Since format 4.
const SOURCE_ROW: u8 = b's';

/// What is kept of the partition as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Points that ever came; the number of the next one.
    pub next: u64,
    /// Number of the first open point.
    pub sealed: u64,
    /// What is counted.
    pub counts: Counts,
    /// Latest time of an entry.
    pub watermark_ms: u64,
    /// What lies wholly before this time was forgotten.
    pub retained_ms: u64,
    /// Hash over all commands in their order.
    chain: u64,
}

/// All series of a partition.
#[derive(Default)]
pub struct State {
    pub(super) index: Index,
    /// Points of each series, the open ones included.
    pub(super) totals: Vec<u64>,
    /// Rows of totals that the next block changes.
    stale_totals: BTreeSet<u32>,
    pub(super) open: Columns,
    /// Numbers of the first points of the open rows.
    open_rows: Vec<u64>,
    /// Heads of blocks by the number of their first point.
    pub(super) blocks: BTreeMap<u64, Head>,
    pub(super) meta: Meta,
    sources: Sources,
    /// Rows that are not handed out yet.
    pub(super) changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

pub(super) fn row_key(kind: u8, number: u64) -> Vec<u8> {
    [&[kind], &number.to_be_bytes()[..]].concat()
}

impl State {
    fn ingest(&mut self, part: &Part<'_>, at_ms: u64) -> Reply {
        let Some(known) = self.check(part) else { return Reply::Invalid };
        let mut numbers = Vec::with_capacity(known.len());
        for (bytes, known) in part.series.iter().zip(known) {
            let number = known.or_else(|| self.intern(bytes));
            numbers.push(number);
        }
        let (words, _) = part.values.as_chunks::<8>();
        let mut refused = Vec::new();
        let mut new = Columns::default();
        for (place, (of, word)) in part.of.iter().zip(words).enumerate() {
            let Some(number) = numbers[*of as usize] else {
                refused.push(place as u32);
                continue;
            };
            new.series.push(number);
            new.bits.push(u64::from_le_bytes(*word));
            // A time is written one higher, so that 0 can mean none.
            let own = part.times.get(place).copied().unwrap_or(0).checked_sub(1);
            new.times.push(own.unwrap_or(at_ms));
        }
        new.members = part.members.iter().map(|member| (*member).to_owned()).collect();
        let accepted = new.len() as u64;
        self.meta.counts.add(&part.counts);
        let more = Counts { received: accepted, invalid: refused.len() as u64, ..Counts::default() };
        self.meta.counts.add(&more);
        if accepted > 0 {
            self.append(new);
        }
        Reply::Done { refused }
    }

    /// A message counts once: whoever brings it has to know that it is the next one.
    fn fed(&mut self, source: &str, after: u64, upto: u64, part: &Part<'_>, at_ms: u64) -> Reply {
        let at = self.sources.at(source);
        if at != after {
            return Reply::Elsewhere { at };
        }
        if upto <= after || !self.sources.has_room_for(source) {
            return Reply::Invalid;
        }
        let reply = self.ingest(part, at_ms);
        if let Reply::Done { .. } = reply {
            let (number, row) = self.sources.set(source, upto);
            self.changes.insert(row_key(SOURCE_ROW, number), Some(row));
        }
        reply
    }

    /// Numbers of the part's series, as far as they are known; `None` if the part makes no sense.
    fn check(&self, part: &Part<'_>) -> Option<Vec<Option<u32>>> {
        let (words, rest) = part.values.as_chunks::<8>();
        let count = part.of.len();
        if !rest.is_empty() || words.len() != count || ![0, count].contains(&part.times.len()) {
            return None;
        }
        let mut known = Vec::with_capacity(part.series.len());
        let mut kinds = Vec::with_capacity(part.series.len());
        for bytes in &part.series {
            let number = self.index.number(bytes);
            kinds.push(match number {
                Some(number) => self.index.definition(number)?.kind,
                None => postcard::from_bytes::<DefinitionRef<'_>>(bytes).ok()?.kind,
            });
            known.push(number);
        }
        let fits = part.of.iter().zip(words).all(|(of, word)| {
            let bits = u64::from_le_bytes(*word);
            match kinds.get(*of as usize) {
                Some(Kind::Set) => bits < part.members.len() as u64,
                Some(_) => f64::from_bits(bits).is_finite(),
                None => false,
            }
        });
        fits.then_some(known)
    }

    /// The number of a series that may be new; `None` if there is no room for it.
    fn intern(&mut self, bytes: &[u8]) -> Option<u32> {
        // The same definition may come twice in one part.
        if let Some(number) = self.index.number(bytes) {
            return Some(number);
        }
        if self.index.len() >= MAX_SERIES {
            return None;
        }
        let definition: Definition = postcard::from_bytes(bytes).ok()?;
        let number = self.index.insert(bytes, definition);
        self.totals.push(0);
        self.changes.insert(row_key(DEFINITION_ROW, u64::from(number)), Some(bytes.to_vec()));
        Some(number)
    }

    fn append(&mut self, new: Columns) {
        for series in &new.series {
            self.totals[*series as usize] += 1;
            self.stale_totals.insert(series / TOTALS as u32);
        }
        let first = self.meta.next;
        self.meta.next += new.len() as u64;
        let whole = self.open.is_empty() && new.len() >= BLOCK;
        if !whole {
            self.changes.insert(row_key(OPEN_ROW, first), Some(new.encode()));
            self.open_rows.push(first);
        }
        let index = &self.index;
        self.open.append(new, |series| index.is_set(series));
        if self.open.len() >= BLOCK {
            self.seal();
        }
    }

    /// Makes a block of the open points.
    fn seal(&mut self) {
        let first = std::mem::replace(&mut self.meta.sealed, self.meta.next);
        let block = std::mem::take(&mut self.open);
        self.blocks.insert(first, block.head());
        let rollup = rollup::of(&block, first, &self.index);
        self.changes.insert(row_key(BLOCK_ROW, first), Some(block.encode()));
        self.changes.insert(row_key(ROLLUP_ROW, first), Some(encode(&rollup)));
        for first in std::mem::take(&mut self.open_rows) {
            self.remove_row(row_key(OPEN_ROW, first));
        }
        for row in std::mem::take(&mut self.stale_totals) {
            let start = row as usize * TOTALS;
            let totals = &self.totals[start..self.totals.len().min(start + TOTALS)];
            self.changes.insert(row_key(TOTALS_ROW, u64::from(row)), Some(encode(&totals)));
        }
        while self.blocks.len() > MAX_BLOCKS
            && let Some((oldest, _)) = self.blocks.pop_first()
        {
            self.forget(oldest);
        }
    }

    /// A row that was never handed out need not be removed.
    fn remove_row(&mut self, key: Vec<u8>) {
        if let Some(Some(_)) = self.changes.remove(&key) {
            return;
        }
        self.changes.insert(key, None);
    }

    fn forget(&mut self, block: u64) {
        self.changes.insert(row_key(BLOCK_ROW, block), None);
        self.changes.insert(row_key(ROLLUP_ROW, block), None);
    }

    fn retain(&mut self, before_ms: u64) -> Reply {
        self.meta.retained_ms = self.meta.retained_ms.max(before_ms);
        let old: Vec<u64> = self
            .blocks
            .iter()
            .filter(|(_, head)| head.last_ms < before_ms)
            .map(|(first, _)| *first)
            .collect();
        for first in old {
            self.blocks.remove(&first);
            self.forget(first);
        }
        Reply::Done { refused: Vec::new() }
    }

    fn restore_row(&mut self, key: &[u8], row: Vec<u8>, open: &mut Vec<Columns>) -> Result<(), String> {
        let number = key.get(1..).and_then(|rest| rest.try_into().ok()).map(u64::from_be_bytes);
        let number = number.ok_or("a key of the wrong length")?;
        let broken = |error: postcard::Error| error.to_string();
        match key.first().copied() {
            Some(BLOCK_ROW) => drop(self.blocks.insert(number, Columns::decode_head(&row)?)),
            Some(DEFINITION_ROW) => {
                let definition = postcard::from_bytes(&row).map_err(broken)?;
                if u64::from(self.index.insert(&row, definition)) != number {
                    return Err("definitions before it are missing".into());
                }
                self.totals.push(0);
            }
            Some(META_ROW) => self.meta = postcard::from_bytes(&row).map_err(broken)?,
            Some(OPEN_ROW) => {
                self.open_rows.push(number);
                open.push(Columns::decode(&row)?);
            }
            Some(TOTALS_ROW) => {
                let totals: Vec<u64> = postcard::from_bytes(&row).map_err(broken)?;
                let start = usize::try_from(number).unwrap_or(usize::MAX).saturating_mul(TOTALS);
                let places = self.totals.get_mut(start..start.saturating_add(totals.len()));
                places.ok_or("more totals than series")?.copy_from_slice(&totals);
            }
            Some(ROLLUP_ROW) => {}
            Some(SOURCE_ROW) => self.sources.restore(number, &row)?,
            _ => return Err("an unknown kind".into()),
        }
        Ok(())
    }

    /// Takes the open points back, whose totals no row holds yet.
    fn restore_open(&mut self, rows: Vec<Columns>) -> Result<(), String> {
        let begin = self.meta.sealed;
        for (columns, first) in rows.into_iter().zip(self.open_rows.clone()) {
            if first != begin + self.open.len() as u64 {
                return Err("open points are missing".into());
            }
            for series in &columns.series {
                *self.totals.get_mut(*series as usize).ok_or("a point of no series")? += 1;
                self.stale_totals.insert(series / TOTALS as u32);
            }
            let index = &self.index;
            self.open.append(columns, |series| index.is_set(series));
        }
        if begin + self.open.len() as u64 != self.meta.next {
            return Err("open points are missing".into());
        }
        if self.blocks.last_key_value().is_some_and(|(first, head)| first + head.count > begin) {
            return Err("a block and open points at once".into());
        }
        Ok(())
    }
}

impl StateMachine for State {
    fn apply(&mut self, command: &[u8], at_ms: u64) -> Vec<u8> {
        // A new leader's clock may be behind the old one's: time does not run backwards here.
        let at_ms = self.meta.watermark_ms.max(at_ms);
        let reply = match postcard::from_bytes(command) {
            Ok(Command::Ingest(part)) => self.ingest(&part, at_ms),
            Ok(Command::Count(counts)) => {
                self.meta.counts.add(&counts);
                Reply::Done { refused: Vec::new() }
            }
            Ok(Command::Retain { before_ms }) => self.retain(before_ms),
            Ok(Command::Fed { source, after, upto, part }) => self.fed(source, after, upto, &part, at_ms),
            Err(_) => Reply::Invalid,
        };
        if reply != Reply::Invalid {
            self.meta.watermark_ms = at_ms;
            self.meta.chain = xxh3_64_with_seed(command, self.meta.chain ^ at_ms);
            self.changes.insert(row_key(META_ROW, 0), Some(encode(&self.meta)));
        }
        encode(&reply)
    }

    fn query(&self, query: &[u8], stored: &dyn Stored) -> Vec<u8> {
        // No bytes are no answer: the asker is told that the node failed.
        let answer = match postcard::from_bytes(query) {
            Ok(Query::Counts) => Ok(encode(&self.meta.counts)),
            Ok(Query::Series { select, from, limit }) => Ok(encode(&self.listed(&select, from, limit))),
            Ok(Query::Points { select, from, limit }) => {
                self.points(&select, from, limit, stored).map(|points| encode(&points))
            }
            Ok(Query::Taken { source }) => Ok(encode(&self.sources.at(&source))),
            Ok(Query::Slice { from, series }) => self.slice(from, series, stored).map(|slice| encode(&slice)),
            Ok(Query::Sums(sum)) => self.sums(&sum, stored).map(|sums| encode(&sums)),
            Err(error) => Err(error.to_string()),
        };
        answer.unwrap_or_else(|error| {
            tracing::warn!(error, "a query of MetricStream was not answered");
            Vec::new()
        })
    }

    fn take_changes(&mut self) -> Vec<RowChange> {
        std::mem::take(&mut self.changes).into_iter().collect()
    }

    fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        let mut open = Vec::new();
        for (key, row) in rows {
            self.restore_row(&key, row, &mut open).map_err(|error| format!("row {key:?}: {error}"))?;
        }
        self.restore_open(open)
    }

    fn hash(&self) -> u64 {
        let totals = self.totals.iter().enumerate().fold(0u64, |hash, (number, total)| {
            hash.wrapping_add(xxh3_64(&[number as u64, *total].map(u64::to_le_bytes).concat()))
        });
        let blocks = self.blocks.iter().fold(0u64, |hash, (first, head)| {
            let numbers = [*first, head.count, head.first_ms, head.last_ms].map(u64::to_le_bytes);
            hash.wrapping_add(xxh3_64(&numbers.concat()))
        });
        let open = self.open.encode();
        xxh3_64_with_seed(
            &open,
            totals ^ blocks.rotate_left(21) ^ xxh3_64(&encode(&self.meta)) ^ self.sources.hash(),
        )
    }
}
