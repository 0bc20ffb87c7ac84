//! The life of machines: start, crash, power loss, pause.

use crate::stage::{MS, SECOND, connect, idle, listen, on, pass, silent, simulate};
use rt::net::TcpListener;
use rt::sim::World;
use rt::sim::machine::MachineId;
use rt::time::{Instant, sleep, timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::AsyncWriteExt;

/// A machine that counts its starts and, while it runs, its turns of 10 ms.
fn counting(world: &World) -> (MachineId, Arc<AtomicU32>, Arc<AtomicU32>) {
    let (starts, turns) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counters = (starts.clone(), turns.clone());
    let machine = world.add_machine("counting", "10.0.0.9".parse().unwrap(), move || {
        let (starts, turns) = counters.clone();
        async move {
            starts.fetch_add(1, Ordering::SeqCst);
            loop {
                sleep(10 * MS).await;
                turns.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (machine, starts, turns)
}

#[test]
fn a_machine_runs_until_it_is_stopped_and_again_when_started() {
    simulate(|world| async move {
        let (machine, starts, turns) = counting(&world);
        sleep(SECOND).await;
        assert!(world.is_running(machine));
        assert_eq!(starts.load(Ordering::SeqCst), 1);
        for power in [false, true] {
            assert!(if power { world.power_loss(machine) } else { world.crash(machine) });
            assert!(!world.is_running(machine));
            let turns_at_death = turns.load(Ordering::SeqCst);
            assert!(turns_at_death >= 90);
            sleep(SECOND).await;
            assert_eq!(turns.load(Ordering::SeqCst), turns_at_death);
            world.start(machine);
            assert!(world.is_running(machine));
            sleep(SECOND).await;
            assert!(turns.load(Ordering::SeqCst) >= turns_at_death + 90);
        }
        assert_eq!(starts.load(Ordering::SeqCst), 3);
        assert_eq!(world.machine_names(), ["counting"]);
    });
}

#[test]
fn what_is_so_already_changes_nothing() {
    simulate(|world| async move {
        let (machine, starts, turns) = counting(&world);
        sleep(15 * MS).await;
        world.start(machine);
        world.resume(machine);
        sleep(15 * MS).await;
        assert_eq!(starts.load(Ordering::SeqCst), 1);
        assert!(world.pause(machine));
        assert!(!world.pause(machine));
        assert!(world.crash(machine), "a paused process can be killed");
        assert!(!world.crash(machine) && !world.power_loss(machine) && !world.pause(machine));
        world.resume(machine);
        let at_death = turns.load(Ordering::SeqCst);
        sleep(SECOND).await;
        assert_eq!(turns.load(Ordering::SeqCst), at_death);
        // It was paused when it died; the next life is not.
        world.start(machine);
        sleep(SECOND).await;
        assert!(turns.load(Ordering::SeqCst) >= at_death + 90);
    });
}

#[test]
fn a_task_from_outside_dies_with_its_machine() {
    simulate(|world| async move {
        let machine = idle(&world, 1);
        let task = world.spawn_on(machine, std::future::pending::<()>());
        sleep(MS).await;
        world.crash(machine);
        assert!(timeout(SECOND, task).await.expect("it waits for the dead").is_err());
        let on_dead = world.spawn_on(machine, async { 1 });
        assert!(timeout(SECOND, on_dead).await.expect("it waits for the dead").is_err());
    });
}

#[test]
fn a_pause_stops_tasks_and_keeps_sockets() {
    simulate(|world| async move {
        let (machine, starts, turns) = counting(&world);
        let other = idle(&world, 1);
        let listener = listen(&world, machine, 7000).await;
        let mut at_other = connect(&world, other, &listener).await;
        // Answers each byte with its successor.
        drop(world.spawn_on(machine, async move {
            use tokio::io::AsyncReadExt;
            let (mut stream, _) = listener.accept().await.unwrap();
            loop {
                let byte = stream.read_u8().await.unwrap();
                stream.write_u8(byte + 1).await.unwrap();
            }
        }));
        at_other.write_all(b"a").await.unwrap();
        assert_eq!(crate::stage::heard(&mut at_other, 1).await, "b");

        assert!(world.pause(machine));
        assert!(world.is_running(machine));
        let before = turns.load(Ordering::SeqCst);
        at_other.write_all(b"c").await.unwrap();
        assert!(silent(&mut at_other, 30 * SECOND).await);
        assert_eq!(turns.load(Ordering::SeqCst), before);
        // Its kernel takes connections all the while.
        let dialed = on(&world, other, async { rt::net::TcpStream::connect("10.0.0.9:7000").await });
        assert!(timeout(SECOND, dialed).await.expect("no answer from its kernel").is_ok());

        world.resume(machine);
        assert_eq!(crate::stage::heard(&mut at_other, 1).await, "d");
        sleep(SECOND).await;
        let after = turns.load(Ordering::SeqCst);
        assert!(after >= before + 90);
        assert!(after < before + 200, "a pause of 30 s was made up for: {} turns", after - before);
        assert_eq!(starts.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_machine_binds_its_port_in_every_life() {
    simulate(|world| async move {
        let machine = world.add_machine("server", "10.0.0.1".parse().unwrap(), || async {
            let listener = TcpListener::bind("0.0.0.0:7000").await.expect("the port of the last life");
            let mut held = Vec::new();
            loop {
                held.push(listener.accept().await.unwrap());
            }
        });
        let other = idle(&world, 2);
        for round in 0..10 {
            let dialed =
                on(&world, other, async { rt::net::TcpStream::connect("10.0.0.1:7000").await }).await;
            assert!(dialed.is_ok(), "life {round}: {:?}", dialed.err());
            if round % 2 == 0 {
                world.crash(machine)
            } else {
                world.power_loss(machine)
            };
            // Not a moment between its lives: the old one's destructors run in the new one's time.
            world.start(machine);
            sleep(MS).await;
        }
    });
}

#[test]
fn machines_have_names_and_loopback() {
    simulate(|world| async move {
        let (one, other) = (idle(&world, 1), idle(&world, 2));
        let listener = listen(&world, one, 7000).await;
        assert_eq!(listener.local_addr().unwrap(), "10.0.0.1:7000".parse().unwrap());
        for address in ["10.0.0.1:7000", "machine-1:7000", "localhost:7000", "127.0.0.1:7000"] {
            let dialed = on(&world, one, async move { rt::net::TcpStream::connect(address).await });
            let mut dialed = dialed.await.unwrap();
            let (mut accepted, _) = listener.accept().await.unwrap();
            pass(&mut dialed, &mut accepted, address).await;
        }
        let strange = on(&world, other, async {
            let elsewhere = TcpListener::bind("10.0.0.1:7001").await.err().unwrap().kind();
            let nowhere = rt::net::TcpStream::connect("10.0.0.77:1").await.err().unwrap().kind();
            (elsewhere, nowhere)
        });
        let kinds = strange.await;
        assert_eq!(kinds, (std::io::ErrorKind::AddrNotAvailable, std::io::ErrorKind::NotFound));
        // Loopback is a machine's own.
        let own = on(&world, other, async { rt::net::TcpStream::connect("127.0.0.1:7000").await }).await;
        assert_eq!(own.err().unwrap().kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn latencies_stay_in_their_range() {
    let options = rt::sim::Options {
        latency: rt::sim::net::Latency::Uniform { min: 5 * MS, max: 8 * MS },
        ..Default::default()
    };
    crate::stage::run(1, options, |world| async move {
        let mut pair = crate::stage::pair(&world).await;
        for _ in 0..200 {
            let begin = Instant::now();
            pass(&mut pair.at_one, &mut pair.at_other, "x").await;
            let took = begin.elapsed();
            assert!((5 * MS..9 * MS).contains(&took), "{took:?}");
        }
    });
}
