//! A seat for a worker process: started when it is needed, watched while it works, replaced when it dies.

use super::Limits;
use super::memory::{MIB, resident_bytes};
use super::protocol::Task;
use reports::model::SeedResult;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Pause between two looks at a worker's memory.
const LOOK: Duration = Duration::from_millis(20);
/// Last lines of a worker's standard error that are kept.
const LAST_WORDS: usize = 8;
/// A worker that has served so many seeds makes room for a fresh one: what leaks stays small.
const SEEDS_PER_WORKER: u32 = 500;

/// A worker process and what is known of it.
struct Worker {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    last_words: Arc<Mutex<VecDeque<String>>>,
    served: u32,
}

/// A place for one worker process after the other.
pub struct Seat {
    program: PathBuf,
    limits: Limits,
    cancel: Arc<AtomicBool>,
    worker: Option<Worker>,
    /// Most memory that a worker of this seat held.
    pub peak_bytes: u64,
    /// Memory of the last worker after its last seed.
    pub last_bytes: u64,
    /// Workers that died or were killed.
    pub deaths: u64,
}

impl Seat {
    /// An empty seat. `cancel` kills whoever sits there.
    pub fn new(program: PathBuf, limits: Limits, cancel: Arc<AtomicBool>) -> Self {
        Seat { program, limits, cancel, worker: None, peak_bytes: 0, last_bytes: 0, deaths: 0 }
    }

    /// Runs a task.
    ///
    /// # Errors
    /// Why it gave no result, in a sentence: it took too long, too much memory, or died. `None`: cancelled.
    pub fn run(&mut self, task: &Task) -> Result<SeedResult, Option<String>> {
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start(&self.program).map_err(|e| Some(format!("no worker process: {e}")))?,
        };
        match self.watch(&mut worker, task) {
            Ok(result) => {
                worker.served += 1;
                self.last_bytes = resident_bytes(worker.child.id());
                self.peak_bytes = self.peak_bytes.max(self.last_bytes);
                self.worker = (worker.served < SEEDS_PER_WORKER).then_some(worker);
                Ok(result)
            }
            Err(reason) => {
                self.deaths += u64::from(reason.is_some());
                Err(reason)
            }
        }
    }

    fn watch(&mut self, worker: &mut Worker, task: &Task) -> Result<SeedResult, Option<String>> {
        let began = Instant::now();
        worker.send(task).map_err(|error| Some(worker.death(&format!("took no task: {error}"))))?;
        loop {
            match worker.answers.recv_timeout(LOOK) {
                Ok(line) => {
                    return serde_json::from_str(&line)
                        .map_err(|error| Some(format!("the worker's answer is no result: {error}")));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Some(worker.death("died"))),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let memory = resident_bytes(worker.child.id());
            self.peak_bytes = self.peak_bytes.max(memory);
            let Limits { wall, memory_bytes } = self.limits;
            if memory > memory_bytes {
                let (has, may) = (memory / MIB, memory_bytes / MIB);
                return Err(Some(format!("memory limit: it held {has} MiB, allowed are {may} MiB")));
            }
            if began.elapsed() > wall {
                return Err(Some(format!("wall time limit: it did not end within {wall:?}")));
            }
            if self.cancel.load(Ordering::Relaxed) {
                return Err(None);
            }
        }
    }
}

impl Worker {
    fn start(program: &PathBuf) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let taken = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = taken else {
            return Err(io::Error::other("a pipe is missing"));
        };
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let last_words: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let heard = last_words.clone();
        std::thread::spawn(move || listen(errors, &heard));
        Ok(Worker { child, input, answers, last_words, served: 0 })
    }

    fn send(&mut self, task: &Task) -> io::Result<()> {
        let mut line = serde_json::to_vec(task)?;
        line.push(b'\n');
        self.input.write_all(&line)?;
        self.input.flush()
    }

    /// How a worker that is gone ended.
    fn death(&mut self, what: &str) -> String {
        let _ = self.child.kill();
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        // Its standard error ends with it, a moment later.
        std::thread::sleep(LOOK);
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let words =
            if words.is_empty() { String::new() } else { format!("; it said: {}", words.join(" | ")) };
        format!("the worker process {what} ({status}){words}")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(errors: impl Read, heard: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push_back(line.chars().take(300).collect());
        if heard.len() > LAST_WORDS {
            heard.pop_front();
        }
    }
}
