//! Three processes, ours or etcd's, that end with this value.

use super::http::Http;
use anyhow::{Context, bail};
use bytes::Bytes;
use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for a cluster.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// One process. It can be killed and started again with the same arguments.
pub(super) struct Member {
    pub api: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub log: PathBuf,
    pub child: Option<Child>,
}

/// What differs between ours and etcd.
pub(super) struct Kind {
    pub name: &'static str,
    /// Path that answers 200 when a member is ready.
    pub ready: &'static str,
    /// Path and body of a write.
    pub write: (&'static str, Bytes),
    /// Whether the member at this address leads what the write goes to.
    pub leads: fn(&Http, &str) -> anyhow::Result<bool>,
    /// Places of the members that are asked under load, once it is known who leads.
    pub serving: fn(leader: usize) -> Vec<usize>,
}

/// The processes.
pub(super) struct Cluster {
    pub kind: Kind,
    pub members: Vec<Member>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.members.iter_mut().for_each(Member::kill);
    }
}

impl Member {
    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("RUST_LOG", "warn");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("starting {}", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn end_of_log(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Cluster {
    /// Starts all and waits until one of them leads.
    pub fn start(kind: Kind, members: Vec<Member>, http: &Http) -> anyhow::Result<Self> {
        let mut cluster = Cluster { kind, members };
        cluster.members.iter_mut().try_for_each(Member::start)?;
        cluster.wait_ready(http)?;
        Ok(cluster)
    }

    /// Waits until all are ready and one leads.
    ///
    /// # Errors
    /// With the ends of the logs, if that takes too long.
    pub fn wait_ready(&self, http: &Http) -> anyhow::Result<usize> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let ready = self.members.iter().all(|member| http.get(&member.api, self.kind.ready).is_ok());
            if let Some(leader) = self.leader(http).filter(|_| ready) {
                return Ok(leader);
            }
            std::thread::sleep(PAUSE);
        }
        let logs: Vec<String> = self.members.iter().map(Member::end_of_log).collect();
        bail!("{} was not ready after {PATIENCE:?}; logs end with\n{}", self.kind.name, logs.join("\n--\n"))
    }

    /// Place of the member that leads what writes go to. Who cannot be asked does not.
    pub fn leader(&self, http: &Http) -> Option<usize> {
        self.members.iter().position(|member| (self.kind.leads)(http, &member.api).unwrap_or(false))
    }

    /// Addresses to ask under load.
    pub fn targets(&self, http: &Http) -> anyhow::Result<Vec<String>> {
        let leader = self.wait_ready(http)?;
        Ok((self.kind.serving)(leader).into_iter().map(|place| self.members[place].api.clone()).collect())
    }
}

/// A `127.0.0.1:port` that was free a moment ago and is given only once. It lies below the range that Linux
/// lends to outgoing connections: a member that was killed must find it free again.
pub(super) fn free_address() -> anyhow::Result<String> {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let turn = std::process::id().wrapping_mul(631).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = format!("127.0.0.1:{}", FIRST + turn % COUNT);
        if TcpListener::bind(&address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port from {FIRST} on is free")
}
