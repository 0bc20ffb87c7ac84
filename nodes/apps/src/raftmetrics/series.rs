//! One metric: what stays in memory, and its rows.
//!
//! Memory holds the aggregate and the newest values up to a full chunk; all values lie in chunks of
//! [`CHUNK`] on the disk.

use super::exact_sum::{self, ExactSum};
use super::query::{Exported, Page, Summary};
use super::sketch::Sketch;
use replica::machine::{RowChange, Stored};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// Values in a chunk.
pub const CHUNK: u64 = 128;
const SUMMARY_ROW: u8 = b's';
const CHUNK_ROW: u8 = b'v';

/// A series.
#[derive(Clone, Default)]
pub struct Series {
    count: u64,
    sum: ExactSum,
    min: f64,
    max: f64,
    last_ms: u64,
    sketch: Sketch,
    /// The values of all chunks from `tail_chunk` on.
    tail: Vec<f64>,
    tail_chunk: u64,
}

#[derive(Serialize, Deserialize)]
struct SummaryRow {
    count: u64,
    sum: exact_sum::Stored,
    min: f64,
    max: f64,
    last_ms: u64,
    sketch: Sketch,
}

/// A row's key, taken apart.
pub enum RowKey<'a> {
    /// The aggregate of the named series.
    Summary(&'a str),
    /// A chunk of the named series.
    Chunk(&'a str, u64),
}

impl<'a> RowKey<'a> {
    /// `None` if the key is not one of ours.
    pub fn parse(key: &'a [u8]) -> Option<Self> {
        let (kind, rest) = key.split_first()?;
        match *kind {
            SUMMARY_ROW => Some(RowKey::Summary(std::str::from_utf8(rest).ok()?)),
            CHUNK_ROW => {
                let (name, chunk) = rest.split_last_chunk::<8>()?;
                let name = name.strip_suffix(&[0])?;
                Some(RowKey::Chunk(std::str::from_utf8(name).ok()?, u64::from_be_bytes(*chunk)))
            }
            _ => None,
        }
    }
}

fn summary_key(name: &str) -> Vec<u8> {
    [&[SUMMARY_ROW], name.as_bytes()].concat()
}

fn chunk_key(name: &str, chunk: u64) -> Vec<u8> {
    // Names hold no control characters, so the zero ends the name.
    [&[CHUNK_ROW], name.as_bytes(), &[0], &chunk.to_be_bytes()].concat()
}

fn pack(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn unpack(bytes: &[u8]) -> Vec<f64> {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| f64::from_le_bytes(*word)).collect()
}

impl Series {
    /// Appends a finite value; gives its number.
    pub fn record(&mut self, value: f64, at_ms: u64) -> u64 {
        let number = self.count;
        self.min = if number == 0 { value } else { self.min.min(value) };
        self.max = if number == 0 { value } else { self.max.max(value) };
        self.count += 1;
        self.sum.add(value);
        self.sketch.add(value);
        // A new leader's clock may be behind the old one's: time does not run backwards here.
        self.last_ms = self.last_ms.max(at_ms);
        self.tail.push(value);
        number
    }

    /// Rows that changed since the last call; full chunks leave the memory.
    pub fn take_rows(&mut self, name: &str) -> Vec<RowChange> {
        let summary = SummaryRow {
            count: self.count,
            sum: self.sum.to_stored(),
            min: self.min,
            max: self.max,
            last_ms: self.last_ms,
            sketch: self.sketch.clone(),
        };
        // Serialisation of plain data into memory has no way to fail.
        let mut rows = vec![(summary_key(name), Some(postcard::to_stdvec(&summary).unwrap_or_default()))];
        for (place, values) in self.tail.chunks(CHUNK as usize).enumerate() {
            rows.push((chunk_key(name, self.tail_chunk + place as u64), Some(pack(values))));
        }
        let full = self.tail.len() / CHUNK as usize;
        self.tail.drain(..full * CHUNK as usize);
        self.tail_chunk += full as u64;
        rows
    }

    /// Takes the aggregate's row back.
    ///
    /// # Errors
    /// If the row is damaged.
    pub fn restore_summary(&mut self, row: &[u8]) -> Result<(), String> {
        let row: SummaryRow = postcard::from_bytes(row).map_err(|error| error.to_string())?;
        self.sum = ExactSum::from_stored(&row.sum).ok_or("a sum with too many digits")?;
        (self.count, self.min, self.max, self.last_ms) = (row.count, row.min, row.max, row.last_ms);
        self.sketch = row.sketch;
        Ok(())
    }

    /// Takes a chunk's row back; only the newest one stays in memory, if it is not full.
    pub fn restore_chunk(&mut self, chunk: u64, row: &[u8]) {
        let values = unpack(row);
        let full = values.len() as u64 >= CHUNK;
        self.tail_chunk = if full { chunk + 1 } else { chunk };
        self.tail = if full { Vec::new() } else { values };
    }

    /// True if the chunks hold as many values as the aggregate counts.
    pub fn is_whole(&self) -> bool {
        self.tail_chunk * CHUNK + self.tail.len() as u64 == self.count
    }

    /// Values from number `after` on.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn page(&self, name: &str, after: u64, limit: u64, stored: &dyn Stored) -> Result<Page, String> {
        let mut values = Vec::new();
        let end = after.saturating_add(limit).min(self.count);
        let tail_start = self.tail_chunk * CHUNK;
        if after < tail_start.min(end) {
            let (from, to) = (chunk_key(name, after / CHUNK), chunk_key(name, self.tail_chunk));
            let chunks = (end.div_ceil(CHUNK) - after / CHUNK) as usize;
            let rows = stored.rows(Bound::Included(&from), Bound::Excluded(&to), chunks)?;
            values.extend(rows.iter().flat_map(|(_, row)| unpack(row)).skip((after % CHUNK) as usize));
        }
        let skip = after.saturating_sub(tail_start) as usize;
        values.extend(self.tail.iter().skip(skip).copied());
        values.truncate(end.saturating_sub(after) as usize);
        Ok(Page { values, count: self.count, last_ms: self.last_ms })
    }

    /// The series in a few numbers.
    pub fn summary(&self) -> Summary {
        let quantile = |q| self.sketch.quantile(q).clamp(self.min, self.max);
        Summary {
            count: self.count,
            sum: self.sum.value(),
            min: self.min,
            max: self.max,
            quantiles: [quantile(0.5), quantile(0.95), quantile(0.99)],
            last_ms: self.last_ms,
        }
    }

    /// The series for the Prometheus text.
    pub fn export(&self, name: &str) -> Exported {
        let buckets = self.sketch.powers_of_two();
        Exported { name: name.into(), count: self.count, sum: self.sum.value(), buckets }
    }

    /// Hash over the logical content.
    pub fn hash(&self, name: &str) -> u64 {
        let numbers = [self.count, self.min.to_bits(), self.max.to_bits(), self.sum.value().to_bits()];
        numbers.into_iter().fold(xxhash_rust::xxh3::xxh3_64(name.as_bytes()), |hash, number| {
            xxhash_rust::xxh3::xxh3_64_with_seed(&number.to_le_bytes(), hash)
        })
    }
}
