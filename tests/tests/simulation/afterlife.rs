//! Nothing acts after its death: whatever the destructors of a killed process try, on the disk, on the
//! network or with new tasks, has no effect, although they run when its next life may have begun.

use crate::stage::{MS, SECOND, heard, idle, listen, on, simulate, work};
use rt::disk;
use rt::net::TcpStream;
use rt::sim::World;
use rt::sim::machine::MachineId;
use rt::time::sleep;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Does what harm it can when it is dropped.
struct Ghost {
    open: disk::File,
    stream: TcpStream,
    haunted: Arc<AtomicU32>,
}

impl Drop for Ghost {
    fn drop(&mut self) {
        let _ = self.open.write_at(0, b"ghost");
        let _ = self.open.set_len(1);
        let _ = self.open.sync();
        if let Ok(fresh) = disk::open(Path::new("/data/ghost")) {
            let _ = fresh.write_at(0, b"ghost");
            let _ = fresh.sync();
        }
        let _ = disk::rename(Path::new("/data/kept"), Path::new("/data/stolen"));
        let _ = disk::remove(Path::new("/data/file"));
        let _ = disk::sync_dir(Path::new("/data"));
        let mut context = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.stream).poll_write(&mut context, b"ghost");
        let haunted = self.haunted.clone();
        haunted.fetch_add(1, Ordering::SeqCst);
        rt::task::spawn(async move {
            haunted.fetch_add(100, Ordering::SeqCst);
            rt::task::blocking(|| disk::open(Path::new("/data/ghost-task"))).await.ok();
            if let Ok(mut stream) = TcpStream::connect("10.0.0.2:7000").await {
                let _ = stream.write_all(b"ghost").await;
            }
        });
    }
}

/// Two files on the disk, names and content durable.
fn prepare() -> std::io::Result<()> {
    let folder = Path::new("/data");
    disk::create_durable_dir(folder)?;
    for name in ["file", "kept"] {
        let file = disk::open(&folder.join(name))?;
        file.write_at(0, b"alive")?;
        file.sync()?;
    }
    disk::sync_dir(folder)
}

/// What is on the disk, by name.
fn look() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let read = |path: std::path::PathBuf| {
        let file = disk::open_existing(&path)?;
        let mut bytes = vec![0; usize::try_from(file.size_bytes()?).unwrap()];
        file.read_at(0, &mut bytes)?;
        Ok((path.display().to_string(), bytes))
    };
    disk::list(Path::new("/data"))?.into_iter().map(read).collect()
}

/// A machine with a ghost in it, paused before or not, is stopped by `stop`; then everything must be as it
/// was.
async fn haunt(world: Arc<World>, paused: bool, stop: fn(&World, MachineId)) {
    let (machine, witness) = (idle(&world, 1), idle(&world, 2));
    work(&world, machine, prepare).await;
    let listener = listen(&world, witness, 7000).await;
    let haunted = Arc::new(AtomicU32::new(0));
    let counter = haunted.clone();
    drop(world.spawn_on(machine, async move {
        let open = disk::open(Path::new("/data/file")).unwrap();
        let mut stream = TcpStream::connect("10.0.0.2:7000").await.unwrap();
        stream.write_all(b"alive").await.unwrap();
        let _ghost = Ghost { open, stream, haunted: counter };
        // Tasks that wake in a pause wait for its end in another place than sleeping ones.
        loop {
            sleep(10 * MS).await;
        }
    }));
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(heard(&mut stream, 5).await, "alive");

    if paused {
        world.pause(machine);
        sleep(SECOND).await;
    }
    stop(&world, machine);
    sleep(SECOND).await;
    assert_eq!(haunted.load(Ordering::SeqCst), 1, "dropped once, and its task never ran");
    world.start(machine);
    let expected = ["file", "kept"].map(|name| (format!("/data/{name}"), b"alive".to_vec()));
    assert_eq!(work(&world, machine, look).await, expected);
    // A power loss afterwards brings nothing to light that it made durable.
    world.power_loss(machine);
    world.start(machine);
    assert_eq!(work(&world, machine, look).await, expected);
    // The witness heard nothing but the end.
    let mut rest = Vec::new();
    let _ = rt::time::timeout(SECOND, stream.read_to_end(&mut rest)).await;
    assert_eq!(rest, b"");
    let visited = rt::time::timeout(SECOND, listener.accept()).await;
    assert!(visited.is_err(), "a dead process connected");
}

#[test]
fn after_a_crash() {
    simulate(|world| haunt(world, false, |world, machine| assert!(world.crash(machine))));
}

#[test]
fn after_a_power_loss() {
    simulate(|world| haunt(world, false, |world, machine| assert!(world.power_loss(machine))));
}

fn crash_and_start(world: &World, machine: MachineId) {
    assert!(world.crash(machine));
    world.start(machine);
}

#[test]
fn after_a_crash_and_a_restart_at_once() {
    simulate(|world| haunt(world, false, crash_and_start));
}

#[test]
fn after_a_death_in_a_pause() {
    simulate(|world| haunt(world, true, |world, machine| assert!(world.crash(machine))));
}

#[test]
fn after_a_death_in_a_pause_and_a_restart_at_once() {
    simulate(|world| haunt(world, true, crash_and_start));
}

#[test]
fn work_under_way_at_the_crash_is_not_done() {
    let options =
        rt::sim::Options { disk_delay_min: 10 * MS, disk_delay_max: 10 * MS, ..rt::sim::Options::default() };
    crate::stage::run(3, options, |world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        drop(world.spawn_on(
            machine,
            rt::task::blocking(|| disk::open(Path::new("/data/file")).unwrap().write_at(0, b"late")),
        ));
        sleep(5 * MS).await;
        world.crash(machine);
        world.start(machine);
        sleep(SECOND).await;
        let expected = ["file", "kept"].map(|name| (format!("/data/{name}"), b"alive".to_vec()));
        assert_eq!(work(&world, machine, look).await, expected);
    });
}

#[test]
fn a_handle_of_a_former_life_is_dead() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        work(&world, machine, prepare).await;
        let old = work(&world, machine, || disk::open(Path::new("/data/file"))).await;
        world.crash(machine);
        world.start(machine);
        let failures = on(&world, machine, async move {
            [old.write_at(0, b"x").is_err(), old.sync().is_err(), old.read_at(0, &mut [0; 1]).is_err()]
        });
        assert_eq!(failures.await, [true; 3]);
    });
}
