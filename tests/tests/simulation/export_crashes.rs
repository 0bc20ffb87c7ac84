//! `metrics.jsonl` dies at every single disk operation of a run, one run after the other, by a crash and by a
//! power loss, and once more while it is put right. Then every line up to the position is there once, in
//! order, and nothing that was acknowledged is missing. What rots is written again.

use crate::stage::{SECOND, idle, run, work};
use apps::metricstream::export_files::{Files, LIVE, Position};
use rt::disk;
use rt::sim::machine::{Loss, MachineId};
use rt::sim::{Options, World};
use rt::time::timeout;
use std::io::Result;
use std::path::Path;
use std::sync::Arc;

const FOLDER: &str = "/data/export";
const PARTITION: u64 = 1;
/// Lines that are written, and how large a file may get.
const LINES: u64 = 14;
const FILE_BYTES: u64 = 60;

fn open() -> Result<Files> {
    let folder = Path::new(FOLDER);
    Files::open(folder, folder, FILE_BYTES)
}

fn next(position: &Position) -> u64 {
    position.next.get(&PARTITION).copied().unwrap_or(0)
}

fn line(number: u64) -> String {
    format!("line number {number:02}\n")
}

/// Writes what is missing, two lines at a time; tells how far it is.
fn write(mut tell: impl FnMut(u64)) -> Result<()> {
    let mut files = open()?;
    while next(files.position()) < LINES {
        let from = next(files.position());
        let mut position = files.position().clone();
        position.next.insert(PARTITION, from + 2);
        position.last_ms = 1000 + from;
        files.append([line(from), line(from + 1)].concat().as_bytes(), position)?;
        files.forget(1000)?;
        tell(from + 2);
    }
    Ok(())
}

/// A file's bytes.
fn read(path: &Path) -> Result<Vec<u8>> {
    let file = disk::open_existing(path)?;
    let mut bytes = vec![0; usize::try_from(file.size_bytes()?).unwrap()];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// All lines, the oldest file first, and how far is written.
fn everything() -> Result<(String, u64)> {
    let files = open()?;
    let mut paths = disk::list(Path::new(FOLDER))?;
    paths.sort();
    let mut text = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|kind| kind == "zst")) {
        text.extend(zstd::bulk::decompress(&read(path)?, 1 << 20)?);
    }
    text.extend(read(&Path::new(FOLDER).join(LIVE))?);
    Ok((String::from_utf8(text).unwrap(), next(files.position())))
}

fn lines(count: u64) -> String {
    (0..count).map(line).collect()
}

/// How many lines were acknowledged, and after how many disk operations.
fn undisturbed() -> Vec<(u64, u64)> {
    run(0, Options::default(), |world| async move {
        let machine = idle(&world, 1);
        let clock = world.clone();
        let mut diary = vec![(0, 0)];
        work(&world, machine, move || {
            write(|lines| diary.push((lines, clock.disk_counters(machine).operations)))?;
            Ok(diary)
        })
        .await
    })
}

async fn dies_at(
    world: &World,
    machine: MachineId,
    operation: u64,
    loss: Loss,
    doing: impl FnOnce() -> Result<()> + Send + 'static,
) {
    world.arm_crash_point(machine, operation, loss);
    let doomed = world.spawn_on(machine, rt::task::blocking(doing));
    if let Ok(result) = timeout(60 * SECOND, doomed).await.expect("it ends") {
        result.expect("what is not cut short succeeds");
        world.power_loss(machine);
    }
    world.start(machine);
}

async fn account(world: Arc<World>, operation: u64, loss: Loss) -> ((String, u64), (String, u64)) {
    let machine = idle(&world, 1);
    dies_at(&world, machine, operation, loss, || write(drop)).await;
    dies_at(&world, machine, 1 + operation % 17, Loss::Power, || open().map(drop)).await;
    let found = work(&world, machine, everything).await;
    work(&world, machine, || write(drop)).await;
    (found, work(&world, machine, everything).await)
}

#[test]
fn the_export_survives_a_death_at_every_operation() {
    let diary = undisturbed();
    let last = diary.last().unwrap().1;
    assert!(last > 60 && diary.len() == 8, "{diary:?}");
    for operation in 1..=last {
        // The operation that it dies at does not happen.
        let told =
            diary.iter().rev().find(|(_, operations)| *operations < operation).map_or(0, |found| found.0);
        for (loss, seed) in [(Loss::Crash, 0), (Loss::Power, 0), (Loss::Power, 1), (Loss::Power, 2)] {
            let (found, whole) = run(seed, Options::default(), move |world| account(world, operation, loss));
            let what = format!("{loss:?} at {operation}, seed {seed}");
            assert_eq!(found.0, lines(found.1), "{what}: what is there is what was written");
            assert!(found.1 >= told, "{what}: {} of {told} acknowledged lines", found.1);
            assert_eq!(whole, (lines(LINES), LINES), "{what}: it goes on where it was");
        }
    }
}

#[test]
fn what_is_not_as_it_was_written_is_written_again() {
    let damages: [fn() -> Result<()>; 3] = [
        || disk::open(&Path::new(FOLDER).join(LIVE))?.write_at(3, b"X"),
        || disk::open(&Path::new(FOLDER).join(LIVE))?.set_len(5),
        || disk::remove(&Path::new(FOLDER).join(LIVE)),
    ];
    for damage in damages {
        let (damaged, whole) = run(0, Options::default(), move |world| async move {
            let machine = idle(&world, 1);
            work(&world, machine, || write(drop)).await;
            work(&world, machine, damage).await;
            let damaged = work(&world, machine, everything).await;
            work(&world, machine, || write(drop)).await;
            (damaged, work(&world, machine, everything).await)
        });
        assert!(damaged.1 < LINES, "it was noticed");
        assert_eq!(damaged.0, lines(damaged.1), "nothing of it is left, and all before it is");
        assert_eq!(whole, (lines(LINES), LINES));
    }
}
