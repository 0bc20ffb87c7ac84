//! Memory of an idle node: four real processes of this program, one control node and three workers.

use anyhow::{Context, bail};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for the cluster.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it idles before the look.
const IDLE: Duration = Duration::from_secs(3);

/// Ends its processes with itself.
struct Nodes(Vec<Child>);

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &mut self.0 {
            // It may have ended by itself.
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

/// Resident memory of a worker, in megabytes of 10^6 bytes.
pub(super) fn resident_mb() -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let ports = free_ports(8)?;
    let peers: Vec<String> = (1..=4).map(|id| format!("{id}=127.0.0.1:{}", ports[id - 1])).collect();
    let program = std::env::current_exe().context("this program's own path")?;
    let mut nodes = Nodes(Vec::new());
    for id in 1..=4 {
        let role = if id == 1 { "control" } else { "worker" };
        let mut command = Command::new(&program);
        command.args(["node", "run", "--role", role, "--id", &id.to_string(), "--peers", &peers.join(",")]);
        command.args(["--listen", &format!("127.0.0.1:{}", ports[id + 3])]);
        command.arg("--data").arg(folder.path().join(id.to_string()));
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        nodes.0.push(quiet.spawn().context("starting this program as a node")?);
    }
    wait_ready(ports[5])?;
    std::thread::sleep(IDLE);
    let worker = nodes.0.get(1).context("no worker")?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.id()))
        .context("memory is read from /proc, which this system does not have")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("VmRSS is no number")?;
    Ok(kib * 1024.0 / 1e6)
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
    ports.collect()
}

fn wait_ready(port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = rt::http::Client::new(rt::http::ClientOptions::default());
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let request = http::Request::get("/readyz").body(bytes::Bytes::new())?;
        let host = format!("127.0.0.1:{port}");
        let answer = runtime.block_on(client.send(&host, request, Duration::from_secs(1)));
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("the cluster was not ready after {PATIENCE:?}")
}
