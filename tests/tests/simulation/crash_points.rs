//! Death in the middle of blocking work, at a disk operation counted in advance.

use crate::stage::{MS, SECOND, idle, run, simulate, work};
use rt::disk;
use rt::sim::machine::{Loss, MachineId};
use rt::sim::{Options, World};
use rt::time::{sleep, timeout};
use std::collections::BTreeSet;
use std::io::Result;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const FILE: &str = "/data/file";

/// A durable file of no bytes.
fn prepare() -> Result<()> {
    disk::create_durable_dir(Path::new("/data"))?;
    disk::open(Path::new(FILE))?.sync()?;
    disk::sync_dir(Path::new("/data"))
}

/// Six operations: write 1, write 2, sync, write 3, write 4, sync.
fn six_operations() -> Result<()> {
    let file = disk::open_existing(Path::new(FILE))?;
    file.write_at(0, b"1")?;
    file.write_at(1, b"2")?;
    file.sync()?;
    file.write_at(2, b"3")?;
    file.write_at(3, b"4")?;
    file.sync()
}

fn content() -> Result<String> {
    let file = disk::open_existing(Path::new(FILE))?;
    let mut bytes = vec![0; usize::try_from(file.size_bytes()?).unwrap()];
    file.read_at(0, &mut bytes)?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// Starts `operations` on a machine, and tells how far it came: 1 when they were begun, 2 when done.
fn begin(world: &World, machine: MachineId, operations: fn() -> Result<()>) -> Arc<AtomicU32> {
    let progress = Arc::new(AtomicU32::new(0));
    let told = progress.clone();
    drop(world.spawn_on(machine, async move {
        told.store(1, Ordering::SeqCst);
        rt::task::blocking(operations).await.expect("it never learns that it is dead");
        told.store(2, Ordering::SeqCst);
    }));
    progress
}

/// Dies at operation `number` of six; gives what the next life finds.
async fn dies_at(world: Arc<World>, number: u64, loss: Loss) -> String {
    let machine = idle(&world, 1);
    work(&world, machine, prepare).await;
    world.arm_crash_point(machine, number, loss);
    let progress = begin(&world, machine, six_operations);
    sleep(SECOND).await;
    assert!(!world.is_running(machine), "it should have died at operation {number}");
    assert_eq!(progress.load(Ordering::SeqCst), 1, "the work never ends for its caller");
    world.start(machine);
    let found = work(&world, machine, content).await;
    // The point is gone with the life that it ended.
    let progress = begin(&world, machine, six_operations);
    sleep(SECOND).await;
    assert_eq!(progress.load(Ordering::SeqCst), 2);
    found
}

#[test]
fn a_crash_at_an_operation_leaves_what_came_before_it() {
    for (number, expected) in (1..).zip(["", "1", "12", "12", "123", "1234"]) {
        for seed in 0..3 {
            let found = run(seed, Options::default(), move |world| dies_at(world, number, Loss::Crash));
            assert_eq!(found, expected, "operation {number}");
        }
    }
}

#[test]
fn a_power_loss_at_an_operation_leaves_what_was_synced_before_it() {
    let found_at = |number| -> BTreeSet<String> {
        (0..60)
            .map(|seed| run(seed, Options::default(), move |world| dies_at(world, number, Loss::Power)))
            .collect()
    };
    let sets = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(found_at(1), sets(&[""]));
    assert_eq!(found_at(2), sets(&["", "1"]));
    // At the first sync, before it has an effect: each write is there or not.
    assert_eq!(found_at(3), sets(&["", "1", "12", "\u{0}2"]));
    assert_eq!(found_at(4), sets(&["12"]));
    assert_eq!(found_at(6), sets(&["12", "123", "1234", "12\u{0}4"]));
}

#[test]
fn operations_count_across_pieces_of_work() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        world.arm_crash_point(machine, 8, Loss::Crash);
        let first = begin(&world, machine, six_operations);
        sleep(SECOND).await;
        assert_eq!(first.load(Ordering::SeqCst), 2);
        assert!(world.is_running(machine));
        let second = begin(&world, machine, || {
            let file = disk::open_existing(Path::new(FILE))?;
            file.set_len(0)?;
            file.write_at(0, b"never")
        });
        sleep(SECOND).await;
        assert!(!world.is_running(machine));
        assert_eq!(second.load(Ordering::SeqCst), 1);
        world.start(machine);
        assert_eq!(work(&world, machine, content).await, "");
    });
}

#[test]
fn names_are_operations_too() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        let renamed = || disk::rename(Path::new(FILE), Path::new("/data/renamed"));
        for (operation, expected) in [(1, FILE), (2, "/data/renamed")] {
            work(&world, machine, || {
                prepare()?;
                // Left over from the round before.
                disk::remove(Path::new("/data/renamed")).or(Ok(()))
            })
            .await;
            world.arm_crash_point(machine, operation, Loss::Crash);
            drop(world.spawn_on(
                machine,
                rt::task::blocking(move || renamed().and_then(|()| disk::sync_dir(Path::new("/data")))),
            ));
            sleep(SECOND).await;
            assert!(!world.is_running(machine));
            world.start(machine);
            let names = work(&world, machine, || disk::list(Path::new("/data"))).await;
            assert_eq!(names, [Path::new(expected)]);
        }
    });
}

#[test]
fn a_disarmed_or_unreached_point_does_nothing() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        world.arm_crash_point(machine, 3, Loss::Power);
        world.disarm_crash_point(machine);
        work(&world, machine, six_operations).await;
        world.arm_crash_point(machine, 7, Loss::Power);
        work(&world, machine, six_operations).await;
        assert!(world.is_running(machine));
        // A death for another reason takes the point along.
        world.crash(machine);
        world.start(machine);
        work(&world, machine, six_operations).await;
        assert!(world.is_running(machine));
        assert_eq!(work(&world, machine, content).await, "1234");
    });
}

#[test]
fn other_tasks_never_see_the_doomed_writes() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        let seen = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
        let eyes = seen.clone();
        drop(world.spawn_on(machine, async move {
            loop {
                let text = rt::task::blocking(content).await.unwrap();
                eyes.lock().unwrap().insert(text);
                sleep(MS / 20).await;
            }
        }));
        sleep(10 * MS).await;
        world.arm_crash_point(machine, 4, Loss::Crash);
        let doomed = world.spawn_on(machine, rt::task::blocking(six_operations));
        assert!(timeout(SECOND, doomed).await.expect("the caller waits for ever").is_err());
        assert_eq!(*seen.lock().unwrap(), BTreeSet::from([String::new()]));
    });
}
