//! One seed, one history: in one process again, on two threads at once, with and without its events kept.

use crate::stage::{MS, idle, run, work};
use reports::model::{SeedResult, SeedVerdict};
use rt::disk;
use rt::net::{TcpListener, TcpStream};
use rt::sim::{Options, World};
use rt::time::{sleep, timeout};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use storm::determinism::fingerprint;
use storm::run::{Keep, run as run_plan};
use storm::scenario::Scenario;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A little of everything: connections, disks, randomness, hash maps, timers, faults.
async fn busy(world: Arc<World>) -> (u64, u64, Vec<String>) {
    let server = world.add_machine("server", "10.0.0.1".parse().unwrap(), || async {
        let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            rt::task::spawn(async move {
                let mut bytes = [0; 64];
                while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                    rt::task::blocking(move || {
                        disk::create_dir_all(Path::new("/data"))?;
                        disk::open(Path::new("/data/log"))?.write_at(u64::from(bytes[0]), &bytes[..n])
                    })
                    .await
                    .unwrap();
                    let _ = stream.write_all(&bytes[..n]).await;
                }
            });
        }
    });
    let clients: Vec<_> = (2..6)
        .map(|number| {
            let machine = idle(&world, number);
            world.spawn_on(machine, async move {
                // Its order of iteration is seeded once a thread.
                let mut sums: HashMap<u64, u64> = HashMap::new();
                for _ in 0..20 {
                    let number = rt::random::u64();
                    *sums.entry(number % 7).or_default() += 1;
                    let exchange = async {
                        let mut stream = TcpStream::connect("10.0.0.1:7000").await?;
                        stream.write_all(&number.to_be_bytes()).await?;
                        stream.read_u64().await
                    };
                    // Whoever was spoken to when the power went hears nothing more.
                    let _ = timeout(50 * MS, exchange).await;
                    sleep(MS * u32::try_from(sums.keys().next().copied().unwrap_or(0)).unwrap()).await;
                }
            })
        })
        .collect();
    sleep(20 * MS).await;
    world.power_loss(server);
    world.start(server);
    for client in clients {
        client.await.unwrap();
    }
    work(&world, server, || Ok(())).await;
    let trace = world.trace();
    let events = trace.events().iter().map(|event| format!("{event} {}", trace.task_origin(event.task)));
    (trace.hash(), trace.count(), events.collect())
}

fn hash(seed: u64) -> u64 {
    run(seed, Options::default(), busy).0
}

#[test]
fn a_seed_has_one_history_in_one_process() {
    for seed in 0..10 {
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
    }
}

#[test]
fn a_seed_has_one_history_on_threads_at_once() {
    let hashes = || (20..32).map(hash).collect::<Vec<_>>();
    let (one, other) = std::thread::scope(|scope| {
        let threads = (scope.spawn(hashes), scope.spawn(hashes));
        (threads.0.join().unwrap(), threads.1.join().unwrap())
    });
    assert_eq!(one, other);
}

#[test]
fn seeds_differ() {
    let hashes: BTreeSet<u64> = (0..30).map(hash).collect();
    assert_eq!(hashes.len(), 30);
}

#[test]
fn keeping_the_events_changes_nothing() {
    for seed in 0..5 {
        let (hash, count, events) = run(seed, Options::default(), busy);
        assert!(events.is_empty());
        let options = Options { keep_events: true, ..Options::default() };
        let (kept_hash, kept_count, kept) = run(seed, options.clone(), busy);
        assert_eq!((hash, count), (kept_hash, kept_count), "seed {seed}");
        assert_eq!(kept.len() as u64, kept_count);
        // Event by event, tasks' origins included.
        assert_eq!(kept, run(seed, options, busy).2);
        for kind in ["connect", "send", "recv", "disk_write", "power_loss", "start"] {
            assert!(kept.iter().any(|line| line.contains(&format!(" {kind} "))), "no event of kind {kind}");
        }
    }
}

#[test]
fn a_draw_for_one_purpose_shifts_no_other() {
    let draws = |more: bool| {
        run(11, Options::default(), move |world| async move {
            let mut pair = crate::stage::pair(&world).await;
            if more {
                crate::stage::on(&world, pair.one, async { rt::random::u64() }).await;
            }
            let mut latencies = Vec::new();
            for _ in 0..20 {
                let begin = rt::time::Instant::now();
                crate::stage::pass(&mut pair.at_one, &mut pair.at_other, "x").await;
                latencies.push(begin.elapsed().as_micros());
            }
            latencies
        })
    };
    // To the microsecond: the scheduler's own 50 to 100 ns a step come from another stream.
    let (few, many) = (draws(false), draws(true));
    assert!(few.iter().zip(&many).all(|(few, many)| few.abs_diff(*many) <= 1), "{few:?} {many:?}");
}

/// Runs seeds of the storm.
fn storm(seeds: std::ops::Range<u64>) -> Vec<SeedResult> {
    let scenario = Scenario::named("storm").unwrap();
    seeds.map(|seed| run_plan(scenario.plan(seed), Keep::default(), String::new()).unwrap().result).collect()
}

#[test]
fn our_cluster_has_one_history_a_seed() {
    let (one, other) = std::thread::scope(|scope| {
        let threads = (scope.spawn(|| storm(0..6)), scope.spawn(|| storm(0..6)));
        (threads.0.join().unwrap(), threads.1.join().unwrap())
    });
    let fingerprints = |results: &[SeedResult]| results.iter().map(fingerprint).collect::<Vec<_>>();
    assert_eq!(fingerprints(&one), fingerprints(&other));
    for result in &one {
        assert_eq!(result.verdict, SeedVerdict::Held, "{:?}", result.violations.first());
    }
    let hashes: BTreeSet<&String> = one.iter().map(|result| &result.event_hash).collect();
    assert_eq!(hashes.len(), one.len());
}
