//! `metrics.jsonl` as it lies on the machines' disks in the end.

use apps::metricstream::export_files::{LIVE, Position};
use replica::GroupId;
use rt::disk;
use rt::sim::World;
use serde::Deserialize;
use std::io;
use std::path::Path;

/// A line of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Line {
    /// Series.
    pub name: String,
    /// Value.
    pub value: f64,
    /// Together they name a point.
    pub partition: GroupId,
    /// See `partition`.
    pub number: u64,
}

/// A machine's export.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// The machine.
    pub machine: String,
    /// Its lines; `None` where a disk damaged the file and its node has not been started since.
    pub lines: Option<Vec<Line>>,
}

/// What lies on every node's machine.
pub async fn read(world: &World) -> Vec<Export> {
    let mut exports = Vec::new();
    for name in world.machine_names().into_iter().filter(|name| !name.starts_with("client")) {
        let Some(machine) = world.machine_named(&name) else { continue };
        let reading = world.spawn_on(machine, rt::task::blocking(lines));
        // A machine without a process, or without the files, has none.
        if let Ok(Ok(lines)) = reading.await {
            exports.push(Export { machine: name, lines });
        }
    }
    exports
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let file = disk::open_existing(path)?;
    let mut bytes = vec![0; usize::try_from(file.size_bytes()?).unwrap_or(usize::MAX)];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

fn lines() -> io::Result<Option<Vec<Line>>> {
    let data = Path::new("/data");
    let stored = bytes_of(&data.join("metricstream-export.json"))?;
    let Ok(position) = serde_json::from_slice::<Position>(&stored) else { return Ok(None) };
    let Ok(mut bytes) = bytes_of(&data.join(LIVE)) else { return Ok(None) };
    bytes.truncate(usize::try_from(position.bytes).unwrap_or(usize::MAX));
    if crc32c::crc32c(&bytes) != position.crc {
        return Ok(None);
    }
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice(line).map_err(io::Error::other));
    lines.collect::<io::Result<Vec<Line>>>().map(Some)
}
