//! The process that DuckDB runs in.

#![allow(clippy::disallowed_methods, reason = "a process of its own, which no simulation contains")]

use super::{Answer, Answered, Request, read_frame, write_frame};
use crate::duck::Duck;
use crate::{Engine, EngineError};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io;
use std::path::Path;

/// Memory that the process needs beside DuckDB's own books, in megabytes.
const BESIDE_MB: u64 = 256;

/// Serves the cache in `folder` over standard input and output until the input ends. The process never has
/// more than `memory_mb` and a little.
///
/// # Errors
/// If whoever asks is gone in the middle of something.
pub fn serve(folder: &Path, memory_mb: u32) -> io::Result<()> {
    let bytes = (u64::from(memory_mb) + BESIDE_MB) << 20;
    setrlimit(Resource::Data, Rlimit { current: Some(bytes), maximum: Some(bytes) })?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut duck = match Duck::open(folder, memory_mb) {
        Ok(duck) => duck,
        Err(error) => return write_frame(&mut output, &Answered::Err(error)),
    };
    write_frame(&mut output, &Answered::Ok(Answer::Done))?;
    loop {
        let request = match read_frame(&mut input) {
            Ok(request) => request,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        write_frame(&mut output, &answer(&mut duck, request))?;
    }
}

fn answer(duck: &mut Duck, request: Request) -> Result<Answer, EngineError> {
    Ok(match request {
        Request::Applied(partition) => Answer::Applied(duck.applied(partition)?),
        Request::Append { partition, first, rows } => {
            duck.append(partition, first, &rows)?;
            Answer::Done
        }
        Request::Partial { partition, filter } => {
            let partial = duck.partial(partition, &filter)?;
            Answer::Partial { count: partial.count, sum: partial.sum.to_stored() }
        }
        Request::Last(partition) => Answer::Last(duck.last(partition)?),
        Request::Checkpoint => {
            duck.checkpoint()?;
            Answer::Done
        }
        Request::Ask { text, limits } => Answer::Table(duck.ask(&text, limits)?),
        Request::Held(partition) => Answer::Held(duck.held(partition)),
        Request::AppendPoints { partition, batch } => Answer::Held(duck.append_points(partition, &batch)?),
        Request::ForgetPoints { partition, kept } => {
            duck.forget_points(partition, kept)?;
            Answer::Done
        }
        Request::ClearPoints(partition) => {
            duck.clear_points(partition)?;
            Answer::Done
        }
        Request::LastPoint(partition) => Answer::LastPoint(duck.last_point(partition)?),
    })
}
