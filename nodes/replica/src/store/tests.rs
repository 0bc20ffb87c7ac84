//! Damage is noticed, never served; torn commits are none; format 1 is read and replaced.

use super::open::{FILE, FORMAT_1_FILE};
use super::*;
use crate::options::GroupSpec;
use std::path::PathBuf;

const GROUP: GroupId = 7;

struct Folder {
    // Removed with the test.
    _folder: tempfile::TempDir,
    data: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Folder { _folder: folder, data }
    }

    fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.data, 1, 64 << 10)
    }

    fn file(&self) -> disk::File {
        disk::open_existing(&self.data.join(FILE)).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        let file = self.file();
        let mut bytes = vec![0; usize::try_from(file.size_bytes().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    }

    fn put(&self, offset: usize, bytes: &[u8]) {
        self.file().write_at(offset as u64, bytes).unwrap();
    }

    fn flip(&self, offset: usize) {
        let byte = self.bytes()[offset];
        self.put(offset, &[byte ^ 0x10]);
    }
}

fn entry(index: u64) -> Entry {
    Entry { index, term: 1, data: vec![index as u8; 300].into(), ..Entry::default() }
}

fn row(number: u64) -> Vec<u8> {
    let mut key = vec![1];
    key.extend(number.to_be_bytes());
    key
}

/// Writes entry `index` and a row of some size that belongs to it.
fn step(store: &Store, index: u64) -> Result<(), StoreError> {
    let spec = GroupSpec { group: GROUP, voters: vec![2], learners: vec![], home: 2 };
    let mut record = GroupRecord::new(spec);
    (record.term, record.commit) = (1, index);
    record.applied = Position { index, term: 1 };
    store.commit(&Changes {
        groups: vec![GroupChanges {
            record,
            install_snapshot: false,
            entries: vec![entry(index)],
            last_index_before: index - 1,
            compact_to: 0,
            first_index_before: 1,
            rows: vec![(row(index), Some(vec![index as u8; 1000]))],
        }],
        staged: Vec::new(),
    })
}

/// Reads everything; gives the last index.
fn read(store: &Store) -> Result<u64, StoreError> {
    let groups = store.groups()?;
    let Some(group) = groups.first() else { return Ok(0) };
    let last = group.entries.len() as u64;
    let rows = store.view()?.of(GROUP).all()?;
    assert_eq!(group.record.applied.index, last);
    let expected: Vec<Row> = (1..=last).map(|index| (row(index), vec![index as u8; 1000])).collect();
    assert!(rows == expected, "what is served is what was written");
    Ok(last)
}

/// A closed store of forty steps.
fn filled() -> Folder {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    (1..=40).for_each(|index| step(&store, index).unwrap());
    assert_eq!(read(&store).unwrap(), 40);
    folder
}

/// Opens the store, reads it and scrubs it wholly.
fn look(folder: &Folder) -> Result<u64, StoreError> {
    let store = folder.open()?;
    let last = read(&store)?;
    for _ in 0..10 {
        store.scrub(1000)?;
    }
    Ok(last)
}

#[test]
fn a_flipped_bit_in_any_block_is_noticed_after_a_clean_stop() {
    let folder = filled();
    let whole = folder.bytes();
    let mut noticed = 0;
    for block in 0..whole.len() / blocks::BLOCK {
        let offset = block * blocks::BLOCK + 40 + block % 4000;
        folder.flip(offset);
        let flipped = folder.bytes()[offset];
        match look(&folder) {
            // The opening has written there itself.
            Ok(40) if folder.bytes()[offset] != flipped => {}
            // Of the header and the first checksum block only some bytes mean anything.
            Ok(40) if block < 2 => {}
            // Nothing was ever written there, and nobody will read it.
            Ok(40) if whole[block * blocks::BLOCK..][..blocks::BLOCK].iter().all(|byte| *byte == 0) => {}
            Ok(other) => panic!("block {block}: {other} steps are left"),
            Err(error) => {
                assert!(error.is_damage(), "block {block}: {error}");
                noticed += 1;
            }
        }
        folder.file().set_len(0).unwrap();
        folder.put(0, &whole);
    }
    assert_eq!(look(&folder).unwrap(), 40);
    assert!(noticed > 20, "{noticed}");
}

#[test]
fn a_block_in_another_ones_place_is_noticed() {
    let folder = filled();
    let whole = folder.bytes();
    let used = |block: &usize| whole[block * blocks::BLOCK..][..blocks::BLOCK].iter().any(|byte| *byte != 0);
    let places: Vec<usize> = (2..whole.len() / blocks::BLOCK).filter(used).collect();
    // The first ones may be overwritten when the store is opened.
    let (from, to) = (places[0] * blocks::BLOCK, places[places.len() / 2] * blocks::BLOCK);
    folder.put(to, &whole[from..from + blocks::BLOCK]);
    let error = look(&folder).unwrap_err();
    assert!(matches!(error, StoreError::DamagedFile { .. }), "{error}");
}

#[test]
fn damage_in_use_ends_everything_that_follows() {
    let folder = filled();
    let store = folder.open().unwrap();
    let whole = folder.bytes();
    for block in 2..whole.len() / blocks::BLOCK {
        folder.put(block * blocks::BLOCK, &[0xAA; 100]);
    }
    let error = (0..10).find_map(|_| store.scrub(1000).err()).expect("it is noticed");
    assert!(error.is_damage(), "{error}");
    assert!(store.scrub(1).unwrap_err().is_damage());
    let error = (41..100).find_map(|index| step(&store, index).err());
    assert!(error.is_none_or(|error| error.is_damage()));
}

#[test]
fn rot_in_checksums_and_header_is_noticed_while_the_store_is_open() {
    // A byte of the marker, its check, a sum of a block, and redb's header; and all once more after a write.
    for offset in [9, 17, 32 + 8 * 3, blocks::BLOCK + 20] {
        for written in [40, 41] {
            let folder = filled();
            let store = folder.open().unwrap();
            (41..=written).for_each(|index| step(&store, index).unwrap());
            (0..20).for_each(|_| store.scrub(1000).unwrap());
            folder.flip(offset);
            let error = (0..20).find_map(|_| store.scrub(1000).err());
            let error = error.unwrap_or_else(|| panic!("nobody notices byte {offset}"));
            assert!(matches!(error, StoreError::DamagedFile { .. }), "byte {offset}: {error}");
        }
    }
}

#[test]
fn rot_in_a_later_checksum_block_is_noticed() {
    let folder = filled();
    let file = folder.file();
    let blocks = blocks::Blocks::create(folder.file()).unwrap();
    blocks.set_len(600 * blocks::BLOCK as u64).unwrap();
    let scrub = || (0..20).find_map(|_| blocks.scrub(100).err());
    for number in [0, 1, 507, 508, 599] {
        blocks.write(number * blocks::BLOCK as u64, &[number as u8; blocks::BLOCK]).unwrap();
        assert!(scrub().is_none(), "what is not yet synced is not damaged");
    }
    blocks.sync().unwrap();
    assert!(scrub().is_none());
    // The sum of block 599, 91 behind the first of its group, and one that was never set.
    for sum in [91, 70] {
        let at = (509 * blocks::BLOCK + 32 + 8 * sum) as u64;
        let mut byte = [0];
        file.read_at(at, &mut byte).unwrap();
        file.write_at(at, &[byte[0] ^ 1]).unwrap();
        let error = scrub().expect("it is noticed");
        assert!(error.to_string().contains("the sums"), "{error}");
        file.write_at(at, &byte).unwrap();
        assert!(scrub().is_none());
    }
}

#[test]
fn a_file_cut_short_or_of_something_else_is_damaged() {
    for bytes in [0, 100, 5000, 100_000] {
        let folder = filled();
        folder.file().set_len(bytes).unwrap();
        let error = look(&folder).unwrap_err();
        assert!(error.is_damage(), "{bytes} bytes: {error}");
    }
    let folder = filled();
    let random: Vec<u8> =
        (0..500_000u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8).collect();
    folder.file().set_len(0).unwrap();
    folder.put(0, &random);
    assert!(look(&folder).unwrap_err().is_damage());
}

/// Ends a store without a clean stop: what it wrote is in the file, and nothing after.
fn abandon(folder: &Folder, store: Store) {
    let whole = folder.bytes();
    drop(store);
    folder.file().set_len(0).unwrap();
    folder.put(0, &whole);
}

#[test]
fn a_torn_commit_is_none_and_a_durable_one_stays() {
    let folder = filled();
    let store = folder.open().unwrap();
    step(&store, 41).unwrap();
    let before = folder.bytes();
    step(&store, 42).unwrap();
    abandon(&folder, store);
    let after = folder.bytes();
    let differing: Vec<usize> = (0..after.len() / 512)
        .filter(|sector| {
            before.get(sector * 512..sector * 512 + 512) != after.get(sector * 512..sector * 512 + 512)
        })
        .collect();
    assert!(differing.len() > 4);
    // Each single sector of the newest commit torn away, and each one alone written.
    for sector in &differing {
        let at = sector * 512;
        folder.put(at, &before[at..at + 512]);
        let found = look(&folder).unwrap();
        assert!((41..=42).contains(&found), "sector {sector} lost: {found}");
        folder.put(0, &after);
        folder.put(0, &before);
        folder.put(at, &after[at..at + 512]);
        let found = look(&folder).unwrap();
        assert!((41..=42).contains(&found), "sector {sector} alone: {found}");
        folder.put(0, &after);
    }
    assert_eq!(look(&folder).unwrap(), 42);
}

#[test]
fn a_rotten_commit_that_was_durable_is_not_forgotten() {
    let folder = filled();
    let store = folder.open().unwrap();
    step(&store, 41).unwrap();
    let before = folder.bytes();
    step(&store, 42).unwrap();
    let newer = folder.bytes();
    step(&store, 43).unwrap();
    abandon(&folder, store);
    let after = folder.bytes();
    let mut damaged = 0;
    for block in 2..after.len() / blocks::BLOCK {
        let block = block * blocks::BLOCK..(block + 1) * blocks::BLOCK;
        let of_42 = before.get(block.clone()) != newer.get(block.clone());
        let still = newer.get(block.clone()) == after.get(block.clone());
        if of_42 && still {
            folder.flip(block.start + 8);
            match look(&folder) {
                Ok(found) => assert_eq!(found, 43),
                Err(error) => {
                    assert!(error.is_damage(), "{error}");
                    damaged += 1;
                }
            }
            folder.put(0, &after);
        }
    }
    assert!(damaged > 0);
    // Commit 43 is torn away whole, but for the marker that went with it: 42 was durable. redb would fall
    // back to 41.
    let mut damaged = 0;
    for block in 2..newer.len() / blocks::BLOCK {
        let block = block * blocks::BLOCK..(block + 1) * blocks::BLOCK;
        if before.get(block.clone()) != newer.get(block.clone()) {
            folder.file().set_len(0).unwrap();
            folder.put(0, &newer);
            folder.put(0, &after[..32]);
            folder.flip(block.start + 8);
            match look(&folder) {
                Ok(found) => assert_eq!(found, 42),
                Err(error) => {
                    assert!(error.is_damage(), "{error}");
                    damaged += 1;
                }
            }
        }
    }
    assert!(damaged > 0);
}

/// A file of format 1, written with plain redb, of `last` steps.
fn format_1(folder: &Folder, last: u64) {
    disk::create_dir_all(&folder.data).unwrap();
    let database = Database::create(folder.data.join(FORMAT_1_FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut meta = transaction.open_table(META).unwrap();
        for (key, value) in [("format", 1), ("cluster", 1), ("node", 2)] {
            meta.insert(key, value).unwrap();
        }
        let spec = GroupSpec { group: GROUP, voters: vec![2], learners: vec![], home: 2 };
        // As format 1 wrote it: group, term, vote, commit, compacted, applied.
        let record = (spec, 1u64, 0u64, last, Position::default(), Position { index: last, term: 1 });
        let record = postcard::to_stdvec(&record).unwrap();
        transaction.open_table(GROUPS).unwrap().insert(GROUP, record.as_slice()).unwrap();
        let mut log = transaction.open_table(LOG).unwrap();
        let mut state = transaction.open_table(STATE).unwrap();
        for index in 1..=last {
            log.insert((GROUP, index), encode_log_row(&entry(index)).as_slice()).unwrap();
            let value = vec![index as u8; 1000];
            state.insert((GROUP, row(index).as_slice()), value.as_slice()).unwrap();
        }
    }
    transaction.commit().unwrap();
}

#[test]
fn a_file_of_format_1_is_taken_over_and_goes() {
    let folder = Folder::new();
    format_1(&folder, 25);
    let store = folder.open().unwrap();
    assert_eq!(read(&store).unwrap(), 25);
    step(&store, 26).unwrap();
    drop(store);
    assert_eq!(disk::list(&folder.data).unwrap(), [folder.data.join(FILE)]);
    // An old file that comes back, as after a power loss, is not looked at.
    format_1(&folder, 3);
    assert_eq!(look(&folder).unwrap(), 26);
    assert!(!folder.data.join(FORMAT_1_FILE).exists());
}

#[test]
fn what_was_left_unfinished_is_begun_anew() {
    let folder = Folder::new();
    format_1(&folder, 25);
    disk::open(&folder.data.join("replica.unfinished")).unwrap().write_at(0, &[7; 123_456]).unwrap();
    assert_eq!(look(&folder).unwrap(), 25);
}

#[test]
fn another_ones_file_of_format_1_is_refused() {
    let folder = Folder::new();
    format_1(&folder, 5);
    let error = Store::open(&folder.data, 9, 64 << 10).err().unwrap();
    assert!(matches!(error, StoreError::Foreign { what: "cluster", found: 1, expected: 9 }), "{error}");
    assert!(!error.is_damage());
}

#[test]
fn one_process_at_a_time() {
    let folder = filled();
    let store = folder.open().unwrap();
    assert!(matches!(folder.open(), Err(StoreError::InUse)));
    drop(store);
    assert_eq!(look(&folder).unwrap(), 40);
}
