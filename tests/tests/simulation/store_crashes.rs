//! The store dies at every single disk operation of a run, one run after the other, by a crash and by a
//! power loss; and once more while it recovers. What it had acknowledged is there, and of what it was
//! doing either all or nothing.

use crate::stage::{SECOND, idle, run, work};
use flate2::read::GzDecoder;
use raft::eraftpb::Entry;
use replica::GroupSpec;
use replica::machine::{Row, RowChange};
use replica::store::{Changes, GroupChanges, GroupRecord, Position, SnapshotReader, Store, StoreError};
use rt::disk;
use rt::sim::machine::{Loss, MachineId};
use rt::sim::{Options, World};
use rt::time::timeout;
use std::io::{Error, Read, Result};
use std::path::Path;
use std::sync::Arc;

const DATA: &str = "/data/store";
/// The group under test, and one whose rows are sent as a snapshot to it.
const GROUP: u64 = 7;
const SOURCE: u64 = 8;

type Outcome<T> = std::result::Result<T, StoreError>;

/// Everything that a store holds.
type Content = Vec<(GroupRecord, Vec<Entry>, Vec<Row>)>;

fn open() -> Outcome<Store> {
    Store::open(Path::new(DATA), 1, 256 << 10)
}

fn content(store: &Store) -> Outcome<Content> {
    let view = store.view()?;
    let found = store.groups()?.into_iter();
    found
        .map(|found| {
            let rows = view.of(found.record.spec.group).all()?;
            Ok((found.record, found.entries, rows))
        })
        .collect()
}

fn record(group: u64, term: u64, truncated: Position, applied: u64) -> GroupRecord {
    let spec = GroupSpec { group, voters: vec![1, 2, 3], learners: vec![], home: 2 };
    let applied = Position { index: applied, term };
    GroupRecord { term, vote: 2, commit: applied.index, truncated, applied, ..GroupRecord::new(spec) }
}

fn entries(term: u64, indices: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    let data = |index: u64| vec![index as u8; 700].into();
    indices.map(|index| Entry { index, term, data: data(index), ..Entry::default() }).collect()
}

fn rows(numbers: std::ops::Range<u8>, value: u8) -> Vec<RowChange> {
    numbers.map(|number| (vec![1, number], Some(vec![value; 400]))).collect()
}

fn change(record: GroupRecord) -> GroupChanges {
    GroupChanges {
        record,
        install_snapshot: false,
        entries: Vec::new(),
        last_index_before: 0,
        compact_to: 0,
        first_index_before: 1,
        rows: Vec::new(),
    }
}

fn commit(store: &Store, changes: GroupChanges) -> Outcome<()> {
    store.commit(&Changes { groups: vec![changes], staged: Vec::new() })
}

fn stage(store: &Store, number: usize) -> Outcome<()> {
    let mut reader = SnapshotReader::new(store.view()?.of(SOURCE), 4000);
    let mut chunk = reader.next_chunk()?;
    for _ in 0..number {
        chunk = reader.next_chunk()?;
    }
    assert_eq!(chunk.last, number == 2, "three chunks");
    store.commit(&Changes { groups: Vec::new(), staged: vec![(GROUP, number as u64, chunk.rows)] })
}

/// Step `number` of a life; `None` after the last one.
fn step(store: &Store, number: usize) -> Option<Outcome<()>> {
    let start = Position::default();
    let cut = Position { index: 3, term: 1 };
    let snapshot = Position { index: 20, term: 3 };
    Some(match number {
        0 => commit(store, change(record(GROUP, 1, start, 0))),
        1 => commit(store, GroupChanges { rows: rows(0..25, 9), ..change(record(SOURCE, 1, start, 0)) }),
        2 => commit(store, GroupChanges { entries: entries(1, 1..=5), ..change(record(GROUP, 1, start, 0)) }),
        3 => commit(
            store,
            GroupChanges {
                entries: entries(1, 6..=8),
                last_index_before: 5,
                rows: rows(0..6, 1),
                ..change(record(GROUP, 1, start, 3))
            },
        ),
        // Another leader's entries replace four that were not committed.
        4 => commit(
            store,
            GroupChanges {
                entries: entries(2, 5..=6),
                last_index_before: 8,
                ..change(record(GROUP, 2, start, 3))
            },
        ),
        5 => {
            let mut rows = rows(2..9, 2);
            rows.push((vec![1, 0], None));
            commit(store, GroupChanges { rows, ..change(record(GROUP, 2, start, 6)) })
        }
        6 => commit(store, GroupChanges { compact_to: 3, ..change(record(GROUP, 2, cut, 6)) }),
        7..=9 => stage(store, number - 7),
        10 => {
            commit(store, GroupChanges { install_snapshot: true, ..change(record(GROUP, 3, snapshot, 20)) })
        }
        11 => commit(
            store,
            GroupChanges {
                entries: entries(3, 21..=22),
                last_index_before: 20,
                first_index_before: 21,
                ..change(record(GROUP, 3, snapshot, 20))
            },
        ),
        _ => return None,
    })
}

/// What the store held at its opening and after each step, and how many disk operations that took.
type Diary = Vec<(Content, u64)>;

/// Opens the store and does all steps, the later ones in a second opening; tells what it holds each time.
fn live(mut tell: impl FnMut(Content)) -> Outcome<()> {
    let mut store = open()?;
    tell(content(&store)?);
    for number in 0.. {
        if number == 5 {
            drop(store);
            store = open()?;
        }
        match step(&store, number) {
            None => break,
            Some(done) => done?,
        }
        tell(content(&store)?);
    }
    Ok(())
}

/// The diary of a life that nothing happens to.
fn undisturbed(prepare: fn() -> Result<()>) -> Diary {
    run(0, Options::default(), move |world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        let (before, clock) = (world.disk_counters(machine).operations, world.clone());
        work(&world, machine, move || {
            let mut diary = Diary::new();
            live(|content| diary.push((content, clock.disk_counters(machine).operations - before)))
                .map_err(Error::other)?;
            Ok(diary)
        })
        .await
    })
}

/// Begins something on a machine that dies at disk operation `operation`, or by a power loss after it.
async fn dies_at<T: Send + 'static>(
    world: &World,
    machine: MachineId,
    (operation, loss): (u64, Loss),
    doing: impl FnOnce() -> Outcome<T> + Send + 'static,
) {
    world.arm_crash_point(machine, operation, loss);
    let doomed = world.spawn_on(machine, rt::task::blocking(move || doing().map(drop)));
    if let Ok(result) = timeout(60 * SECOND, doomed).await.expect("it ends") {
        result.expect("what is not cut short succeeds");
        world.power_loss(machine);
    }
    world.start(machine);
}

/// One life that dies at `operation`, dies again while it recovers, and then has to give account.
async fn account(world: Arc<World>, operation: u64, loss: Loss, prepare: fn() -> Result<()>) -> Content {
    let machine = idle(&world, 1);
    work(&world, machine, prepare).await;
    dies_at(&world, machine, (operation, loss), || live(drop)).await;
    dies_at(&world, machine, (1 + operation % 23, Loss::Power), open).await;
    work(&world, machine, || open().and_then(|store| content(&store)).map_err(Error::other)).await
}

/// Dies at every operation.
fn exhaust(prepare: fn() -> Result<()>, draws: u64) {
    let diary = undisturbed(prepare);
    let last = diary.last().unwrap().1;
    assert!(last > 60, "{last} operations");
    for operation in 1..=last {
        // The operation that it dies at does not happen.
        let acknowledged = diary.iter().rposition(|(_, operations)| *operations < operation);
        let deaths = [(Loss::Crash, 1), (Loss::Power, draws)];
        for (loss, seed) in
            deaths.into_iter().flat_map(|(loss, draws)| (0..draws).map(move |seed| (loss, seed)))
        {
            let found = run(seed, Options::default(), move |world| account(world, operation, loss, prepare));
            let at = diary.iter().rposition(|(content, _)| *content == found);
            let at =
                at.unwrap_or_else(|| panic!("{loss:?} at {operation}, seed {seed}: half-done: {found:?}"));
            assert!(
                Some(at) >= acknowledged,
                "{loss:?} at {operation}, seed {seed}: step {at} of {acknowledged:?} that were acknowledged"
            );
        }
    }
}

#[test]
fn a_new_store_survives_a_death_at_every_operation() {
    exhaust(|| Ok(()), 3);
}

/// A worker's file as version 0.1 wrote it.
fn format_1() -> Result<()> {
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/format-1/worker-1.replica.redb.gz");
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(packed)?).read_to_end(&mut bytes)?;
    disk::create_durable_dir(Path::new(DATA))?;
    let file = disk::open(&Path::new(DATA).join("replica.redb"))?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk::sync_dir(Path::new(DATA))
}

#[test]
fn a_store_of_format_1_survives_a_death_at_every_operation() {
    exhaust(format_1, 2);
}
