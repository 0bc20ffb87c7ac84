//! The whole disk: files, names, the faults in force and the crash point.

use super::Counters;
use super::content::{Bad, Content};
use super::fault::{DiskFault, Faults, Operation, eio, enospc};
use crate::sim::injection::{Bites, Injection};
use crate::sim::machine::Loss;
use crate::sim::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, Default)]
pub(super) struct Image {
    pub(super) incarnation: u32,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    live: Names,
    durable: Names,
    pub(super) counters: Counters,
    faults: Faults,
    /// Bites not yet told to the world.
    bitten: Vec<Injection>,
    /// Who holds the lock of a file: numbers of files and of openings.
    locks: BTreeMap<u64, u64>,
    next_opening: u64,
    armed: Option<(u64, Loss)>,
    /// The image as it was when the crash point was reached.
    frozen: Option<(Box<Image>, Loss)>,
}

#[derive(Clone, Default)]
struct Names {
    files: BTreeMap<PathBuf, u64>,
    directories: BTreeSet<PathBuf>,
}

impl Names {
    /// The root, written either way, is always there.
    fn has_directory(&self, path: &Path) -> bool {
        path.parent().is_none() || path.as_os_str().is_empty() || self.directories.contains(path)
    }

    fn parent_exists(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if !self.has_directory(parent) => {
                Err(io::Error::new(io::ErrorKind::NotFound, "no such directory"))
            }
            _ => Ok(()),
        }
    }

    /// Drops what lies in folders that are not there.
    fn prune(&mut self) {
        let known = self.clone();
        let reachable = |path: &Path| path.ancestors().skip(1).all(|folder| known.has_directory(folder));
        self.directories.retain(|path| reachable(path));
        self.files.retain(|path, _| reachable(path));
    }
}

/// Life and death.
impl Image {
    pub(super) fn enter_incarnation(&mut self, incarnation: u32) {
        self.incarnation = incarnation;
        self.armed = None;
        self.locks.clear();
    }

    pub(super) fn arm(&mut self, operations: u64, loss: Loss) {
        self.armed = Some((operations.max(1), loss));
    }

    pub(super) fn disarm(&mut self) {
        self.armed = None;
    }

    /// Counts an operation and freezes the image if it is the one to die at.
    fn operation(&mut self) {
        self.counters.operations += 1;
        let Some((left, loss)) = &mut self.armed else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            let loss = *loss;
            self.armed = None;
            self.frozen = Some((Box::new(self.clone()), loss));
        }
    }

    pub(super) fn take_crash(&mut self) -> Option<Loss> {
        let (frozen, loss) = self.frozen.take()?;
        let counters = self.counters;
        *self = *frozen;
        self.counters = counters;
        Some(loss)
    }

    pub(super) fn power_loss(&mut self, rng: &mut Rng) {
        self.durable.prune();
        self.live = self.durable.clone();
        let named: BTreeSet<u64> = self.live.files.values().copied().collect();
        self.files.retain(|id, _| named.contains(id));
        for content in self.files.values_mut() {
            self.counters.lost_writes += content.lose(rng);
        }
    }

    pub(super) fn wipe(&mut self) {
        *self = Image {
            incarnation: self.incarnation,
            // Numbers of files are in the trace: never twice.
            next_file: self.next_file,
            counters: self.counters,
            faults: std::mem::take(&mut self.faults),
            ..Image::default()
        };
    }
}

/// Faults.
impl Image {
    pub(super) fn injure(&mut self, fault: DiskFault, injection: Injection, mut rng: Rng) {
        match fault {
            DiskFault::Rot { sectors } => {
                for (file, sector) in self.old_sectors(sectors, &mut rng) {
                    if let Some(content) = self.files.get_mut(&file) {
                        content.rot(sector, injection, &mut rng);
                    }
                }
            }
            DiskFault::LatentSectorError { sectors } => {
                for (file, sector) in self.old_sectors(sectors, &mut rng) {
                    if let Some(content) = self.files.get_mut(&file) {
                        content.make_unreadable(sector, injection);
                    }
                }
            }
            _ => self.faults.begin(injection, fault, rng),
        }
    }

    /// Up to `count` different sectors that damage may hit, of files that have a name.
    fn old_sectors(&self, count: u64, rng: &mut Rng) -> BTreeSet<(u64, usize)> {
        let named: BTreeSet<u64> = self.live.files.values().copied().collect();
        let files = self.files.iter().filter(|(id, _)| named.contains(id));
        let mut old: Vec<(u64, usize)> =
            files.flat_map(|(id, content)| content.old_sectors().map(|sector| (*id, sector))).collect();
        let mut drawn = BTreeSet::new();
        while (drawn.len() as u64) < count && !old.is_empty() {
            drawn.insert(old.swap_remove(usize::try_from(rng.below(old.len() as u64)).unwrap_or(0)));
        }
        drawn
    }

    /// Ends a fault. False if it is none of this disk's.
    pub(super) fn mend(&mut self, injection: Injection) -> bool {
        self.files.values_mut().for_each(|content| content.forget_stray(injection));
        if let Some((frozen, _)) = &mut self.frozen {
            frozen.mend(injection);
        }
        self.faults.end(injection)
    }

    pub(super) fn slowness(&self, rng: &mut Rng, bites: &mut Bites) -> Option<Duration> {
        self.faults.slowness(rng, bites)
    }

    pub(super) fn stall(&self) -> Option<Injection> {
        self.faults.stall()
    }

    /// Bites since the last call. None of what happens after the crash point: it never happened.
    pub(super) fn take_bitten(&mut self) -> Vec<Injection> {
        let bitten = std::mem::take(&mut self.bitten);
        if self.frozen.is_some() { Vec::new() } else { bitten }
    }

    fn strike(&mut self, operation: Operation) -> io::Result<()> {
        match self.faults.strike(operation) {
            None => Ok(()),
            Some((injection, _)) => {
                self.bitten.push(injection);
                Err(eio())
            }
        }
    }
}

/// Names.
impl Image {
    pub(super) fn open(&mut self, path: &Path, create: bool) -> io::Result<u64> {
        if let Some(&id) = self.live.files.get(path) {
            return Ok(id);
        }
        if !create {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.live.parent_exists(path)?;
        self.operation();
        let id = self.next_file;
        self.next_file += 1;
        self.files.insert(id, Content::default());
        self.live.files.insert(path.to_owned(), id);
        Ok(id)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) {
        let missing: Vec<_> = path.ancestors().filter(|folder| !self.live.has_directory(folder)).collect();
        for folder in missing.into_iter().rev() {
            self.operation();
            self.live.directories.insert(folder.to_owned());
        }
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        if !self.live.has_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.operation();
        self.strike(Operation::Sync)?;
        let inside = |name: &Path| name.parent() == Some(path);
        let Names { files, directories } = &mut self.durable;
        files.retain(|name, _| !inside(name));
        let live = self.live.files.iter().filter(|(name, _)| inside(name));
        files.extend(live.map(|(name, id)| (name.clone(), *id)));
        directories.extend(self.live.directories.iter().filter(|name| inside(name)).cloned());
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.live.parent_exists(to)?;
        let id = *self.live.files.get(from).ok_or(io::ErrorKind::NotFound)?;
        self.operation();
        self.live.files.remove(from);
        let replaced = self.live.files.insert(to.to_owned(), id);
        self.give_back(replaced);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        if !self.live.files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.operation();
        let removed = self.live.files.remove(path);
        self.give_back(removed);
        Ok(())
    }

    /// The space of a file without a name is free.
    fn give_back(&mut self, file: Option<u64>) {
        let space = file.and_then(|id| self.files.get(&id)).map_or(0, Content::space);
        self.faults.take_space(-i64::try_from(space).unwrap_or(i64::MAX));
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        if !self.live.has_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(self.live.files.keys().filter(|name| name.parent() == Some(path)).cloned().collect())
    }
}

/// Files.
impl Image {
    fn file(&mut self, id: u64) -> io::Result<&mut Content> {
        self.files.get_mut(&id).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    pub(super) fn size(&mut self, id: u64) -> io::Result<usize> {
        Ok(self.file(id)?.live().len())
    }

    pub(super) fn read(&mut self, id: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.counters.reads += 1;
        self.strike(Operation::Read)?;
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let content = self.file(id)?;
        let bytes = start.checked_add(buffer.len()).and_then(|end| content.live().get(start..end));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        let bad: Vec<_> = content.bad(start, buffer.len()).collect();
        self.bitten.extend(bad.iter().map(|(injection, _)| *injection));
        if bad.iter().any(|(_, bad)| *bad == Bad::Unreadable) { Err(eio()) } else { Ok(()) }
    }

    pub(super) fn write(&mut self, id: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.operation();
        self.counters.writes += 1;
        self.counters.written_bytes += bytes.len() as u64;
        self.strike(Operation::Write)?;
        if let Some(injection) = self.file(id)?.unmergeable(offset, bytes.len()) {
            self.bitten.push(injection);
            return Err(eio());
        }
        let stray = self.faults.strike(Operation::Direct);
        let fits = self.make_room(id, offset, bytes.len())?;
        let content = self.file(id)?;
        match stray {
            Some((injection, rng)) if fits == bytes.len() => content.misdirect(offset, bytes, injection, rng),
            _ if fits == 0 => {}
            _ => content.write(offset, &bytes[..fits]),
        }
        if fits < bytes.len() { Err(enospc()) } else { Ok(()) }
    }

    /// Takes space for a write; gives how much of it has room.
    fn make_room(&mut self, id: u64, offset: usize, len: usize) -> io::Result<usize> {
        let Some((injection, free)) = self.faults.free() else { return Ok(len) };
        let (fits, taken) = self.file(id)?.fits(offset, len, free);
        self.faults.take_space(i64::try_from(taken).unwrap_or(i64::MAX));
        if fits < len {
            self.bitten.push(injection);
        }
        Ok(fits)
    }

    pub(super) fn set_len(&mut self, id: u64, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.operation();
        self.strike(Operation::Write)?;
        let content = self.file(id)?;
        let before = content.space();
        content.set_len(len);
        let freed = before - content.space();
        self.faults.take_space(-i64::try_from(freed).unwrap_or(i64::MAX));
        Ok(())
    }

    pub(super) fn sync(&mut self, id: u64) -> io::Result<()> {
        // The crash point lies before the sync takes effect.
        self.operation();
        self.counters.syncs += 1;
        if let Some((injection, mut rng)) = self.faults.strike(Operation::Sync) {
            self.bitten.push(injection);
            self.file(id)?.fail_to_sync(&mut rng);
            return Err(eio());
        }
        let shown = self.file(id)?.sync();
        self.bitten.extend(shown);
        Ok(())
    }

    /// A number for a new opening of a file.
    pub(super) fn opening(&mut self) -> u64 {
        self.next_opening += 1;
        self.next_opening
    }

    pub(super) fn lock(&mut self, id: u64, opening: u64) -> io::Result<()> {
        match *self.locks.entry(id).or_insert(opening) {
            holder if holder == opening => Ok(()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    pub(super) fn unlock(&mut self, id: u64, opening: u64) {
        if self.locks.get(&id) == Some(&opening) {
            self.locks.remove(&id);
        }
    }
}
