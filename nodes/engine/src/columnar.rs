//! A partition's rows in columns: chunks of [`CHUNK`] rows in the order of insertion, and totals by key.
//!
//! Memory holds names and totals of keys, the span of time of each chunk, and the newest chunk. All other
//! chunks lie where the rows of a state machine lie, and are read when a span of time cuts through them.
//!
//! Leaves out where that is: the caller hands in what reads a chunk.

use crate::exact_sum;
use crate::{ExactSum, Filter, Partial, Row};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Rows in a chunk.
pub const CHUNK: usize = 512;
/// Keys that a partition holds at most; part of the format, as all replicas must refuse the same ones.
pub const MAX_KEYS: usize = 20_000;

const CHUNK_ROW: u8 = b'c';
const KEY_ROW: u8 = b'k';

/// Rows as columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Chunk {
    keys: Vec<u32>,
    at_ms: Vec<u64>,
    values: Vec<f64>,
}

/// The times in a chunk.
#[derive(Clone, Copy)]
struct Span {
    first_ms: u64,
    last_ms: u64,
}

/// A key's total.
#[derive(Clone)]
struct Total {
    name: String,
    partial: Partial,
}

#[derive(Serialize, Deserialize)]
struct TotalRow {
    name: String,
    count: u64,
    sum: exact_sum::Stored,
}

/// A durable row: its key, and its value.
pub type Stored = (Vec<u8>, Vec<u8>);

/// Reads a chunk's durable row by its key.
pub type ReadChunk<'a> = &'a dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, String>;

/// All rows of a partition.
#[derive(Clone, Default)]
pub struct Columnar {
    totals: Vec<Total>,
    numbers: BTreeMap<String, u32>,
    /// Of all full chunks.
    spans: Vec<Span>,
    /// Full chunks that are not durable yet.
    fresh: BTreeMap<u64, Chunk>,
    tail: Chunk,
    changed: BTreeSet<u32>,
}

impl Chunk {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn span(&self) -> Option<Span> {
        let (first, last) = (self.at_ms.iter().min()?, self.at_ms.iter().max()?);
        Some(Span { first_ms: *first, last_ms: *last })
    }

    fn is_whole(&self) -> bool {
        self.keys.len() == self.len() && self.at_ms.len() == self.len() && self.len() <= CHUNK
    }
}

/// A piece of a longer answer.
#[derive(Clone, Default)]
pub struct Piece {
    /// What its rows come to.
    pub partial: Partial,
    /// Number of the row that the next piece begins with, if there is one.
    pub next: Option<u64>,
}

impl Columnar {
    /// How many rows there are.
    pub fn len(&self) -> u64 {
        (self.spans.len() * CHUNK + self.tail.len()) as u64
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a row and gives its number; `None` if there are too many keys.
    pub fn push(&mut self, key: &str, at_ms: u64, value: f64) -> Option<u64> {
        let key = self.number_of(key)?;
        self.totals.get_mut(key as usize)?.partial.add(value);
        self.changed.insert(key);
        self.tail.keys.push(key);
        self.tail.at_ms.push(at_ms);
        self.tail.values.push(value);
        let row = self.len() - 1;
        if self.tail.len() == CHUNK {
            self.seal();
        }
        Some(row)
    }

    fn number_of(&mut self, key: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(key) {
            return Some(*number);
        }
        let number = u32::try_from(self.totals.len()).ok().filter(|_| self.totals.len() < MAX_KEYS)?;
        self.numbers.insert(key.to_owned(), number);
        self.totals.push(Total { name: key.to_owned(), partial: Partial::default() });
        Some(number)
    }

    fn seal(&mut self) {
        let Some(span) = self.tail.span() else { return };
        self.fresh.insert(self.spans.len() as u64, std::mem::take(&mut self.tail));
        self.spans.push(span);
    }

    /// The durable rows that changed since the last call.
    pub fn take_changes(&mut self) -> Vec<Stored> {
        let mut rows: Vec<Stored> =
            std::mem::take(&mut self.fresh).iter().map(|(place, chunk)| chunk_row(*place, chunk)).collect();
        let changed = std::mem::take(&mut self.changed);
        if !changed.is_empty() && self.tail.len() > 0 {
            rows.push(chunk_row(self.spans.len() as u64, &self.tail));
        }
        rows.extend(changed.into_iter().filter_map(|number| {
            let Total { name, partial } = self.totals.get(number as usize)?.clone();
            let row = TotalRow { name, count: partial.count, sum: partial.sum.to_stored() };
            // Serialisation of plain data into memory has no way to fail.
            Some((place_of(KEY_ROW, u64::from(number)), postcard::to_stdvec(&row).unwrap_or_default()))
        }));
        rows
    }

    /// Loads all durable rows, in the order of their keys.
    ///
    /// # Errors
    /// A text that says what is wrong with them.
    pub fn restore(&mut self, rows: &mut dyn Iterator<Item = Stored>) -> Result<(), String> {
        let mut counts: Vec<u64> = Vec::new();
        for (key, row) in rows {
            let (kind, place) = parse(&key).ok_or_else(|| format!("unknown row {key:?}"))?;
            match kind {
                CHUNK_ROW => self.restore_chunk(place, &row, &mut counts)?,
                _ => self.restore_total(place, &row)?,
            }
        }
        let totals = self.totals.iter().map(|total| total.partial.count);
        if !totals.eq(counts.iter().copied()) {
            return Err("keys and chunks do not hold the same rows".into());
        }
        Ok(())
    }

    fn restore_chunk(&mut self, place: u64, row: &[u8], counts: &mut Vec<u64>) -> Result<(), String> {
        let damaged = |why: &str| format!("chunk {place} {why}");
        let chunk: Chunk = postcard::from_bytes(row).map_err(|_| damaged("does not decode"))?;
        if !chunk.is_whole() || place != self.spans.len() as u64 || self.tail.len() > 0 {
            return Err(damaged("is not whole, or not in its place"));
        }
        for key in &chunk.keys {
            let key = *key as usize;
            if key >= MAX_KEYS {
                return Err(damaged("has a key that cannot be"));
            }
            if counts.len() <= key {
                counts.resize(key + 1, 0);
            }
            counts[key] += 1;
        }
        match chunk.span() {
            Some(span) if chunk.len() == CHUNK => self.spans.push(span),
            _ => self.tail = chunk,
        }
        Ok(())
    }

    fn restore_total(&mut self, place: u64, row: &[u8]) -> Result<(), String> {
        let damaged = || format!("key {place} is damaged");
        let row: TotalRow = postcard::from_bytes(row).map_err(|_| damaged())?;
        let sum = ExactSum::from_stored(&row.sum).ok_or_else(damaged)?;
        if self.number_of(&row.name).map(u64::from) != Some(place) {
            return Err(damaged());
        }
        let total = self.totals.last_mut().ok_or_else(damaged)?;
        total.partial = Partial { count: row.count, sum };
        Ok(())
    }

    /// What the wanted rows from number `first` up to `end` come to, as far as `chunks` chunks that have to
    /// be looked through lead.
    ///
    /// # Errors
    /// A text, if a chunk cannot be read.
    pub fn partial(
        &self,
        filter: &Filter,
        first: u64,
        end: u64,
        chunks: usize,
        read: ReadChunk<'_>,
    ) -> Result<Piece, String> {
        let mut piece = Piece::default();
        if first == 0 && end >= self.len() && self.covers(filter) {
            let from = Bound::Included(filter.prefix.as_str());
            let keys = self.numbers.range::<str, _>((from, Bound::Unbounded));
            let keys = keys.take_while(|(name, _)| name.starts_with(&filter.prefix));
            let totals = keys.filter_map(|(_, number)| self.totals.get(*number as usize));
            totals.for_each(|total| piece.partial.merge(&total.partial));
            return Ok(piece);
        }
        let mut row = first;
        let mut looked = 0;
        while row < end.min(self.len()) {
            let place = row / CHUNK as u64;
            let next = (place + 1) * CHUNK as u64;
            if self.touches(place, filter) {
                if looked == chunks {
                    piece.next = Some(row);
                    return Ok(piece);
                }
                looked += 1;
                self.look_through(place, filter, row, end, read, &mut piece.partial)?;
            }
            row = next;
        }
        Ok(piece)
    }

    /// True if the filter's span of time holds all rows.
    fn covers(&self, filter: &Filter) -> bool {
        let tail = self.tail.span();
        let mut spans = self.spans.iter().copied().chain(tail);
        spans.all(|span| filter.wants_time(span.first_ms) && filter.wants_time(span.last_ms))
    }

    fn touches(&self, place: u64, filter: &Filter) -> bool {
        let span = usize::try_from(place).ok().and_then(|place| self.spans.get(place).copied());
        let Some(span) = span.or_else(|| self.tail.span()) else { return false };
        filter.from_ms.is_none_or(|from| span.last_ms >= from)
            && filter.to_ms.is_none_or(|to| span.first_ms < to)
    }

    fn look_through(
        &self,
        place: u64,
        filter: &Filter,
        first: u64,
        end: u64,
        read: ReadChunk<'_>,
        partial: &mut Partial,
    ) -> Result<(), String> {
        let begin = place * CHUNK as u64;
        let chunk = self.chunk(place, read)?;
        for (row, ((key, at_ms), value)) in
            (begin..).zip(chunk.keys.iter().zip(&chunk.at_ms).zip(&chunk.values))
        {
            let name = self.totals.get(*key as usize).map_or("", |total| &total.name);
            if (first..end).contains(&row) && filter.wants_time(*at_ms) && name.starts_with(&filter.prefix) {
                partial.add(*value);
            }
        }
        Ok(())
    }

    fn chunk(&self, place: u64, read: ReadChunk<'_>) -> Result<std::borrow::Cow<'_, Chunk>, String> {
        use std::borrow::Cow;
        if place >= self.spans.len() as u64 {
            return Ok(Cow::Borrowed(&self.tail));
        }
        if let Some(chunk) = self.fresh.get(&place) {
            return Ok(Cow::Borrowed(chunk));
        }
        let row = read(&place_of(CHUNK_ROW, place))?.ok_or_else(|| format!("chunk {place} is missing"))?;
        let chunk: Chunk =
            postcard::from_bytes(&row).map_err(|error| format!("chunk {place} is damaged: {error}"))?;
        if chunk.is_whole() { Ok(Cow::Owned(chunk)) } else { Err(format!("chunk {place} is not whole")) }
    }

    /// Rows from number `first` to the end of their chunk.
    ///
    /// # Errors
    /// A text, if the chunk cannot be read.
    pub fn rows(&self, first: u64, read: ReadChunk<'_>) -> Result<Vec<Row>, String> {
        if first >= self.len() {
            return Ok(Vec::new());
        }
        let chunk = self.chunk(first / CHUNK as u64, read)?;
        let skip = (first % CHUNK as u64) as usize;
        let columns = chunk.keys.iter().zip(&chunk.at_ms).zip(&chunk.values).skip(skip);
        let row = |((key, at_ms), value): ((&u32, &u64), &f64)| {
            let key = self.totals.get(*key as usize)?.name.clone();
            Some(Row { key, at_ms: *at_ms, value: *value })
        };
        Ok(columns.filter_map(row).collect())
    }

    /// Hash over the logical state.
    pub fn hash(&self) -> u64 {
        let hash = |total: &Total| {
            let text =
                format!("{}\0{}\0{:?}", total.name, total.partial.count, total.partial.sum.to_stored());
            xxhash_rust::xxh64::xxh64(text.as_bytes(), 0)
        };
        self.totals.iter().fold(self.len(), |all, total| all.wrapping_mul(31).wrapping_add(hash(total)))
    }
}

fn place_of(kind: u8, place: u64) -> Vec<u8> {
    [&[kind][..], &place.to_be_bytes()].concat()
}

fn parse(key: &[u8]) -> Option<(u8, u64)> {
    let (kind, place) = key.split_first()?;
    let place = u64::from_be_bytes(place.try_into().ok()?);
    [CHUNK_ROW, KEY_ROW].contains(kind).then_some((*kind, place))
}

fn chunk_row(place: u64, chunk: &Chunk) -> Stored {
    // Serialisation of plain data into memory has no way to fail.
    (place_of(CHUNK_ROW, place), postcard::to_stdvec(chunk).unwrap_or_default())
}
