//! The other side: starts the process, asks it, and ends it when it takes too long.

#![allow(clippy::disallowed_methods, reason = "it starts a process, which no simulation contains")]

use super::{Answer, Answered, Request, read_frame, write_frame};
use crate::sql::{Limits, Table};
use crate::{Engine, EngineError, ExactSum, Filter, Partial, Row};
use std::ffi::OsString;
use std::fs;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For anything but SQL: longer than any of it takes on a machine that works.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// What a query may take beyond its limit until it says so itself.
const GRACE: Duration = Duration::from_secs(2);

/// How the process is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments; the folder and the megabytes follow.
    pub arguments: Vec<OsString>,
    /// Where the cache lies.
    pub folder: PathBuf,
    /// Memory for DuckDB.
    pub memory_mb: u32,
}

/// An engine in another process. It ends with this.
pub struct Remote {
    program: Program,
    running: Mutex<Option<Running>>,
}

struct Running {
    child: Child,
    input: ChildStdin,
    /// Filled by a thread that ends with the process.
    answers: Receiver<Answered>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; what it leaves is a cache that anything may happen to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn gone(error: impl ToString) -> EngineError {
    EngineError::Store(format!("the engine's process: {}", error.to_string()))
}

impl Remote {
    /// An engine that is started when it is first asked.
    pub fn new(program: Program) -> Self {
        Remote { program, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> Result<Running, EngineError> {
        let Program { path, arguments, folder, memory_mb } = &self.program;
        let mut command = Command::new(path);
        command.args(arguments).arg(folder).arg(memory_mb.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(gone)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(gone("it has no input or output"));
        };
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Ok(answer) = read_frame(&mut output) {
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        let running = Running { child, input, answers };
        match running.answers.recv_timeout(PATIENCE) {
            Ok(hello) => hello.map(|_| running),
            Err(_) => Err(gone("it does not begin")),
        }
    }

    pub(super) fn request(&self, request: &Request, patience: Duration) -> Answered {
        let mut slot = self.running();
        let mut running = match slot.take() {
            Some(running) => running,
            None => self.start()?,
        };
        // A process that does not answer is not asked again: it is dropped here.
        if write_frame(&mut running.input, request).is_err() {
            // It ended since the last question; nothing of this one was heard.
            running = self.start()?;
            write_frame(&mut running.input, request).map_err(gone)?;
        }
        match running.answers.recv_timeout(patience) {
            // What has once used up its memory may not find enough for the next question: another begins.
            Ok(answer @ Err(EngineError::Memory(_))) => answer,
            Ok(answer) => {
                *slot = Some(running);
                answer
            }
            Err(RecvTimeoutError::Timeout) => {
                Err(EngineError::Limit(format!("no answer within {patience:?}; the engine starts again")))
            }
            Err(RecvTimeoutError::Disconnected) => Err(match request {
                Request::Ask { .. } => EngineError::Memory(format!(
                    "the query broke the engine, which may use {} MB; it starts again",
                    self.program.memory_mb
                )),
                _ => gone("it ended"),
            }),
        }
    }

    /// As [`Engine::applied`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn applied(&self, partition: u64) -> Result<u64, EngineError> {
        match self.request(&Request::Applied(partition), PATIENCE)? {
            Answer::Applied(applied) => Ok(applied),
            _ => Err(gone("a strange answer")),
        }
    }

    /// As [`Engine::append`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn append(&self, partition: u64, first: u64, rows: Vec<Row>) -> Result<(), EngineError> {
        self.request(&Request::Append { partition, first, rows }, PATIENCE).map(drop)
    }

    /// As [`Engine::partial`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn partial(&self, partition: u64, filter: &Filter) -> Result<Partial, EngineError> {
        match self.request(&Request::Partial { partition, filter: filter.clone() }, PATIENCE)? {
            Answer::Partial { count, sum } => {
                let sum = ExactSum::from_stored(&sum).ok_or_else(|| gone("a strange sum"))?;
                Ok(Partial { count, sum })
            }
            _ => Err(gone("a strange answer")),
        }
    }

    /// As [`crate::duck::Duck::last`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn last(&self, partition: u64) -> Result<Option<Row>, EngineError> {
        match self.request(&Request::Last(partition), PATIENCE)? {
            Answer::Last(row) => Ok(row),
            _ => Err(gone("a strange answer")),
        }
    }

    /// As [`crate::duck::Duck::checkpoint`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn checkpoint(&self) -> Result<(), EngineError> {
        self.request(&Request::Checkpoint, PATIENCE).map(drop)
    }

    /// As [`crate::duck::Duck::ask`].
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn ask(&self, text: &str, limits: Limits) -> Result<Table, EngineError> {
        let patience = Duration::from_millis(limits.timeout_ms) + GRACE;
        match self.request(&Request::Ask { text: text.into(), limits }, patience)? {
            Answer::Table(table) => Ok(table),
            _ => Err(gone("a strange answer")),
        }
    }

    /// Throws everything away.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn reset(&self) -> Result<(), EngineError> {
        let mut slot = self.running();
        *slot = None;
        match fs::remove_dir_all(&self.program.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(gone(error)),
            _ => Ok(()),
        }
    }
}

impl Engine for Remote {
    fn applied(&self, partition: u64) -> Result<u64, EngineError> {
        Remote::applied(self, partition)
    }

    fn append(&mut self, partition: u64, first: u64, rows: &[Row]) -> Result<(), EngineError> {
        Remote::append(self, partition, first, rows.to_vec())
    }

    fn partial(&self, partition: u64, filter: &Filter) -> Result<Partial, EngineError> {
        Remote::partial(self, partition, filter)
    }
}
