//! A disk that keeps only what it was told to keep.
//!
//! Every file has a durable image and a live one with the writes since the last sync between them. A
//! crash keeps the live image (the page cache survives the process). A power loss goes back to the
//! durable one and adds a seeded part of the unsynced writes, torn at sector size. Names behave the same
//! way: a created, renamed or removed file is so after `sync_dir` of its folder only.

use super::machine::Loss;
use super::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes tear at this size.
const SECTOR_BYTES: usize = 512;

/// What a disk did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Writes.
    pub writes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Unsynced writes that a power loss took, wholly or in part.
    pub lost_writes: u64,
}

/// The disk of one machine, whoever runs on it.
#[derive(Clone, Default)]
pub(crate) struct DiskState(Arc<Mutex<Image>>);

/// The disk as one incarnation of the machine sees it.
#[derive(Clone)]
pub(crate) struct Disk {
    image: DiskState,
    incarnation: u32,
}

#[derive(Clone, Default)]
struct Image {
    incarnation: u32,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    live_names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    directories: BTreeSet<PathBuf>,
    counters: Counters,
    armed: Option<(u64, Loss)>,
    /// The image as it was when the crash point was reached.
    frozen: Option<(Box<Image>, Loss)>,
}

#[derive(Clone, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Pending {
    fn apply(&self, bytes_of_file: &mut Vec<u8>) {
        match self {
            Pending::SetLen(len) => bytes_of_file.resize(*len, 0),
            Pending::Write { offset, bytes } => put(bytes_of_file, *offset, bytes),
        }
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

impl Content {
    fn sync(&mut self) {
        for pending in self.pending.drain(..) {
            pending.apply(&mut self.durable);
        }
    }

    /// Keeps a random part of the unsynced writes; returns how many were lost or torn.
    fn lose(&mut self, rng: &mut Rng) -> u64 {
        let mut lost = 0;
        // Either nothing unsynced reached the platter, or each write did with even odds, torn or not.
        let some_kept = rng.chance(0.5);
        for pending in self.pending.drain(..) {
            match pending {
                _ if !some_kept => lost += 1,
                Pending::SetLen(len) if rng.chance(0.5) => self.durable.resize(len, 0),
                Pending::SetLen(_) => lost += 1,
                Pending::Write { offset, bytes } => {
                    let torn = rng.chance(0.3);
                    let keep_all = !torn && rng.chance(0.5);
                    lost += u64::from(!keep_all);
                    for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if keep_all || torn && rng.chance(0.5) {
                            put(&mut self.durable, offset + number * SECTOR_BYTES, sector);
                        }
                    }
                }
            }
        }
        self.live.clone_from(&self.durable);
        lost
    }
}

impl Image {
    /// Counts an operation and freezes the image if it is the one to die at.
    fn operation(&mut self) {
        let Some((left, loss)) = &mut self.armed else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            let loss = *loss;
            self.armed = None;
            self.frozen = Some((Box::new(self.clone()), loss));
        }
    }

    fn parent_exists(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if !self.directories.contains(parent) => {
                Err(io::Error::new(io::ErrorKind::NotFound, "no such directory"))
            }
            _ => Ok(()),
        }
    }

    fn file(&mut self, id: u64) -> io::Result<&mut Content> {
        self.files.get_mut(&id).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl super::World {
    /// Ends a disk's injection, if it is one.
    pub(crate) fn mend_disk(&self, _injection: super::injection::Injection) {}
}

impl DiskState {
    fn lock(&self) -> MutexGuard<'_, Image> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn at(&self, incarnation: u32) -> Disk {
        Disk { image: self.clone(), incarnation }
    }

    pub(crate) fn enter_incarnation(&self, incarnation: u32) {
        let mut image = self.lock();
        image.incarnation = incarnation;
        image.armed = None;
    }

    pub(crate) fn counters(&self) -> Counters {
        self.lock().counters
    }

    pub(crate) fn arm(&self, operations: u64, loss: Loss) {
        self.lock().armed = Some((operations.max(1), loss));
    }

    pub(crate) fn disarm(&self) {
        self.lock().armed = None;
    }

    /// If the crash point was reached: goes back to the image of that moment and says how to die.
    pub(crate) fn take_crash(&self) -> Option<Loss> {
        let mut image = self.lock();
        let (frozen, loss) = image.frozen.take()?;
        let counters = image.counters;
        *image = *frozen;
        image.counters = counters;
        Some(loss)
    }

    pub(crate) fn power_loss(&self, rng: &mut Rng) {
        let mut image = self.lock();
        let image = &mut *image;
        image.live_names = image.durable_names.clone();
        let named: BTreeSet<u64> = image.live_names.values().copied().collect();
        image.files.retain(|id, _| named.contains(id));
        for content in image.files.values_mut() {
            image.counters.lost_writes += content.lose(rng);
        }
    }
}

impl Disk {
    /// The image, if the handle's incarnation still lives.
    fn image(&self) -> io::Result<MutexGuard<'_, Image>> {
        let image = self.image.lock();
        if image.incarnation != self.incarnation {
            return Err(io::Error::other("the process that opened this is dead"));
        }
        Ok(image)
    }

    pub(crate) fn open(&self, path: &Path, create: bool) -> io::Result<OpenFile> {
        let mut image = self.image()?;
        if let Some(&id) = image.live_names.get(path) {
            return Ok(OpenFile { disk: self.clone(), id });
        }
        if !create {
            return Err(io::ErrorKind::NotFound.into());
        }
        image.parent_exists(path)?;
        image.operation();
        let id = image.next_file;
        image.next_file += 1;
        image.files.insert(id, Content::default());
        image.live_names.insert(path.to_owned(), id);
        Ok(OpenFile { disk: self.clone(), id })
    }

    pub(crate) fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut image = self.image()?;
        for ancestor in path.ancestors() {
            image.directories.insert(ancestor.to_owned());
        }
        Ok(())
    }

    pub(crate) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut image = self.image()?;
        if !image.directories.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        image.operation();
        let inside = |name: &Path| name.parent() == Some(path);
        let mut names = std::mem::take(&mut image.durable_names);
        names.retain(|name, _| !inside(name));
        names
            .extend(image.live_names.iter().filter(|(name, _)| inside(name)).map(|(n, id)| (n.clone(), *id)));
        image.durable_names = names;
        Ok(())
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut image = self.image()?;
        image.parent_exists(to)?;
        image.operation();
        let id = image.live_names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        image.live_names.insert(to.to_owned(), id);
        Ok(())
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut image = self.image()?;
        image.operation();
        image.live_names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let image = self.image()?;
        if !image.directories.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(image.live_names.keys().filter(|name| name.parent() == Some(path)).cloned().collect())
    }
}

/// An open file of one incarnation.
#[derive(Clone)]
pub(crate) struct OpenFile {
    disk: Disk,
    id: u64,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("id", &self.id).finish_non_exhaustive()
    }
}

impl OpenFile {
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut image = self.disk.image()?;
        let live = &image.file(self.id)?.live;
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let bytes = start.checked_add(buffer.len()).and_then(|end| live.get(start..end));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut image = self.disk.image()?;
        image.operation();
        image.counters.writes += 1;
        image.counters.written_bytes += bytes.len() as u64;
        let content = image.file(self.id)?;
        put(&mut content.live, offset, bytes);
        content.pending.push(Pending::Write { offset, bytes: bytes.to_vec() });
        drop(image);
        self.record("disk_write", xxhash_rust::xxh3::xxh3_64_with_seed(bytes, offset as u64));
        Ok(())
    }

    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut image = self.disk.image()?;
        image.operation();
        let content = image.file(self.id)?;
        content.live.resize(len, 0);
        content.pending.push(Pending::SetLen(len));
        Ok(())
    }

    pub(crate) fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.image()?.file(self.id)?.live.len() as u64)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        let mut image = self.disk.image()?;
        // The crash point lies before the sync takes effect.
        image.operation();
        image.counters.syncs += 1;
        image.file(self.id)?.sync();
        drop(image);
        self.record("disk_sync", 0);
        Ok(())
    }

    fn record(&self, kind: &'static str, detail: u64) {
        if let Some(world) = super::current() {
            let node = world.current_machine().map_or(0, |machine| machine.number());
            world.record(node, kind, self.id, detail);
        }
    }
}
