//! The files of the export: the live one, those set aside, and how far was written.
//!
//! `metrics.jsonl` is live. When it is full it becomes `metrics-NUMBER.jsonl`, is compressed to
//! `metrics-NUMBER.jsonl.zst`, and goes when every point in it is forgotten. What was written is in
//! `metricstream-export.json` in the node's data folder, which is replaced in one step: a crash anywhere
//! leaves either the old position, and the live file is cut back to it, or the new one. A live file that is not
//! what was written (rotten, cut, removed) is written again from where it began.

use replica::GroupId;
use rt::disk::{self, File};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the live file.
pub const LIVE: &str = "metrics.jsonl";
const POSITION: &str = "metricstream-export.json";
/// zstd's own default.
const LEVEL: i32 = 3;

/// How far was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Number of the live file, which it gets when it is set aside.
    pub file: u64,
    /// Bytes of the live file that belong to it.
    pub bytes: u64,
    /// CRC-32C of these bytes.
    #[serde(default)]
    pub crc: u32,
    /// First point of each partition in the live file.
    #[serde(default)]
    pub begin: BTreeMap<GroupId, u64>,
    /// Next point of each partition.
    pub next: BTreeMap<GroupId, u64>,
    /// Latest time in the live file.
    pub last_ms: u64,
    /// Latest times in files that were set aside, by their numbers.
    pub aside: BTreeMap<u64, u64>,
}

/// The open files.
pub struct Files {
    folder: PathBuf,
    data: PathBuf,
    live: File,
    position: Position,
    file_bytes: u64,
}

impl Files {
    /// Opens them, and puts right what a crash left.
    ///
    /// # Errors
    /// As the disk says.
    pub fn open(folder: &Path, data: &Path, file_bytes: u64) -> io::Result<Self> {
        disk::create_durable_dir(folder)?;
        let live = disk::open(&folder.join(LIVE))?;
        let stored = read(&data.join(POSITION))?;
        let position = stored.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
        let mut files = Files {
            folder: folder.into(),
            data: data.into(),
            live,
            position: position.clone().unwrap_or_default(),
            file_bytes,
        };
        if position.is_none() {
            // Another cluster's lines, or ours with their position lost: they stay, under another name.
            files.position.file = files.highest()? + 1;
            files.position.last_ms = u64::MAX;
            if files.live.size_bytes()? > 0 {
                files.set_aside()?;
            }
            files.position.last_ms = 0;
        } else if !files.is_as_written() {
            rt::reachable!("metricstream: a damaged metrics.jsonl is written again");
            let position = &mut files.position;
            position.next.clone_from(&position.begin);
            (position.bytes, position.crc, position.last_ms) = (0, 0, 0);
        }
        files.live.set_len(files.position.bytes)?;
        disk::sync_dir(&files.folder)?;
        files.save()?;
        files.compress()?;
        Ok(files)
    }

    /// True if the live file holds what was written to it; what follows that was never acknowledged.
    fn is_as_written(&self) -> bool {
        let mut bytes = vec![0; usize::try_from(self.position.bytes).unwrap_or(usize::MAX)];
        // What cannot be read is not there.
        self.live.read_at(0, &mut bytes).is_ok() && crc32c::crc32c(&bytes) == self.position.crc
    }

    /// How far was written.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Appends lines that lead to `position`, and sets the live file aside if it is full.
    ///
    /// # Errors
    /// As the disk says. What was written then counts as not written.
    pub fn append(&mut self, lines: &[u8], position: Position) -> io::Result<()> {
        self.live.write_at(self.position.bytes, lines)?;
        self.live.sync()?;
        self.position.bytes += lines.len() as u64;
        self.position.crc = crc32c::crc32c_append(self.position.crc, lines);
        self.position.next = position.next;
        self.position.last_ms = self.position.last_ms.max(position.last_ms);
        self.save()?;
        if self.position.bytes >= self.file_bytes {
            self.set_aside()?;
            self.save()?;
            self.compress()?;
        }
        Ok(())
    }

    /// Removes files that were set aside and hold nothing from `retained_ms` on.
    ///
    /// # Errors
    /// As the disk says.
    pub fn forget(&mut self, retained_ms: u64) -> io::Result<()> {
        let old = |last_ms: &u64| *last_ms < retained_ms;
        let gone: Vec<u64> =
            self.position.aside.iter().filter(|(_, last)| old(last)).map(|(number, _)| *number).collect();
        for number in &gone {
            for path in [self.aside(*number), self.compressed(*number)] {
                match disk::remove(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            self.position.aside.remove(number);
        }
        if gone.is_empty() { Ok(()) } else { self.save() }
    }

    fn aside(&self, number: u64) -> PathBuf {
        self.folder.join(format!("metrics-{number:06}.jsonl"))
    }

    fn compressed(&self, number: u64) -> PathBuf {
        self.folder.join(format!("metrics-{number:06}.jsonl.zst"))
    }

    /// Copies the live file's lines under its number, then empties it: it has the same name, and the same
    /// open file, for who follows it.
    fn set_aside(&mut self) -> io::Result<()> {
        let number = self.position.file;
        let bytes = self.live.size_bytes()?.max(self.position.bytes);
        let mut lines = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        self.live.read_at(0, &mut lines)?;
        write_whole(&self.aside(number), &lines)?;
        self.position.aside.insert(number, self.position.last_ms);
        self.position.begin.clone_from(&self.position.next);
        (self.position.file, self.position.bytes, self.position.crc) = (number + 1, 0, 0);
        self.position.last_ms = 0;
        self.save()?;
        self.live.set_len(0)?;
        self.live.sync()
    }

    /// Compresses what was set aside and is not compressed yet.
    fn compress(&self) -> io::Result<()> {
        for number in self.position.aside.keys() {
            let plain = self.aside(*number);
            let Some(lines) = read(&plain)? else { continue };
            write_whole(&self.compressed(*number), &zstd::bulk::compress(&lines, LEVEL)?)?;
            disk::remove(&plain)?;
        }
        disk::sync_dir(&self.folder)
    }

    /// The highest number of a file that was set aside.
    fn highest(&self) -> io::Result<u64> {
        let paths = disk::list(&self.folder)?;
        let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
        let numbers =
            names.filter_map(|name| name.strip_prefix("metrics-")?.split('.').next()?.parse::<u64>().ok());
        Ok(numbers.max().unwrap_or(0))
    }

    fn save(&self) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self.position).map_err(io::Error::other)?;
        write_whole(&self.data.join(POSITION), &bytes)
    }
}

/// A file's bytes; `None` if there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk::open_existing(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; usize::try_from(file.size_bytes()?).unwrap_or(usize::MAX)];
    file.read_at(0, &mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a file so that it is there as a whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let file = disk::open(&unfinished)?;
    file.set_len(0)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    disk::rename(&unfinished, path)?;
    disk::sync_dir(path.parent().unwrap_or(Path::new("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: &Position, group: GroupId, next: u64, last_ms: u64) -> Position {
        let mut position = position.clone();
        position.next.insert(group, next);
        position.last_ms = last_ms;
        position
    }

    fn unpacked(path: &Path) -> String {
        let bytes = read(path).unwrap().unwrap();
        String::from_utf8(zstd::bulk::decompress(&bytes, 1 << 20).unwrap()).unwrap()
    }

    #[test]
    fn lines_are_appended_set_aside_compressed_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut files = Files::open(path, path, 20).unwrap();
        let text = |path: &Path| String::from_utf8(read(path).unwrap().unwrap()).unwrap();
        files.append(b"first line\n", at(&files.position, 1, 1, 100)).unwrap();
        assert_eq!(text(&path.join(LIVE)), "first line\n");
        files.append(b"second line\n", at(&files.position, 1, 2, 200)).unwrap();
        assert_eq!(text(&path.join(LIVE)), "", "it was full");
        let aside = path.join("metrics-000001.jsonl.zst");
        assert_eq!(unpacked(&aside), "first line\nsecond line\n");
        files.append(b"third\n", at(&files.position, 1, 3, 300)).unwrap();
        // What was written after the last position is cut off.
        files.live.write_at(6, b"torn").unwrap();
        let position = files.position.clone();
        drop(files);
        let mut files = Files::open(path, path, 20).unwrap();
        assert_eq!(files.position, position);
        assert_eq!(text(&path.join(LIVE)), "third\n");
        files.forget(200).unwrap();
        assert!(read(&aside).unwrap().is_some(), "its newest point is kept");
        files.forget(201).unwrap();
        assert!(read(&aside).unwrap().is_none());
        // A new cluster in the same folder: what lies there stays, under another name.
        disk::remove(&path.join(POSITION)).unwrap();
        let files = Files::open(path, path, 20).unwrap();
        assert_eq!(text(&path.join(LIVE)), "");
        assert_eq!(unpacked(&path.join("metrics-000001.jsonl.zst")), "third\n");
        assert_eq!(files.position.next, BTreeMap::new());
    }
}
