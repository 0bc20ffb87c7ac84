//! How a simulation itself ends: with its result, or with an error that says what went wrong; and that it
//! leaves nothing behind.

use crate::stage::{MS, SECOND, connect, idle, listen, pair, pass, run, work};
use rt::disk;
use rt::sim::{Options, Simulation, SimulationError, World};
use rt::time::sleep;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;

fn fails<F: Future<Output = ()> + 'static>(main: fn(Arc<World>) -> F) -> SimulationError {
    Simulation::run(1, Options::default(), main).expect_err("it should not end well")
}

#[test]
fn a_panic_is_an_error_with_its_text() {
    let in_main = fails(|_| async { panic!("in main: {}", 1) });
    assert_eq!(in_main, SimulationError::Panicked("in main: 1".into()));
    let on_a_machine = fails(|world| async move {
        // Destructors of what others hold must not turn the panic into an abort.
        let mut pair = pair(&world).await;
        pass(&mut pair.at_one, &mut pair.at_other, "busy").await;
        let open = work(&world, pair.one, || {
            disk::create_dir_all(Path::new("/data"))?;
            disk::open(Path::new("/data/file"))
        });
        let farewell = Farewell(open.await);
        drop(world.spawn_on(pair.one, async move {
            let _held = (farewell, pair.at_one, pair.listener);
            loop {
                sleep(MS).await;
            }
        }));
        let panicking = world.spawn_on(pair.other, async { panic!("on a machine") });
        let _ = panicking.await;
    });
    assert_eq!(on_a_machine, SimulationError::Panicked("on a machine".into()));
}

/// Writes when it is dropped, as databases do.
struct Farewell(disk::File);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.0.write_at(0, b"farewell").and_then(|()| self.0.sync());
        let _ = disk::open(Path::new("/data/farewell"));
    }
}

#[test]
fn waiting_for_ever_is_an_error() {
    let stuck = fails(|world| async move {
        let machine = idle(&world, 1);
        let _ = world.spawn_on(machine, pending::<()>()).await;
    });
    assert!(matches!(&stuck, SimulationError::Panicked(text) if text.contains("block forever")), "{stuck}");
}

#[test]
fn a_simulation_that_hangs_is_given_up() {
    let wall_limit = 50 * MS;
    let options = Options { wall_limit, ..Options::default() };
    // Stands for an endless loop: no simulated time passes, and the thread cannot be stopped.
    let hung = Simulation::run(1, options, |_| async { std::thread::sleep(400 * MS) });
    assert_eq!(hung, Err(SimulationError::Hung(wall_limit)));
}

#[test]
fn tasks_that_go_on_do_not_keep_it_from_ending() {
    for seed in 0..4 {
        let result = run(seed, Options::default(), |world| async move {
            let mut pair = pair(&world).await;
            pass(&mut pair.at_one, &mut pair.at_other, "hello").await;
            let open = work(&world, pair.one, || {
                disk::create_dir_all(Path::new("/data"))?;
                disk::open(Path::new("/data/file"))
            });
            let farewell = Farewell(open.await);
            drop(world.spawn_on(pair.one, async move {
                let _held = (farewell, pair.at_one, pair.listener);
                let group = rt::task::TaskGroup::default();
                group.spawn(pending());
                loop {
                    sleep(MS).await;
                }
            }));
            // One of the supervisor's own.
            drop(rt::task::spawn(async { sleep(3600 * SECOND).await }));
            sleep(SECOND).await;
            "result"
        });
        assert_eq!(result, "result");
    }
}

#[test]
fn nothing_is_left_behind() {
    let witness = Arc::new(());
    let held = witness.clone();
    run(7, Options::default(), move |world| async move {
        let (started, tasked, connected) = (held.clone(), held.clone(), held);
        let own_world = world.clone();
        let machine = world.add_machine("holder", "10.0.0.1".parse().unwrap(), move || {
            // A node that knows its world, as ours do through their observer.
            let held = (started.clone(), own_world.clone());
            async move {
                let _held = held;
                pending::<()>().await;
            }
        });
        let other = idle(&world, 2);
        let listener = listen(&world, machine, 7000).await;
        let stream = connect(&world, other, &listener).await;
        drop(world.spawn_on(machine, async move {
            let _held = (tasked, listener);
            pending::<()>().await;
        }));
        drop(world.spawn_on(other, async move {
            let mut stream = stream;
            let _held = connected;
            let _ = tokio::io::AsyncReadExt::read_u8(&mut stream).await;
            pending::<()>().await;
        }));
        sleep(SECOND).await;
        world.pause(other);
    });
    assert_eq!(Arc::strong_count(&witness), 1, "a simulation's memory outlives it");
}
