//! Nodes and other programs as processes of their own, which end with the test at the latest.

use crate::client::Client;
use crate::{ports, wait};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Ends a process by `kill -9`, whatever it is doing.
fn kill_now(child: &mut Child) -> ExitStatus {
    // It may have ended by itself meanwhile; then there is only its status to fetch.
    let _ = child.kill();
    child.wait().expect("a child that nobody else waited for")
}

/// `program` without the settings of whoever runs the tests.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for variable in ["SEEDSTORM_TOKEN", "LOADGEN_TOKEN", "RUST_LOG", "RUST_BACKTRACE"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// How a program ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a program to its end.
///
/// # Panics
/// If it does not end within `patience`; it is killed then.
pub fn run(program: &str, arguments: &[&str], patience: Duration) -> Finished {
    let mut command = command(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let stdout = read_on_a_thread(child.stdout.take());
    let stderr = read_on_a_thread(child.stderr.take());
    let ended = wait::holds_within(patience, || child.try_wait().expect("its status").is_some());
    let status = kill_now(&mut child);
    let text = |thread: std::thread::JoinHandle<String>| thread.join().expect("a reader");
    let finished = Finished { code: status.code(), stdout: text(stdout), stderr: text(stderr) };
    assert!(ended, "{program} {arguments:?} had not ended after {patience:?}: {finished:?}");
    finished
}

fn read_on_a_thread<R: Read + Send + 'static>(stream: Option<R>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What came before the stream broke is still worth showing.
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A node in a process of its own. It is killed when this is dropped.
pub struct NodeProcess {
    /// API address.
    pub api: String,
    program: String,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl NodeProcess {
    /// A node that is not started yet; its output goes to the file `log`.
    pub fn new(program: &str, arguments: Vec<String>, api: &str, log: PathBuf) -> Self {
        NodeProcess { api: api.into(), program: program.into(), arguments, log, child: None }
    }

    /// Starts it, with the same arguments each time.
    ///
    /// # Panics
    /// If it runs already.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.api);
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log file");
        let mut command = command(&self.program);
        command.args(&self.arguments).stdout(log.try_clone().expect("a second handle")).stderr(log);
        self.child = Some(command.spawn().expect("the node starts"));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_now(&mut child);
        }
    }

    /// Asks it politely to end (`SIGTERM`) and waits until it has.
    ///
    /// # Panics
    /// If it does not run, or does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running node");
        // The shell's `kill`: the standard library sends no signal but the last one.
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "cannot send SIGTERM");
        let ended = wait::holds_within(wait::LONG, || child.try_wait().expect("its status").is_some());
        let status = kill_now(&mut child);
        assert!(ended, "{} did not end on SIGTERM:\n{}", self.api, self.log());
        status
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it does not run, or does not end; the text ends with its log.
    pub fn wait_ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running node");
        let ended = wait::holds_within(wait::LONG, || child.try_wait().expect("its status").is_some());
        let status = kill_now(&mut child);
        assert!(ended, "{} did not end by itself:\n{}", self.api, self.log());
        status
    }

    /// Tells it to read its configuration file again (`SIGHUP`).
    ///
    /// # Panics
    /// If it does not run.
    pub fn hang_up(&self) {
        let child = self.child.as_ref().expect("a running node");
        let told = Command::new("kill").args(["-HUP", &child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "cannot send SIGHUP");
    }

    /// Waits until it says that it is ready.
    ///
    /// # Panics
    /// If it does not say so; the text ends with its log.
    pub fn wait_ready(&mut self) {
        let mut client = self.client();
        let ready = wait::holds_within(wait::LONG, || client.is_ready());
        assert!(ready, "{} did not become ready:\n{}", self.api, self.log());
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.api)
    }

    /// The end of what it wrote.
    pub fn log(&self) -> String {
        let mut text = String::new();
        // A node that never started has no log.
        let _ = File::open(&self.log).and_then(|mut file| file.read_to_string(&mut text));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One control node and some workers, each a process with ports and a data folder of its own.
pub struct Fleet {
    /// The nodes, the control node (id 1) first.
    pub nodes: Vec<NodeProcess>,
}

impl Fleet {
    /// Nodes that are not started yet, with everything they write in `folder`.
    pub fn new(program: &str, folder: &Path, workers: usize) -> Self {
        Self::with(program, folder, workers, &[])
    }

    /// The same, with more arguments for every node.
    pub fn with(program: &str, folder: &Path, workers: usize, more: &[&str]) -> Self {
        Self::build(program, folder, workers, |_| more.iter().map(ToString::to_string).collect())
    }

    /// The same, with a region for each node, the control node first.
    pub fn in_regions(program: &str, folder: &Path, regions: &[&str]) -> Self {
        let region = |id: usize| vec!["--region".to_owned(), regions[id - 1].to_owned()];
        Self::build(program, folder, regions.len() - 1, region)
    }

    fn build(program: &str, folder: &Path, workers: usize, more: impl Fn(usize) -> Vec<String>) -> Self {
        let peers: Vec<String> =
            (1..=workers + 1).map(|id| format!("{id}={}", ports::free_address())).collect();
        let node = |id: usize| {
            let api = ports::free_address();
            let role = if id == 1 { "control" } else { "worker" };
            let data = folder.join(id.to_string()).display().to_string();
            let (number, peers) = (id.to_string(), peers.join(","));
            let arguments = ["run", "--role", role, "--id", &number, "--listen", &api, "--data", &data];
            let peers = ["--peers", &peers];
            let arguments = arguments.iter().chain(&peers).map(ToString::to_string);
            let arguments = arguments.chain(more(id)).collect();
            NodeProcess::new(program, arguments, &api, folder.join(format!("node-{id}.log")))
        };
        Fleet { nodes: (1..=workers + 1).map(node).collect() }
    }

    /// Starts those that are not running and waits until all are ready.
    pub fn start(&mut self) {
        self.nodes.iter_mut().filter(|node| node.child.is_none()).for_each(NodeProcess::start);
        self.nodes.iter_mut().for_each(NodeProcess::wait_ready);
    }

    /// `kill -9` for all.
    pub fn kill_all(&mut self) {
        // First the signal to everybody, then the waiting: no node shall see the others gone.
        for child in self.nodes.iter_mut().filter_map(|node| node.child.as_mut()) {
            // It may have ended by itself; the next step finds out.
            let _ = child.kill();
        }
        self.nodes.iter_mut().for_each(NodeProcess::kill);
    }

    /// A client of the control node.
    pub fn client(&self) -> Client {
        self.nodes[0].client()
    }
}
