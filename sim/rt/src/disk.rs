//! Files and directories, and what makes them durable.
//!
//! Every call blocks: call it inside [`crate::task::blocking`]. A write is durable after the file's
//! [`File::sync`]; a created, renamed or removed name after [`sync_dir`] of its directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open file. Clones share it.
#[derive(Clone, Debug)]
pub struct File(Arm);

#[derive(Clone, Debug)]
enum Arm {
    Real(Arc<std::fs::File>),
    #[cfg(feature = "sim")]
    Sim(crate::sim::disk::OpenFile),
}

/// Opens `path` for reading and writing and creates it empty if it is missing.
///
/// # Errors
/// As the operating system says.
pub fn open(path: &Path) -> io::Result<File> {
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        return Ok(File(Arm::Sim(world.disk()?.open(path, true)?)));
    }
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    Ok(File(Arm::Real(Arc::new(file))))
}

/// Opens an existing `path`.
///
/// # Errors
/// `NotFound`, or as the operating system says.
pub fn open_existing(path: &Path) -> io::Result<File> {
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        return Ok(File(Arm::Sim(world.disk()?.open(path, false)?)));
    }
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
    Ok(File(Arm::Real(Arc::new(file))))
}

impl File {
    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before; else as the operating system says.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.0 {
            Arm::Real(file) => std::os::unix::fs::FileExt::read_exact_at(&**file, buffer, offset),
            #[cfg(feature = "sim")]
            Arm::Sim(file) => file.read_at(offset, buffer),
        }
    }

    /// Writes all of `bytes` from `offset` on, growing the file as needed.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match &self.0 {
            Arm::Real(file) => std::os::unix::fs::FileExt::write_all_at(&**file, bytes, offset),
            #[cfg(feature = "sim")]
            Arm::Sim(file) => file.write_at(offset, bytes),
        }
    }

    /// Cuts or grows (with zeros) to `len` bytes.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        match &self.0 {
            Arm::Real(file) => file.set_len(len),
            #[cfg(feature = "sim")]
            Arm::Sim(file) => file.set_len(len),
        }
    }

    /// Length in bytes.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn size_bytes(&self) -> io::Result<u64> {
        match &self.0 {
            Arm::Real(file) => Ok(file.metadata()?.len()),
            #[cfg(feature = "sim")]
            Arm::Sim(file) => file.size_bytes(),
        }
    }

    /// Makes content and length durable (`fdatasync`).
    ///
    /// # Errors
    /// As the operating system says. After an error the unsynced writes must count as lost: a second
    /// sync that succeeds proves nothing.
    pub fn sync(&self) -> io::Result<()> {
        match &self.0 {
            Arm::Real(file) => file.sync_data(),
            #[cfg(feature = "sim")]
            Arm::Sim(file) => file.sync(),
        }
    }

    /// Takes the lock that keeps everybody else out who opens this file, in this process or another, and
    /// asks for the lock too. It ends with the last clone of this opening. To take it twice is to take it
    /// once.
    ///
    /// # Errors
    /// `WouldBlock` if it is taken.
    pub fn lock(&self) -> io::Result<()> {
        match &self.0 {
            Arm::Real(file) => match file.try_lock() {
                Ok(()) => Ok(()),
                Err(std::fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
                Err(std::fs::TryLockError::Error(error)) => Err(error),
            },
            #[cfg(feature = "sim")]
            Arm::Sim(file) => file.lock(),
        }
    }
}

/// Creates the directory `path` and its parents. Each is durable after [`sync_dir`] of the directory that
/// it is in.
///
/// # Errors
/// As the operating system says.
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        return world.disk()?.create_dir_all(path);
    }
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    std::fs::create_dir_all(path)
}

/// Makes the names in the directory `path` durable.
///
/// # Errors
/// As the operating system says.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        return world.disk()?.sync_dir(path);
    }
    // The parent of a relative path of one part.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    std::fs::File::open(path)?.sync_all()
}

/// Creates the directory `path` and its parents if they are missing, and makes them durable: those that
/// are missing, and the innermost that is not, which a process that died before its sync may have made.
///
/// # Errors
/// As the operating system says.
pub fn create_durable_dir(path: &Path) -> io::Result<()> {
    let is_missing = |path: &Path| list(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if let Some(parent) = path.parent() {
        if is_missing(path) {
            create_durable_dir(parent)?;
            create_dir_all(path)?;
        }
        return match sync_dir(parent) {
            // Who must not even look into a directory has made nothing in it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        };
    }
    Ok(())
}

/// Renames a file, replacing `to` if it exists.
///
/// # Errors
/// As the operating system says.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        return world.disk()?.rename(from, to);
    }
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    std::fs::rename(from, to)
}

/// Removes a file.
///
/// # Errors
/// `NotFound`, or as the operating system says.
pub fn remove(path: &Path) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        return world.disk()?.remove(path);
    }
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    std::fs::remove_file(path)
}

/// The files in the directory `path`, sorted by name.
///
/// # Errors
/// As the operating system says.
pub fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        return world.disk()?.list(path);
    }
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    let entries = std::fs::read_dir(path)?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
