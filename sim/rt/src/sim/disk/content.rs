//! One file: what is durable, what is live, the writes between them, and which sectors are bad.

use super::SECTOR_BYTES;
use crate::sim::injection::Injection;
use crate::sim::rng::Rng;
use std::collections::BTreeMap;
use std::ops::Range;

/// The age of a sector that holds nothing.
const HOLE: u32 = 0;
/// The age of a sector with a write that is not durable.
const UNSYNCED: u32 = u32::MAX;

/// How a sector is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It reads as something else.
    Rotten,
    /// It cannot be read.
    Unreadable,
}

#[derive(Clone, Default)]
pub(super) struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// The number of the sync that made each sector of the live image durable.
    ages: Vec<u32>,
    /// Syncs that made something durable.
    syncs: u32,
    bad: BTreeMap<usize, (Injection, Bad)>,
    strays: Vec<Stray>,
}

#[derive(Clone)]
enum Pending {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

/// A write that went elsewhere, as long as the page cache hides it.
#[derive(Clone)]
struct Stray {
    injection: Injection,
    offset: usize,
    bytes: Vec<u8>,
    /// What stood there before.
    before: Vec<u8>,
    /// The sync that is to blame, once it has happened.
    synced: Option<u32>,
    rng: Rng,
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

/// The sectors that bytes lie in.
fn touched(offset: usize, len: usize) -> Range<usize> {
    if len == 0 { 0..0 } else { offset / SECTOR_BYTES..(offset + len).div_ceil(SECTOR_BYTES) }
}

/// The sectors that bytes replace wholly.
fn covered(offset: usize, len: usize) -> Range<usize> {
    let end = (offset + len) / SECTOR_BYTES;
    offset.div_ceil(SECTOR_BYTES).min(end)..end
}

impl Content {
    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    /// How many bytes of space it takes.
    pub(super) fn space(&self) -> usize {
        self.ages.iter().filter(|age| **age != HOLE).count() * SECTOR_BYTES
    }

    /// How many of `len` bytes at `offset` can be written when `free` bytes are left, and what they take.
    pub(super) fn fits(&self, offset: usize, len: usize, free: u64) -> (usize, u64) {
        let mut taken = 0;
        for sector in touched(offset, len) {
            if self.ages.get(sector).copied().unwrap_or(HOLE) == HOLE {
                if taken + SECTOR_BYTES as u64 > free {
                    return ((sector * SECTOR_BYTES).saturating_sub(offset), taken);
                }
                taken += SECTOR_BYTES as u64;
            }
        }
        (len, taken)
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.live, offset, bytes);
        self.age(touched(offset, bytes.len()), UNSYNCED);
        self.pending.push(Pending::Write { offset, bytes: bytes.to_vec() });
    }

    /// A write that lands elsewhere, which shows later.
    pub(super) fn misdirect(&mut self, offset: usize, bytes: &[u8], injection: Injection, rng: Rng) {
        let mut before = vec![0; bytes.len()];
        let stood = self.live.get(offset..).unwrap_or_default();
        let stood = &stood[..stood.len().min(bytes.len())];
        before[..stood.len()].copy_from_slice(stood);
        self.write(offset, bytes);
        self.strays.push(Stray { injection, offset, bytes: bytes.to_vec(), before, synced: None, rng });
    }

    pub(super) fn forget_stray(&mut self, injection: Injection) {
        self.strays.retain(|stray| stray.injection != injection);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.live.resize(len, 0);
        self.ages.resize(len.div_ceil(SECTOR_BYTES), HOLE);
        self.pending.push(Pending::SetLen(len));
    }

    fn age(&mut self, sectors: Range<usize>, age: u32) {
        if self.ages.len() < sectors.end {
            self.ages.resize(sectors.end, HOLE);
        }
        self.ages[sectors].fill(age);
    }

    /// Makes everything durable. Gives the injections of stray writes that show now.
    pub(super) fn sync(&mut self) -> Vec<Injection> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        self.syncs += 1;
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::SetLen(len) => {
                    self.durable.resize(len, 0);
                    self.bad.split_off(&len.div_ceil(SECTOR_BYTES));
                }
                Pending::Write { offset, bytes } => {
                    put(&mut self.durable, offset, &bytes);
                    self.heal(covered(offset, bytes.len()));
                    self.settle(touched(offset, bytes.len()));
                }
            }
        }
        self.show_strays()
    }

    /// Sectors of the live image with a write that is no longer unsynced.
    fn settle(&mut self, sectors: Range<usize>) {
        let end = sectors.end.min(self.ages.len());
        for age in self.ages.get_mut(sectors.start..end).into_iter().flatten() {
            if *age == UNSYNCED {
                *age = self.syncs;
            }
        }
    }

    fn heal(&mut self, sectors: Range<usize>) {
        if !self.bad.is_empty() {
            self.bad.retain(|sector, _| !sectors.contains(sector));
        }
    }

    /// A sync that failed: a random part of the writes is durable, and none of them counts as unsynced.
    pub(super) fn fail_to_sync(&mut self, rng: &mut Rng) {
        self.keep_some(rng);
        self.settle(0..self.ages.len());
    }

    /// Goes back to what is durable and a random part of the unsynced writes; returns how many were lost
    /// or torn.
    pub(super) fn lose(&mut self, rng: &mut Rng) -> u64 {
        let lost = self.keep_some(rng);
        self.live.clone_from(&self.durable);
        self.ages.resize(self.live.len().div_ceil(SECTOR_BYTES), HOLE);
        self.settle(0..self.ages.len());
        self.strays.clear();
        lost
    }

    /// Makes a random part of the unsynced writes durable: none; those up to some moment; or any, in no
    /// order. Returns how many were lost or torn.
    fn keep_some(&mut self, rng: &mut Rng) -> u64 {
        let pending = std::mem::take(&mut self.pending);
        let none = rng.chance(0.5);
        if none {
            return pending.len() as u64;
        }
        let in_order = rng.chance(0.4);
        let whole = usize::try_from(rng.below(pending.len() as u64 + 1)).unwrap_or(0);
        let mut lost = 0;
        for (number, pending) in pending.into_iter().enumerate() {
            let (keep, torn) = match in_order {
                true => (number < whole, number == whole),
                false => (rng.chance(0.5), rng.chance(0.3)),
            };
            match pending {
                Pending::SetLen(len) if keep => self.durable.resize(len, 0),
                Pending::SetLen(_) => lost += 1,
                Pending::Write { offset, bytes } => {
                    lost += u64::from(!keep || torn);
                    let sectors = bytes.len().div_ceil(SECTOR_BYTES) as u64;
                    let torn_at = if torn && in_order { rng.below(sectors + 1) } else { 0 };
                    for (number, sector) in (0..).zip(bytes.chunks(SECTOR_BYTES)) {
                        let kept = match (torn, in_order) {
                            (false, _) => keep,
                            (true, true) => number < torn_at,
                            (true, false) => rng.chance(0.5),
                        };
                        if kept {
                            let offset = offset + usize::try_from(number).unwrap_or(0) * SECTOR_BYTES;
                            put(&mut self.durable, offset, sector);
                            self.heal(covered(offset, sector.len()));
                        }
                    }
                }
            }
        }
        lost
    }
}

/// Damage.
impl Content {
    /// Sectors whose content became durable before the last sync.
    pub(super) fn old_sectors(&self) -> impl Iterator<Item = usize> {
        (0..self.ages.len()).filter(move |sector| self.is_old(self.ages[*sector]))
    }

    /// True for what became durable before the last sync.
    fn is_old(&self, age: u32) -> bool {
        age != HOLE && age < self.syncs
    }

    /// Flips bits in a sector.
    pub(super) fn rot(&mut self, sector: usize, injection: Injection, rng: &mut Rng) {
        let bytes = sector * SECTOR_BYTES..self.durable.len().min((sector + 1) * SECTOR_BYTES);
        for _ in 0..rng.between(1, 8) {
            let place = bytes.start + usize::try_from(rng.below(bytes.len() as u64)).unwrap_or(0);
            let bit = 1 << rng.below(8);
            for image in [&mut self.durable, &mut self.live] {
                if let Some(byte) = image.get_mut(place) {
                    *byte ^= bit;
                }
            }
        }
        self.bad.insert(sector, (injection, Bad::Rotten));
    }

    /// Makes a sector unreadable.
    pub(super) fn make_unreadable(&mut self, sector: usize, injection: Injection) {
        self.bad.insert(sector, (injection, Bad::Unreadable));
    }

    /// What is bad about reading `len` bytes at `offset`.
    pub(super) fn bad(&self, offset: usize, len: usize) -> impl Iterator<Item = (Injection, Bad)> {
        let bad = self.bad.range(touched(offset, len));
        bad.filter(|(sector, _)| self.ages.get(**sector) != Some(&UNSYNCED)).map(|(_, bad)| *bad)
    }

    /// The unreadable sector that a write of `len` bytes at `offset` would have to be merged with.
    pub(super) fn unmergeable(&self, offset: usize, len: usize) -> Option<Injection> {
        let wholly = covered(offset, len);
        let bad = self.bad.range(touched(offset, len)).filter(|(sector, _)| !wholly.contains(sector));
        bad.filter(|(sector, _)| self.ages.get(**sector) != Some(&UNSYNCED))
            .find_map(|(_, (injection, bad))| (*bad == Bad::Unreadable).then_some(*injection))
    }

    /// Lets stray writes show whose sync was not the last one.
    fn show_strays(&mut self) -> Vec<Injection> {
        let mut shown = Vec::new();
        for mut stray in std::mem::take(&mut self.strays) {
            let synced = *stray.synced.get_or_insert(self.syncs);
            if !self.is_old(synced) {
                self.strays.push(stray);
            } else if self.show(stray.clone(), synced) {
                shown.push(stray.injection);
            }
        }
        shown
    }

    /// The place where a write should be has its old content, but for sectors written since; and so much
    /// of the file elsewhere has the write's. False if nothing changed.
    fn show(&mut self, mut stray: Stray, synced: u32) -> bool {
        let home = touched(stray.offset, stray.bytes.len());
        let mut changed = false;
        for sector in
            home.clone().filter(|sector| self.ages.get(*sector) == Some(&synced)).collect::<Vec<_>>()
        {
            let start = (sector * SECTOR_BYTES).max(stray.offset);
            let end = ((sector + 1) * SECTOR_BYTES).min(stray.offset + stray.bytes.len());
            let part = start - stray.offset..end - stray.offset;
            changed |= stray.before[part.clone()] != stray.bytes[part.clone()];
            self.spoil(sector, start, &stray.before[part], stray.injection);
        }
        let sectors = home.len();
        let old: Vec<usize> = self.old_sectors().filter(|sector| !home.contains(sector)).collect();
        let runs: Vec<usize> = old
            .windows(sectors.max(1))
            .filter(|run| run[run.len() - 1] - run[0] + 1 == sectors)
            .map(|run| run[0])
            .collect();
        if let Some(&start) = stray.rng.pick(&runs) {
            for (sector, bytes) in (start..).zip(stray.bytes.chunks(SECTOR_BYTES)) {
                self.spoil(sector, sector * SECTOR_BYTES, bytes, stray.injection);
            }
            changed = true;
        }
        changed
    }

    fn spoil(&mut self, sector: usize, offset: usize, bytes: &[u8], injection: Injection) {
        for image in [&mut self.durable, &mut self.live] {
            let end = image.len().min(offset + bytes.len());
            if let Some(place) = image.get_mut(offset..end) {
                place.copy_from_slice(&bytes[..place.len()]);
            }
        }
        self.bad.insert(sector, (injection, Bad::Rotten));
    }
}
