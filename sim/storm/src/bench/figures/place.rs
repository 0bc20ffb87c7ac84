//! What is measured with, and where: programs, folder, machine.

use super::FiguresOptions;
use super::http::Http;
use anyhow::Context;
use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const NO_WRK: &str = "wrk is not on PATH; on Debian: apt-get install wrk";
const NO_ETCD: &str = "etcd       is not on PATH, so nothing is measured beside ours; on Debian: \
                       apt-get install etcd-server";

/// Programs and a folder that goes at the end.
pub(super) struct Place {
    pub node: PathBuf,
    pub wrk: PathBuf,
    pub etcd: Option<PathBuf>,
    pub http: Http,
    folder: tempfile::TempDir,
    folders: Cell<u32>,
}

impl Place {
    /// # Errors
    /// If a program is missing, with how to get it.
    pub fn new(options: &FiguresOptions) -> anyhow::Result<Self> {
        let beside = || -> anyhow::Result<PathBuf> {
            let program = std::env::current_exe().context("this program's own path")?;
            Ok(program.with_file_name("node"))
        };
        let node = options.node.clone().map_or_else(beside, Ok)?;
        anyhow::ensure!(
            node.is_file(),
            "there is no {}; build it with `cargo build --release --features sim --bin node`, \
             or say where it is: --node FILE",
            node.display()
        );
        let folder = match &options.data {
            Some(folder) => tempfile::tempdir_in(folder),
            None => tempfile::tempdir(),
        };
        Ok(Place {
            node,
            wrk: on_path("wrk").context(NO_WRK)?,
            etcd: on_path("etcd"),
            http: Http::new()?,
            folder: folder.context("a folder for the data")?,
            folders: Cell::new(0),
        })
    }

    /// An empty folder.
    pub fn fresh_folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.folders.set(self.folders.get() + 1);
        let folder = self.folder.path().join(format!("{name}-{}", self.folders.get()));
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// Prints what the figures depend on.
    pub fn describe(&self) -> anyhow::Result<()> {
        let build = crate::build_info::current();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("unknown");
        println!(
            "box        {} processors, {}, load average {load} before the start",
            build.cpus, build.platform
        );
        let disk = filesystem(self.folder.path()).unwrap_or_else(|| "unknown".into());
        println!("disk       {disk}, a sync of 512 bytes takes {:.2} ms (median)", self.sync_ms()?);
        if disk == "tmpfs" {
            println!("           which is memory: nothing is durable there, use --data FOLDER");
        }
        println!(
            "ours       {}, 1 control + 2 workers, 4 partitions, 3 replicas, fsync on",
            self.node.display()
        );
        match &self.etcd {
            Some(etcd) => println!("etcd       {}, 3 nodes, {}", etcd.display(), version(etcd)),
            None => println!("{NO_ETCD}"),
        }
        Ok(())
    }

    fn sync_ms(&self) -> anyhow::Result<f64> {
        let mut file = File::create(self.folder.path().join("sync"))?;
        let mut times = Vec::new();
        for _ in 0..200 {
            let began = Instant::now();
            file.write_all(&[7; 512])?;
            file.sync_data()?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(super::median(times))
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn version(etcd: &Path) -> String {
    let output = Command::new(etcd).arg("--version").output().map(|output| output.stdout);
    let text = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
    text.lines().next().unwrap_or("version unknown").to_owned()
}

/// Kind of the file system that a folder lies on: that of the longest mount point above it.
fn filesystem(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let of = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        folder.starts_with(point).then(|| (point.len(), kind.to_owned()))
    });
    of.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}
