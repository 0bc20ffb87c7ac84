//! What each injection into a disk changes for the node on it, and that nothing else does.

use crate::stage::{MS, SECOND, idle, on, run, simulate, work};
use rt::disk;
use rt::sim::disk::DiskFault;
use rt::sim::injection::Injection;
use rt::sim::machine::{Loss, MachineId};
use rt::sim::{Options, World};
use rt::time::{Instant, sleep, timeout};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

const SECTOR: usize = 512;
const FILE: &str = "/data/file";
/// `EIO` and `ENOSPC` of Linux.
const EIO: Option<i32> = Some(5);
const ENOSPC: Option<i32> = Some(28);

fn file() -> Result<disk::File> {
    disk::open_existing(Path::new(FILE))
}

/// Writes `letter` into each of the given sectors.
fn fill(letter: u8, sectors: std::ops::Range<usize>) -> Result<()> {
    file()?.write_at((sectors.start * SECTOR) as u64, &vec![letter; sectors.len() * SECTOR])
}

/// The first letter of each sector, `!` for one that cannot be read, `?` for one of mixed content.
fn letters() -> Result<String> {
    let file = file()?;
    let sectors = file.size_bytes()? / SECTOR as u64;
    let letter = |sector| {
        let mut bytes = [0; SECTOR];
        match file.read_at(sector * SECTOR as u64, &mut bytes) {
            Err(error) if error.raw_os_error() == EIO => '!',
            Err(error) => panic!("{error}"),
            Ok(()) if bytes.iter().all(|byte| *byte == bytes[0]) => char::from(bytes[0]),
            Ok(()) => '?',
        }
    };
    Ok((0..sectors).map(letter).collect())
}

/// A durable file of eight sectors of `a`.
fn prepare() -> Result<()> {
    disk::create_durable_dir(Path::new("/data"))?;
    disk::open(Path::new(FILE))?;
    disk::sync_dir(Path::new("/data"))?;
    fill(b'a', 0..8)?;
    file()?.sync()
}

/// A machine with eight old sectors of `a` and two young ones of `b`.
async fn aged(world: &World) -> MachineId {
    let machine = idle(world, 1);
    work(world, machine, || {
        prepare()?;
        fill(b'b', 8..10)?;
        file()?.sync()
    })
    .await;
    machine
}

/// How blocking work fails.
async fn fails(world: &World, machine: MachineId, failing: fn() -> Result<()>) -> Option<i32> {
    on(world, machine, rt::task::blocking(failing)).await.expect_err("it should fail").raw_os_error()
}

async fn restart(world: &World, machine: MachineId, loss: Loss) {
    match loss {
        Loss::Crash => world.crash(machine),
        Loss::Power => world.power_loss(machine),
    };
    world.start(machine);
}

fn bites(world: &World, injection: Injection, expected: u64) {
    assert_eq!(world.bites(injection), expected);
}

#[test]
fn the_nth_read_write_and_sync_fails_once() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        let read = world.injure_disk(machine, DiskFault::ReadError { after: 3 });
        assert_eq!(work(&world, machine, letters).await, "aa!aaaaa");
        assert_eq!(work(&world, machine, letters).await, "aaaaaaaa");
        bites(&world, read, 1);

        let write = world.injure_disk(machine, DiskFault::WriteError { after: 2 });
        work(&world, machine, || fill(b'b', 0..1)).await;
        assert_eq!(fails(&world, machine, || fill(b'b', 1..3)).await, EIO);
        work(&world, machine, || fill(b'b', 3..4)).await;
        assert_eq!(work(&world, machine, letters).await, "baabaaaa");
        bites(&world, write, 1);

        let sync = world.injure_disk(machine, DiskFault::SyncError { after: 1 });
        assert_eq!(fails(&world, machine, || file()?.sync()).await, EIO);
        work(&world, machine, || file()?.sync()).await;
        bites(&world, sync, 1);
        for mended in [read, write, sync] {
            assert_eq!(world.mend(mended), 1);
        }
    });
}

#[test]
fn a_mended_or_foreign_error_never_comes() {
    simulate(|world| async move {
        let (machine, other) = (idle(&world, 1), idle(&world, 2));
        let elsewhere = world.injure_disk(other, DiskFault::WriteError { after: 1 });
        let mended = world.injure_disk(machine, DiskFault::WriteError { after: 1 });
        assert_eq!(world.mend(mended), 0);
        work(&world, machine, prepare).await;
        bites(&world, elsewhere, 0);
    });
}

#[test]
fn a_failed_sync_loses_what_it_was_to_keep() {
    let found: BTreeSet<String> = (0..60)
        .map(|seed| {
            run(seed, Options::default(), |world| async move {
                let machine = idle(&world, 1);
                work(&world, machine, prepare).await;
                world.injure_disk(machine, DiskFault::SyncError { after: 1 });
                work(&world, machine, || {
                    fill(b'b', 0..2)?;
                    assert!(file()?.sync().is_err());
                    fill(b'c', 2..3)?;
                    file()?.sync()
                })
                .await;
                restart(&world, machine, Loss::Crash).await;
                assert_eq!(work(&world, machine, letters).await, "bbcaaaaa", "it can still be read");
                restart(&world, machine, Loss::Power).await;
                work(&world, machine, letters).await
            })
        })
        .collect();
    let all = ["aacaaaaa", "abcaaaaa", "bacaaaaa", "bbcaaaaa"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(all));
}

#[test]
fn a_full_disk_takes_what_fits_and_what_is_there_already() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        let full = world.injure_disk(machine, DiskFault::Full { free_bytes: 2 * SECTOR as u64 + 100 });
        work(&world, machine, || fill(b'b', 0..8)).await;
        bites(&world, full, 0);
        assert_eq!(fails(&world, machine, || fill(b'c', 7..12)).await, ENOSPC);
        assert_eq!(work(&world, machine, letters).await, "bbbbbbbccc");
        bites(&world, full, 1);
        let kind = on(&world, machine, rt::task::blocking(|| fill(b'd', 10..11))).await.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::StorageFull);
        // Space that is given up can be used again, if only once.
        work(&world, machine, || {
            file()?.set_len(9 * SECTOR as u64)?;
            disk::open(Path::new("/data/other"))?.write_at(0, b"fits")
        })
        .await;
        assert_eq!(fails(&world, machine, || fill(b'd', 9..10)).await, ENOSPC);
        assert_eq!(world.mend(full), 3);
        work(&world, machine, || fill(b'd', 9..20)).await;
    });
}

#[test]
fn slow_work_takes_longer_and_stalled_work_waits() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        let slow = world.injure_disk(machine, DiskFault::Slow { min: 300 * MS, max: 500 * MS });
        let start = Instant::now();
        work(&world, machine, letters).await;
        assert!((300 * MS..510 * MS).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert_eq!(world.mend(slow), 1);

        let stall = world.injure_disk(machine, DiskFault::Stall);
        let mut late = Vec::new();
        for _ in 0..3 {
            late.push(world.spawn_on(machine, rt::task::blocking(letters)));
        }
        sleep(60 * SECOND).await;
        assert!(late.iter().all(|work| !work.is_finished()));
        assert_eq!(world.mend(stall), 3);
        for work in late {
            assert_eq!(timeout(SECOND, work).await.unwrap().unwrap().unwrap(), "aaaaaaaa");
        }
        let start = Instant::now();
        work(&world, machine, letters).await;
        assert!(start.elapsed() < 10 * MS);
    });
}

#[test]
fn a_stall_outlives_the_machine() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        let stall = world.injure_disk(machine, DiskFault::Stall);
        let doomed = world.spawn_on(machine, rt::task::blocking(|| fill(b'x', 0..8)));
        sleep(SECOND).await;
        restart(&world, machine, Loss::Crash).await;
        let late = world.spawn_on(machine, rt::task::blocking(letters));
        sleep(SECOND).await;
        assert!(!late.is_finished());
        assert_eq!(world.mend(stall), 2);
        assert_eq!(late.await.unwrap().unwrap(), "aaaaaaaa", "the dead one's write never comes");
        assert!(doomed.await.is_err());
    });
}

#[test]
fn rot_flips_bits_of_old_sectors_for_good() {
    for seed in 0..20 {
        run(seed, Options::default(), |world| async move {
            let machine = aged(&world).await;
            let rot = world.injure_disk(machine, DiskFault::Rot { sectors: 2 });
            bites(&world, rot, 0);
            let found = work(&world, machine, letters).await;
            assert!(found.ends_with("bb"), "the youngest are spared: {found}");
            assert_eq!(found.matches('?').count(), 2, "{found}");
            assert_eq!(world.mend(rot), 2);
            restart(&world, machine, Loss::Power).await;
            assert_eq!(work(&world, machine, letters).await, found, "mending brings nothing back");
            // Only to be overwritten helps.
            work(&world, machine, || fill(b'c', 0..8)).await;
            assert_eq!(work(&world, machine, letters).await, "ccccccccbb");
            bites(&world, rot, 4);
        });
    }
}

#[test]
fn damage_hits_no_more_than_is_old() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        world.injure_disk(machine, DiskFault::Rot { sectors: 100 });
        // A sync that has nothing to do makes nothing older.
        work(&world, machine, || file()?.sync()).await;
        world.injure_disk(machine, DiskFault::LatentSectorError { sectors: 100 });
        assert_eq!(work(&world, machine, letters).await, "aaaaaaaa");
        work(&world, machine, || {
            fill(b'b', 2..4)?;
            file()?.sync()?;
            fill(b'c', 4..5)?;
            file()?.set_len(12 * SECTOR as u64)
        })
        .await;
        world.injure_disk(machine, DiskFault::LatentSectorError { sectors: 100 });
        assert_eq!(work(&world, machine, letters).await, "!!bbc!!!\0\0\0\0");
    });
}

#[test]
fn an_unreadable_sector_can_be_overwritten_but_not_in_part() {
    simulate(|world| async move {
        let machine = aged(&world).await;
        let error = world.injure_disk(machine, DiskFault::LatentSectorError { sectors: 8 });
        bites(&world, error, 0);
        assert_eq!(work(&world, machine, letters).await, "!!!!!!!!bb");
        bites(&world, error, 8);
        restart(&world, machine, Loss::Power).await;
        assert_eq!(fails(&world, machine, || file()?.write_at(SECTOR as u64 - 1, b"xx")).await, EIO);
        bites(&world, error, 9);
        work(&world, machine, || fill(b'c', 0..6)).await;
        assert_eq!(work(&world, machine, letters).await, "cccccc!!bb");
        work(&world, machine, || file()?.sync()).await;
        restart(&world, machine, Loss::Power).await;
        assert_eq!(work(&world, machine, letters).await, "cccccc!!bb");
    });
}

#[test]
fn a_lost_overwrite_heals_nothing() {
    let found: BTreeSet<String> = (0..40)
        .map(|seed| {
            run(seed, Options::default(), |world| async move {
                let machine = aged(&world).await;
                world.injure_disk(machine, DiskFault::LatentSectorError { sectors: 8 });
                work(&world, machine, || fill(b'c', 0..1)).await;
                restart(&world, machine, Loss::Power).await;
                work(&world, machine, letters).await
            })
        })
        .collect();
    assert_eq!(found, BTreeSet::from(["!!!!!!!!bb", "c!!!!!!!bb"].map(str::to_owned)));
}

/// Misdirects the second of three writes; gives what is there after it, after one more sync, and the
/// bites then.
async fn astray(world: Arc<World>) -> (String, String, u64) {
    let machine = aged(&world).await;
    let stray = world.injure_disk(machine, DiskFault::MisdirectedWrite { after: 2 });
    work(&world, machine, || {
        fill(b'c', 0..1)?;
        fill(b'd', 1..3)?;
        fill(b'e', 3..4)?;
        file()?.sync()
    })
    .await;
    let hidden = work(&world, machine, letters).await;
    bites(&world, stray, 0);
    work(&world, machine, || {
        fill(b'f', 9..10)?;
        file()?.sync()
    })
    .await;
    let shown = work(&world, machine, letters).await;
    restart(&world, machine, Loss::Power).await;
    assert_eq!(work(&world, machine, letters).await, shown);
    (hidden, shown, world.mend(stray))
}

#[test]
fn a_misdirected_write_shows_when_it_is_old() {
    let found: BTreeSet<_> = (0..60).map(|seed| run(seed, Options::default(), astray)).collect();
    // Once when it shows, and whenever one of four sectors is read.
    let shown = ["caaddaaabf", "caaeddaabf", "caaeaddabf", "caaeaaddbf", "caaeaaaddf"];
    let expected = shown.map(|shown| ("cddeaaaabb".to_owned(), shown.to_owned(), 1 + 2 * 4));
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn a_crash_point_undoes_what_a_fault_did_after_it() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        let error = world.injure_disk(machine, DiskFault::WriteError { after: 3 });
        world.arm_crash_point(machine, 2, Loss::Crash);
        let doomed = world.spawn_on(
            machine,
            rt::task::blocking(|| {
                fill(b'b', 0..1)?;
                fill(b'b', 1..2)?;
                assert!(fill(b'b', 2..3).is_err());
                Ok::<_, std::io::Error>(())
            }),
        );
        assert!(doomed.await.is_err());
        bites(&world, error, 0);
        world.start(machine);
        assert_eq!(work(&world, machine, letters).await, "baaaaaaa");
        work(&world, machine, || fill(b'c', 1..2)).await;
        assert_eq!(fails(&world, machine, || fill(b'c', 2..3)).await, EIO);
        bites(&world, error, 1);
    });
}

#[test]
fn a_wiped_disk_is_empty_and_still_slow() {
    simulate(|world| async move {
        let machine = aged(&world).await;
        let rot = world.injure_disk(machine, DiskFault::Rot { sectors: 1 });
        let stall = world.injure_disk(machine, DiskFault::Stall);
        world.crash(machine);
        world.wipe_disk(machine);
        world.start(machine);
        let late = world.spawn_on(machine, rt::task::blocking(|| disk::list(Path::new("/data"))));
        sleep(SECOND).await;
        assert!(!late.is_finished());
        assert_eq!(world.mend(stall), 1);
        assert_eq!(late.await.unwrap().unwrap_err().kind(), ErrorKind::NotFound);
        work(&world, machine, prepare).await;
        assert_eq!(work(&world, machine, letters).await, "aaaaaaaa");
        bites(&world, rot, 0);
    });
}

#[test]
fn the_lock_of_the_dead_is_free() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        let lock = || {
            prepare()?;
            let file = file()?;
            file.lock()?;
            Ok(file)
        };
        let held = work(&world, machine, lock).await;
        let kind = on(&world, machine, rt::task::blocking(lock)).await.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::WouldBlock);
        restart(&world, machine, Loss::Crash).await;
        let mine = work(&world, machine, lock).await;
        // The dead one's file lets go of a lock that is no longer its own.
        drop(held);
        let kind = on(&world, machine, rt::task::blocking(lock)).await.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::WouldBlock);
        drop(mine);
    });
}
