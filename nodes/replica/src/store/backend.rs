//! redb's view of a file: of format 1, plain; of format 2, blocks with checksums.

use super::blocks::Blocks;
use std::io;
use std::sync::Arc;

/// A file without checksums, as format 1 was.
#[derive(Debug)]
pub(super) struct Plain(pub(super) rt::disk::File);

impl redb::StorageBackend for Plain {
    fn len(&self) -> io::Result<u64> {
        self.0.size_bytes()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
}

/// Blocks with checksums.
#[derive(Debug)]
pub(super) struct Checked(pub(super) Arc<Blocks>);

impl redb::StorageBackend for Checked {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
