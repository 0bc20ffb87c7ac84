//! DuckDB in a process of its own, asked over its standard input and output.
//!
//! What brings DuckDB down, or makes it take all memory there is, then brings down that process alone, which
//! is started again; and who takes too long is ended. The process ends when whoever asks it does.
//!
//! One question after the other, each a frame: its length in four bytes, then postcard.

mod points;
mod remote;
mod serve;

pub use remote::{Program, Remote};
pub use serve::serve;

use crate::exact_sum;
use crate::points::{Batch, Held, Kept, Point};
use crate::sql::{Limits, Table};
use crate::{EngineError, Filter, Row};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Longest frame: rows of a batch, or an answer of [`crate::sql::MAX_ANSWER_BYTES`].
const MAX_FRAME: usize = 64 << 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Request {
    Applied(u64),
    Append { partition: u64, first: u64, rows: Vec<Row> },
    Partial { partition: u64, filter: Filter },
    Last(u64),
    Checkpoint,
    Ask { text: String, limits: Limits },
    Held(u64),
    AppendPoints { partition: u64, batch: Batch },
    ForgetPoints { partition: u64, kept: Kept },
    ClearPoints(u64),
    LastPoint(u64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Answer {
    Done,
    Applied(u64),
    Partial { count: u64, sum: exact_sum::Stored },
    Last(Option<Row>),
    Table(Table),
    Held(Held),
    LastPoint(Option<Point>),
}

type Answered = Result<Answer, EngineError>;

fn write_frame(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&bytes)?;
    to.flush()
}

fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::other("a frame that is too long"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(io::Error::other)
}
