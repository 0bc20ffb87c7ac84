//! The disk and its open files as one incarnation of a machine sees them. They are dead with it.

use super::DiskState;
use super::image::Image;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};

/// The disk as one incarnation of the machine sees it.
#[derive(Clone)]
pub(crate) struct Disk {
    state: DiskState,
    incarnation: u32,
}

impl Disk {
    pub(super) fn new(state: DiskState, incarnation: u32) -> Self {
        Disk { state, incarnation }
    }

    /// The image, if the handle's incarnation still lives.
    fn image(&self) -> io::Result<MutexGuard<'_, Image>> {
        let image = self.state.lock();
        if image.incarnation != self.incarnation {
            return Err(io::Error::other("the process that opened this is dead"));
        }
        Ok(image)
    }

    /// Does something with the image, and tells the world what bit.
    fn with<T>(&self, act: impl FnOnce(&mut Image) -> io::Result<T>) -> io::Result<T> {
        let mut image = self.image()?;
        let result = act(&mut image);
        let bitten = image.take_bitten();
        drop(image);
        if !bitten.is_empty()
            && let Some(world) = crate::sim::current()
        {
            let mut state = world.state();
            bitten.into_iter().for_each(|injection| state.bites.bite(injection));
        }
        result
    }

    pub(crate) fn open(&self, path: &Path, create: bool) -> io::Result<OpenFile> {
        let (id, number) = self.with(|image| Ok((image.open(path, create)?, image.opening())))?;
        Ok(OpenFile(Arc::new(Opening { disk: self.clone(), id, number })))
    }

    pub(crate) fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.with(|image| {
            image.create_dir_all(path);
            Ok(())
        })
    }

    pub(crate) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.with(|image| image.sync_dir(path))
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|image| image.rename(from, to))
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|image| image.remove(path))
    }

    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.with(|image| image.list(path))
    }
}

/// An open file of one incarnation. Clones share it, and its lock.
#[derive(Clone)]
pub(crate) struct OpenFile(Arc<Opening>);

struct Opening {
    disk: Disk,
    id: u64,
    number: u64,
}

impl Drop for Opening {
    fn drop(&mut self) {
        // A dead incarnation has no locks any more.
        if let Ok(mut image) = self.disk.image() {
            image.unlock(self.id, self.number);
        }
    }
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl OpenFile {
    fn with<T>(&self, act: impl FnOnce(&mut Image, u64) -> io::Result<T>) -> io::Result<T> {
        self.0.disk.with(|image| act(image, self.0.id))
    }

    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|image, id| image.read(id, offset, buffer))
    }

    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|image, id| image.write(id, offset, bytes))?;
        self.record("disk_write", xxhash_rust::xxh3::xxh3_64_with_seed(bytes, offset));
        Ok(())
    }

    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|image, id| image.set_len(id, len))
    }

    pub(crate) fn size_bytes(&self) -> io::Result<u64> {
        self.with(|image, id| Ok(image.size(id)? as u64))
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.with(|image, id| image.sync(id))?;
        self.record("disk_sync", 0);
        Ok(())
    }

    pub(crate) fn lock(&self) -> io::Result<()> {
        self.with(|image, id| image.lock(id, self.0.number))
    }

    fn record(&self, kind: &'static str, detail: u64) {
        if let Some(world) = crate::sim::current() {
            let node = world.current_machine().map_or(0, |machine| machine.number());
            world.record(node, kind, self.0.id, detail);
        }
    }
}
