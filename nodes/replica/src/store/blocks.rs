//! Blocks with checksums: what redb takes for its file.
//!
//! redb has a checksum for every page, but looks at it only when it repairs. So below redb every block of
//! 4 KiB has a checksum over its bytes and its number (a write that went astray shows), and a block that
//! does not match is an error, never served. The file:
//!
//! ```text
//! checksum block · 508 blocks · checksum block · 508 blocks · …
//! checksum block: magic, marker, check of the marker, unused; then the sum of each block behind it,
//!                 0 for one that was never written and must read as zeros
//! ```
//!
//! All sums are mirrored in memory; a sync writes the checksum blocks that changed, mostly one. They may be
//! torn: what they say is compared with the blocks, so a rotten sum is damage of its block. The header is
//! mirrored too. A scrub compares both mirrors with the file: else it would be the next start that finds out.
//!
//! **What redb judges itself.** Its header (block 0) is written in place; redb has checksums in it and
//! survives it torn, so it has none here. A commit in one phase leaves torn blocks when the power goes;
//! redb then verifies all that its header refers to, and falls back one commit. As long as it does that,
//! blocks that do not match pass. The header tells: redb verifies everything if and only if the newest
//! commit was in one phase (bit 2 of the god byte is clear). With the first sync after that, what redb
//! has read gets the sums it has, and **is written again**: a sync that failed in an earlier life may have
//! left pages that can be read, count as clean, and are not on the platter. What redb has not read
//! belongs to nothing, and may stay torn until it is written again.
//!
//! **The marker.** If the newest commit was durable and has rotted, redb falls back as well, and the node
//! would forget in silence. So every commit has a number (in its rows), and the marker says up to which
//! number syncs have returned. It goes with the next sync, whatever that is for: it costs none of its
//! own. A file whose newest commit is older than the marker says is damaged. What remains: damage to
//! the youngest commit before the next sync cannot be told from a torn one.
//!
//! Leaves out: repair of a block. A damaged node is rebuilt from its peers.

use rt::disk::File;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Size of a block in bytes.
pub(super) const BLOCK: usize = 4096;
/// Bytes before the sums in a checksum block.
const HEAD: usize = 32;
/// Blocks behind a checksum block.
const GROUP: u64 = ((BLOCK - HEAD) / 8) as u64;
/// Tries to read, before a block counts as lost.
const READS: u32 = 16;
const MAGIC: u64 = u64::from_le_bytes(*b"seedblk\x02");
/// Where redb's header tells how the newest commit was made.
const GOD_BYTE: usize = 9;
const TWO_PHASES: u8 = 4;

/// A block that is not what was written there, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("block {block}: {reason}")]
pub(super) struct Damage {
    block: u64,
    reason: String,
}

/// A file of blocks.
pub(super) struct Blocks {
    file: File,
    state: RwLock<State>,
    /// Blocks that redb has read while it judges itself; `None` when it does so no more.
    judged: Mutex<Option<BTreeSet<u64>>>,
    /// The newest commit whose sync has returned.
    synced: AtomicU64,
    /// The first damage that was found: redb tells it only once.
    damage: OnceLock<String>,
    /// Where the next scrub goes on.
    scrubbed: AtomicU64,
}

struct State {
    sums: Vec<u64>,
    /// Checksum blocks that differ from those in the file.
    dirty: BTreeSet<u64>,
    marker: u64,
    /// Block 0, as it was found or written last.
    header: Vec<u8>,
    /// Torn, and nobody's: no scrub looks at them.
    nobodys: BTreeSet<u64>,
}

impl State {
    fn empty() -> Self {
        let (sums, dirty, nobodys) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        State { sums, dirty, marker: 0, header: vec![0; BLOCK], nobodys }
    }

    /// The blocks behind checksum block `group`.
    fn behind(&self, group: u64) -> Range<usize> {
        let first = (group * GROUP) as usize;
        first..self.sums.len().min(first + GROUP as usize)
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Where a block lies in the file, in bytes.
fn place(block: u64) -> u64 {
    (block / GROUP * (GROUP + 1) + 1 + block % GROUP) * BLOCK as u64
}

/// Where a checksum block lies in the file, in bytes.
fn place_of_sums(group: u64) -> u64 {
    group * (GROUP + 1) * BLOCK as u64
}

fn size(blocks: u64) -> u64 {
    (blocks + blocks.div_ceil(GROUP)) * BLOCK as u64
}

/// The sum of a block, which is never 0.
fn sum(block: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, block).max(1)
}

fn check(marker: u64) -> u64 {
    xxh3_64_with_seed(&marker.to_le_bytes(), MAGIC)
}

fn word(bytes: &[u8], number: usize) -> u64 {
    let bytes = bytes.get(number * 8..number * 8 + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

/// Pieces of a range of bytes, each within the blocks of one group: first block, and bytes from the
/// range's start.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
    let end = offset + len as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        let block = at / BLOCK as u64;
        // Block 0 is a piece of its own.
        let last = if block == 0 { 0 } else { block / GROUP * GROUP + GROUP - 1 };
        let stop = end.min((last + 1) * BLOCK as u64);
        let piece = (at - offset) as usize..(stop - offset) as usize;
        at = stop;
        (!piece.is_empty()).then_some((block, piece))
    })
}

fn unaligned() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a store is written in whole blocks")
}

impl Blocks {
    /// Takes `file` for an empty one, whatever is in it.
    pub(super) fn create(file: File) -> io::Result<Self> {
        file.set_len(0)?;
        Ok(Blocks::new(file, State::empty(), false))
    }

    /// Reads all checksum blocks of `file`.
    pub(super) fn open(file: File) -> io::Result<Self> {
        let blocks = file.size_bytes()? / BLOCK as u64;
        let groups = blocks.div_ceil(GROUP + 1);
        let mut state = State::empty();
        let mut bytes = vec![0; BLOCK];
        for group in 0..groups {
            read_again(&file, place_of_sums(group), &mut bytes, group * GROUP)?;
            if group == 0 {
                state.marker = word(&bytes, 1);
                if word(&bytes, 0) != MAGIC || word(&bytes, 2) != check(state.marker) {
                    return Err(damage(0, "the first checksum block does not begin as it should"));
                }
            }
            let here = (blocks - groups - group * GROUP).min(GROUP);
            state.sums.extend((0..here as usize).map(|number| word(&bytes, HEAD / 8 + number)));
        }
        if state.sums.is_empty() {
            return Err(damage(0, "the file has no blocks"));
        }
        read_again(&file, place(0), &mut state.header, 0)?;
        let verifies = state.header[GOD_BYTE] & TWO_PHASES == 0;
        Ok(Blocks::new(file, state, verifies))
    }

    fn new(file: File, state: State, redb_judges: bool) -> Self {
        let synced = AtomicU64::new(state.marker);
        let judged = Mutex::new(redb_judges.then(BTreeSet::new));
        let (state, damage) = (RwLock::new(state), OnceLock::new());
        Blocks { file, state, judged, synced, damage, scrubbed: AtomicU64::new(0) }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn judged(&self) -> MutexGuard<'_, Option<BTreeSet<u64>>> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest commit that is known to have been durable.
    pub(super) fn marker(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// The sync of commit `number` has returned.
    pub(super) fn mark_synced(&self, number: u64) {
        self.synced.fetch_max(number, Ordering::AcqRel);
    }

    /// The first damage that was found.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    pub(super) fn len(&self) -> u64 {
        self.state().sums.len() as u64 * BLOCK as u64
    }

    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state_mut();
        let (before, blocks) = (state.sums.len() as u64, len.div_ceil(BLOCK as u64));
        self.file.set_len(size(blocks))?;
        state.sums.resize(usize::try_from(blocks).map_err(|_| io::ErrorKind::FileTooLarge)?, 0);
        if blocks == 0 {
            state.header.fill(0);
        }
        if blocks > before {
            // Behind the old end the checksum block may hold sums from before the file was cut.
            state.dirty.insert(before / GROUP);
        }
        Ok(())
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        for (first, piece) in pieces(offset, out.len()) {
            let at = offset + piece.start as u64;
            let out = &mut out[piece];
            if first == 0 {
                read_again(&self.file, place(0) + at, out, 0).inspect_err(|error| self.remember(error))?;
            } else if at.is_multiple_of(BLOCK as u64) && out.len().is_multiple_of(BLOCK) {
                self.read_blocks(&state, first, out)?;
            } else {
                let start = at as usize % BLOCK;
                let mut whole = vec![0; (start + out.len()).next_multiple_of(BLOCK)];
                self.read_blocks(&state, first, &mut whole)?;
                out.copy_from_slice(&whole[start..start + out.len()]);
            }
        }
        Ok(())
    }

    /// Reads whole blocks of one group.
    fn read_blocks(&self, state: &State, first: u64, out: &mut [u8]) -> io::Result<()> {
        read_again(&self.file, place(first), out, first).inspect_err(|error| self.remember(error))?;
        if let Some(judged) = &mut *self.judged() {
            judged.extend((first..).zip(out.chunks(BLOCK)).map(|(block, _)| block));
            return Ok(());
        }
        for (block, bytes) in (first..).zip(out.chunks(BLOCK)) {
            if !matches(state, block, bytes) {
                return self.lost(block, "it is not what was written there");
            }
        }
        Ok(())
    }

    fn remember(&self, error: &io::Error) {
        if error.get_ref().is_some_and(|inner| inner.is::<Damage>()) {
            // The first one is enough.
            let _ = self.damage.set(error.to_string());
        }
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state_mut();
        for (first, piece) in pieces(offset, bytes.len()) {
            let at = offset + piece.start as u64;
            let bytes = &bytes[piece];
            if first == 0 {
                self.file.write_at(place(0) + at, bytes)?;
                state.header[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
                continue;
            }
            let last = first + (bytes.len() / BLOCK) as u64;
            if !at.is_multiple_of(BLOCK as u64)
                || !bytes.len().is_multiple_of(BLOCK)
                || last > state.sums.len() as u64
            {
                return Err(unaligned());
            }
            self.write_blocks(&mut state, first, bytes)?;
        }
        Ok(())
    }

    /// Writes whole blocks of one group.
    fn write_blocks(&self, state: &mut State, first: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(place(first), bytes)?;
        for (block, bytes) in (first..).zip(bytes.chunks(BLOCK)) {
            state.sums[block as usize] = sum(block, bytes);
            state.nobodys.remove(&block);
        }
        state.dirty.insert(first / GROUP);
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        let judged = self.judged().as_ref().map(|judged| !judged.is_empty());
        match judged {
            // redb marks its header as in use before it has looked at a single page. That need not last: the
            // next sync takes it along, and until then nothing makes the newest commit an old one, of
            // which damage could not be told from a commit that was torn.
            Some(false) if self.state().dirty.is_empty() => return Ok(()),
            Some(true) => self.trust()?,
            _ => {}
        }
        let mut state = self.state_mut();
        let synced = self.marker();
        if state.marker != synced {
            state.marker = synced;
            state.dirty.insert(0);
        }
        for group in std::mem::take(&mut state.dirty) {
            self.write_sums(&state, group)?;
        }
        // Readers need not wait for the platter.
        drop(state);
        self.file.sync()
    }

    fn write_sums(&self, state: &State, group: u64) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(BLOCK);
        for word in [MAGIC, state.marker, check(state.marker), 0] {
            bytes.extend(word.to_le_bytes());
        }
        for sum in state.sums.get(state.behind(group)).unwrap_or_default() {
            bytes.extend(sum.to_le_bytes());
        }
        bytes.resize(BLOCK, 0);
        self.file.write_at(place_of_sums(group), &bytes)
    }

    /// From now on every block must match. Those that redb has judged are written again, the others are
    /// nobody's.
    pub(super) fn trust(&self) -> io::Result<()> {
        let Some(judged) = self.judged().take() else { return Ok(()) };
        let mut state = self.state_mut();
        state.nobodys = (1..state.sums.len() as u64).filter(|block| !judged.contains(block)).collect();
        let mut left = judged.into_iter().peekable();
        while let Some(first) = left.next() {
            let mut end = first + 1;
            while end % GROUP != 0 && left.next_if_eq(&end).is_some() {
                end += 1;
            }
            let mut bytes = vec![0; (end - first) as usize * BLOCK];
            read_again(&self.file, place(first), &mut bytes, first)?;
            self.write_blocks(&mut state, first, &bytes)?;
        }
        Ok(())
    }

    /// Looks at the next `count` blocks, those in use by nobody apart, and begins anew after the last.
    pub(super) fn scrub(&self, count: u64) -> io::Result<()> {
        let mut bytes = vec![0; BLOCK];
        for _ in 0..count {
            let state = self.state();
            let block = self.scrubbed.fetch_add(1, Ordering::Relaxed);
            if block >= state.sums.len() as u64 {
                self.scrubbed.store(0, Ordering::Relaxed);
                return Ok(());
            }
            if block.is_multiple_of(GROUP) {
                self.scrub_sums(&state, block / GROUP, &mut bytes)?;
            }
            if block == 0 {
                self.scrub_header(&state, &mut bytes)?;
            } else if state.sums[block as usize] != 0 && !state.nobodys.contains(&block) {
                self.read_blocks(&state, block, &mut bytes)?;
            }
        }
        Ok(())
    }

    /// A checksum block must say what is known here, unless it is about to be written anyway.
    fn scrub_sums(&self, state: &State, group: u64, bytes: &mut [u8]) -> io::Result<()> {
        if state.dirty.contains(&group) {
            return Ok(());
        }
        let first = group * GROUP;
        read_again(&self.file, place_of_sums(group), bytes, first)
            .inspect_err(|error| self.remember(error))?;
        let sums = state.sums.get(state.behind(group)).unwrap_or_default();
        let same = (HEAD / 8..).zip(sums).all(|(number, sum)| word(bytes, number) == *sum);
        // Of the others' beginnings nobody reads anything.
        let begins = [MAGIC, state.marker, check(state.marker)];
        let begins_so = group > 0 || (0..).zip(begins).all(|(number, told)| word(bytes, number) == told);
        if same && begins_so {
            Ok(())
        } else {
            self.lost(first, "the sums before it are not what was written")
        }
    }

    fn scrub_header(&self, state: &State, bytes: &mut [u8]) -> io::Result<()> {
        read_again(&self.file, place(0), bytes, 0).inspect_err(|error| self.remember(error))?;
        if *bytes == state.header { Ok(()) } else { self.lost(0, "it is not what was written there") }
    }

    fn lost(&self, block: u64, reason: &str) -> io::Result<()> {
        let error = damage(block, reason);
        self.remember(&error);
        Err(error)
    }
}

fn matches(state: &State, block: u64, bytes: &[u8]) -> bool {
    match state.sums.get(block as usize) {
        Some(0) => bytes.iter().all(|byte| *byte == 0),
        Some(expected) => sum(block, bytes) == *expected,
        None => false,
    }
}

fn damage(block: u64, reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Damage { block, reason: reason.to_owned() })
}

/// Reads; again if the disk fails. What cannot be read in so many tries is lost.
///
/// A medium error of a disk comes after many tries of its own, and stays; what goes by is a cable, a bus, a
/// controller that starts anew, and such errors come several at a time. To take one of those for a lost block
/// costs the whole node its data, while a try costs next to nothing.
fn read_again(file: &File, offset: u64, out: &mut [u8], block: u64) -> io::Result<()> {
    for _ in 1..READS {
        if file.read_at(offset, out).is_ok() {
            return Ok(());
        }
        rt::reachable!("store: a read failed and was tried again");
    }
    file.read_at(offset, out).map_err(|error| damage(block, &format!("it cannot be read: {error}")))
}
