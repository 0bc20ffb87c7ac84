//! What a crash and a power loss leave of writes and of names.

use crate::stage::{SECOND, idle, run, simulate, work};
use rt::disk;
use rt::sim::machine::Loss;
use rt::sim::{Options, World};
use rt::time::timeout;
use std::collections::BTreeSet;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECTOR: usize = 512;

fn path(name: &str) -> PathBuf {
    Path::new("/data").join(name)
}

fn content(name: &str) -> Result<Vec<u8>> {
    let file = disk::open_existing(&path(name))?;
    let mut bytes = vec![0; usize::try_from(file.size_bytes()?).unwrap()];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Makes files with their name as content. Neither is durable.
fn make(names: &[&str]) -> Result<()> {
    disk::create_dir_all(Path::new("/data"))?;
    names.iter().try_for_each(|name| disk::open(&path(name))?.write_at(0, name.as_bytes()))
}

fn sync(name: &str) -> Result<()> {
    disk::open_existing(&path(name))?.sync()
}

fn sync_names() -> Result<()> {
    disk::sync_dir(Path::new("/"))?;
    disk::sync_dir(Path::new("/data"))
}

fn names() -> Result<Vec<String>> {
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    Ok(disk::list(Path::new("/data"))?.into_iter().map(name).collect())
}

/// Four sectors of `a`, durable; then the middle two as `b` and two more of `c`, unsynced.
fn overwrite() -> Result<()> {
    disk::create_dir_all(Path::new("/data"))?;
    let file = disk::open(&path("file"))?;
    file.write_at(0, &[b'a'; 4 * SECTOR])?;
    file.sync()?;
    sync_names()?;
    file.write_at(SECTOR as u64, &[b'b'; 2 * SECTOR])?;
    file.write_at(4 * SECTOR as u64, &[b'c'; 2 * SECTOR])
}

/// Runs `before` on a machine, takes its power, and gives what `after` finds.
async fn through_power_loss<T: Send + 'static>(
    world: Arc<World>,
    before: fn() -> Result<()>,
    after: fn() -> Result<T>,
) -> T {
    let machine = idle(&world, 1);
    work(&world, machine, before).await;
    world.power_loss(machine);
    world.start(machine);
    work(&world, machine, after).await
}

#[test]
fn a_crash_keeps_everything() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, || {
            overwrite()?;
            make(&["new", "renamed", "removed"])?;
            disk::rename(&path("renamed"), &path("final"))?;
            disk::remove(&path("removed"))
        })
        .await;
        world.crash(machine);
        world.start(machine);
        assert_eq!(work(&world, machine, names).await, ["file", "final", "new"]);
        assert_eq!(work(&world, machine, || content("final")).await, b"renamed");
        let file = work(&world, machine, || content("file")).await;
        let sectors: Vec<u8> = file.chunks(SECTOR).map(|sector| sector[0]).collect();
        assert_eq!(sectors, b"abbacc");
        assert_eq!(world.disk_counters(machine).lost_writes, 0);
    });
}

#[test]
fn a_power_loss_takes_unsynced_writes_whole_or_in_part() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let file =
            run(seed, Options::default(), |world| through_power_loss(world, overwrite, || content("file")));
        assert!(file.len() >= 4 * SECTOR && file.len() % SECTOR == 0, "seed {seed}: {} bytes", file.len());
        let mut sectors = Vec::new();
        for sector in file.chunks(SECTOR) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "seed {seed}: torn within a sector");
            sectors.push(sector[0]);
        }
        // Synced and never written again: untouched.
        assert_eq!((sectors[0], sectors[3]), (b'a', b'a'), "seed {seed}");
        assert!(sectors[1..3].iter().all(|byte| b"ab".contains(byte)), "seed {seed}: {sectors:?}");
        assert!(sectors[4..].iter().all(|byte| b"\0c".contains(byte)), "seed {seed}: {sectors:?}");
        seen.insert(sectors);
    }
    assert!(seen.contains(&b"aaaa"[..]), "never was everything lost");
    assert!(seen.contains(&b"abbacc"[..]), "never was everything kept");
    assert!(seen.contains(&b"aaaacc"[..]), "never were writes reordered");
    assert!(seen.contains(&b"aaba"[..]) || seen.contains(&b"abaa"[..]), "never was a write torn");
    assert!(seen.contains(&b"aaaa\0c"[..]), "never was an append torn");
}

#[test]
fn synced_writes_survive() {
    for seed in 0..50 {
        run(seed, Options::default(), |world| async move {
            let machine = idle(&world, 1);
            work(&world, machine, || {
                overwrite()?;
                sync("file")
            })
            .await;
            for _ in 0..3 {
                world.power_loss(machine);
                world.start(machine);
                let file = work(&world, machine, || content("file")).await;
                let sectors: Vec<u8> = file.chunks(SECTOR).map(|sector| sector[0]).collect();
                assert_eq!(sectors, b"abbacc");
            }
            assert_eq!(world.disk_counters(machine).lost_writes, 0);
        });
    }
}

#[test]
fn what_a_power_loss_left_is_durable() {
    for seed in 0..50 {
        run(seed, Options::default(), |world| async move {
            let machine = idle(&world, 1);
            work(&world, machine, overwrite).await;
            world.power_loss(machine);
            world.start(machine);
            let first = work(&world, machine, || content("file")).await;
            world.power_loss(machine);
            world.start(machine);
            assert_eq!(work(&world, machine, || content("file")).await, first);
        });
    }
}

#[test]
fn an_unsynced_length_is_old_or_new() {
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let cut = || {
            make(&["12345678"])?;
            sync("12345678")?;
            sync_names()?;
            disk::open_existing(&path("12345678"))?.set_len(3)
        };
        let left = run(seed, Options::default(), move |world| {
            through_power_loss(world, cut, || content("12345678"))
        });
        seen.insert(left);
    }
    assert_eq!(seen, BTreeSet::from([b"123".to_vec(), b"12345678".to_vec()]));
}

#[test]
fn a_new_name_is_durable_after_a_sync_of_its_folder_only() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, || {
            make(&["kept"])?;
            sync("kept")?;
            sync_names()?;
            make(&["lost"])?;
            sync("lost")
        })
        .await;
        world.power_loss(machine);
        world.start(machine);
        assert_eq!(work(&world, machine, names).await, ["kept"]);
        assert_eq!(work(&world, machine, || content("kept")).await, b"kept");
        // The lost name is free; nothing of the old file shows through.
        let size = work(&world, machine, || disk::open(&path("lost"))?.size_bytes()).await;
        assert_eq!(size, 0);
    });
}

#[test]
fn a_rename_is_durable_after_a_sync_of_its_folder_only() {
    for synced in [false, true] {
        let rename = move || {
            make(&["old", "new"])?;
            sync("old")?;
            sync("new")?;
            sync_names()?;
            disk::rename(&path("old"), &path("new"))?;
            if synced { sync_names() } else { Ok(()) }
        };
        run(5, Options::default(), move |world| async move {
            let machine = idle(&world, 1);
            work(&world, machine, rename).await;
            assert_eq!(work(&world, machine, || content("new")).await, b"old");
            world.power_loss(machine);
            world.start(machine);
            if synced {
                assert_eq!(work(&world, machine, names).await, ["new"]);
                assert_eq!(work(&world, machine, || content("new")).await, b"old");
            } else {
                assert_eq!(work(&world, machine, names).await, ["new", "old"]);
                assert_eq!(work(&world, machine, || content("new")).await, b"new");
            }
        });
    }
}

#[test]
fn a_removal_is_durable_after_a_sync_of_its_folder_only() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, || {
            make(&["gone", "back"])?;
            sync("gone")?;
            sync("back")?;
            sync_names()?;
            disk::remove(&path("gone"))?;
            sync_names()?;
            disk::remove(&path("back"))
        })
        .await;
        world.power_loss(machine);
        world.start(machine);
        assert_eq!(work(&world, machine, names).await, ["back"]);
        assert_eq!(work(&world, machine, || content("back")).await, b"back");
    });
}

#[test]
fn names_of_other_folders_are_synced_apart() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, || {
            disk::create_dir_all(&path("inner"))?;
            sync_names()?;
            make(&["here"])?;
            disk::open(&path("inner/there"))?;
            disk::sync_dir(&path("inner"))
        })
        .await;
        world.power_loss(machine);
        world.start(machine);
        assert_eq!(work(&world, machine, names).await, [] as [&str; 0]);
        assert_eq!(work(&world, machine, || disk::list(&path("inner"))).await, [path("inner/there")]);
    });
}

#[test]
fn disks_are_apart_and_counted() {
    simulate(|world| async move {
        let (one, other) = (idle(&world, 1), idle(&world, 2));
        work(&world, one, || make(&["only", "here"])).await;
        work(&world, one, || sync("only")).await;
        let nothing = work(&world, other, || Ok(names().is_err())).await;
        assert!(nothing, "one machine's folder is on another's disk");
        let counters = world.disk_counters(one);
        assert_eq!((counters.writes, counters.written_bytes, counters.syncs), (2, 8, 1));
        assert_eq!(world.disk_counters(other), rt::sim::disk::Counters::default());
    });
}

#[test]
fn a_new_folder_is_durable_after_a_sync_of_its_parent_only() {
    for synced in [false, true] {
        let make = move || {
            sync_names_of_root_after(|| disk::create_dir_all(&path("inner")))?;
            disk::open(&path("inner/file"))?.sync()?;
            disk::sync_dir(&path("inner"))?;
            if synced { disk::sync_dir(Path::new("/data")) } else { Ok(()) }
        };
        run(3, Options::default(), move |world| async move {
            let machine = idle(&world, 1);
            work(&world, machine, make).await;
            world.power_loss(machine);
            world.start(machine);
            let inner = work(&world, machine, || Ok(disk::list(&path("inner")).ok())).await;
            assert_eq!(inner, synced.then(|| vec![path("inner/file")]));
            assert_eq!(work(&world, machine, names).await, [] as [&str; 0], "the parent is there");
        });
    }
}

fn sync_names_of_root_after(make: impl FnOnce() -> Result<()>) -> Result<()> {
    make()?;
    disk::sync_dir(Path::new("/"))
}

#[test]
fn a_durable_folder_is_durable_whoever_died_making_it() {
    // mkdir, sync, mkdir, sync: at each of them.
    for operation in 1..=4 {
        run(operation, Options::default(), move |world| async move {
            let machine = idle(&world, 1);
            world.arm_crash_point(machine, operation, Loss::Crash);
            let made = world
                .spawn_on(machine, rt::task::blocking(|| disk::create_durable_dir(Path::new("/data/inner"))));
            assert!(timeout(SECOND, made).await.expect("it dies").is_err());
            world.start(machine);
            work(&world, machine, || disk::create_durable_dir(Path::new("/data/inner"))).await;
            world.power_loss(machine);
            world.start(machine);
            work(&world, machine, || disk::list(Path::new("/data/inner"))).await;
        });
    }
}
