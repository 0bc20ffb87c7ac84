//! Links that are slow, shaky, lossy or narrow: what a node sees of it, and that it ends.

use crate::stage::{MS, Pair, SECOND, heard, idle, listen, on, pair, pass, run, simulate};
use rt::net::TcpStream;
use rt::sim::net::{Latency, Link};
use rt::sim::{Options, World};
use rt::time::{Instant, sleep, timeout};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a byte takes from one end to the other.
async fn trip(from: &mut TcpStream, to: &mut TcpStream) -> Duration {
    let begin = Instant::now();
    pass(from, to, "x").await;
    begin.elapsed()
}

/// How long each of `count` bytes takes from the first machine to the second, one after the other.
async fn trips(pair: &mut Pair, count: usize) -> Vec<Duration> {
    let mut trips = Vec::new();
    for _ in 0..count {
        trips.push(trip(&mut pair.at_one, &mut pair.at_other).await);
    }
    trips
}

/// Degrades the way from the first machine to the second.
fn degrade(world: &World, pair: &Pair, link: Link) -> rt::sim::injection::Injection {
    world.degrade(&[(pair.one, pair.other)], link)
}

/// The longest that the world's own latency takes, and a little more.
const CALM: Duration = Duration::from_micros(2010);

#[test]
fn a_slow_link_is_slow_one_way_and_until_it_is_mended() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let slow = degrade(&world, &pair, Link { latency: Some(Latency::Fixed(80 * MS)), ..Link::default() });
        for took in trips(&mut pair, 20).await {
            assert!((80 * MS..81 * MS).contains(&took), "{took:?}");
        }
        // The other way is as it was, and so is the way to anyone else.
        assert!(trip(&mut pair.at_other, &mut pair.at_one).await < CALM);
        assert_eq!(world.bites(slow), 20);
        assert_eq!(world.mend(slow), 20);
        assert!(trips(&mut pair, 20).await.iter().all(|took| *took < CALM));
        assert_eq!(world.bites(slow), 20);
    });
}

#[test]
fn latencies_of_links_have_their_own_shapes() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let tail = Latency::Exponential { floor: 5 * MS, mean: 20 * MS, cap: 100 * MS };
        let two = Latency::TwoMode { usual: (MS, 2 * MS), rare: (70 * MS, 90 * MS), rare_chance: 0.2 };
        let exponential = degrade(&world, &pair, Link { latency: Some(tail), ..Link::default() });
        let took = trips(&mut pair, 200).await;
        assert!(took.iter().all(|took| (5 * MS..=101 * MS).contains(took)));
        assert!(took.iter().any(|took| *took > 60 * MS) && took.iter().any(|took| *took < 10 * MS));
        // The last one counts.
        let rarely = degrade(&world, &pair, Link { latency: Some(two), ..Link::default() });
        let took = trips(&mut pair, 200).await;
        let rare = took.iter().filter(|took| **took >= 70 * MS).count();
        assert!((10..90).contains(&rare), "{rare} of 200");
        assert!(took.iter().all(|took| *took < 3 * MS || *took >= 70 * MS));
        assert_eq!((world.mend(rarely), world.bites(exponential)), (200, 200));
        assert!(trips(&mut pair, 1).await[0] >= 5 * MS);
        assert_eq!(world.mend(exponential), 201);
    });
}

#[test]
fn a_shaky_link_spreads_latencies_and_keeps_order() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let shaky = degrade(&world, &pair, Link { jitter: 50 * MS, ..Link::default() });
        let took = trips(&mut pair, 100).await;
        assert!(took.iter().all(|took| *took < 50 * MS + CALM));
        assert!(took.iter().any(|took| *took > 40 * MS) && took.iter().any(|took| *took < 10 * MS));
        let text: String = ('a'..='z').collect();
        for letter in text.bytes() {
            pair.at_one.write_all(&[letter]).await.unwrap();
        }
        assert_eq!(heard(&mut pair.at_other, text.len()).await, text);
        assert_eq!(world.mend(shaky), 126);
        assert!(trips(&mut pair, 20).await.iter().all(|took| *took < CALM));
    });
}

#[test]
fn loss_on_a_connection_shows_as_retransmission() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let lossy = degrade(&world, &pair, Link { loss: 0.3, ..Link::default() });
        let took = trips(&mut pair, 300).await;
        // 200 ms, then 400, 800, …: nothing in between.
        let tries: Vec<usize> = took
            .iter()
            .map(|took| {
                let waited = |tries: u32| 200 * MS * (2u32.pow(tries) - 1);
                (0..9).find(|tries| (waited(*tries)..waited(*tries) + CALM).contains(took))
            })
            .map(|tries| tries.expect("a try in between") as usize)
            .collect();
        let lost = tries.iter().filter(|tries| **tries > 0).count();
        assert!((60..120).contains(&lost), "{lost} of 300 were lost");
        assert!(tries.iter().any(|tries| *tries > 1), "some were lost twice");
        assert_eq!(world.mend(lossy) as usize, tries.iter().sum::<usize>());
        assert!(trips(&mut pair, 50).await.iter().all(|took| *took < CALM));
    });
}

#[test]
fn losses_of_overlapping_faults_add_up_and_are_counted_apart() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let lossy = Link { loss: 0.2, ..Link::default() };
        let (one, other) = (degrade(&world, &pair, lossy), degrade(&world, &pair, lossy));
        let late = trips(&mut pair, 300).await.iter().filter(|took| **took > 100 * MS).count();
        assert!((75..145).contains(&late), "{late} of 300, not about 108");
        for injection in [one, other] {
            let bites = world.bites(injection);
            assert!((50..150).contains(&bites), "{bites}");
        }
        world.mend(one);
        let late = trips(&mut pair, 300).await.iter().filter(|took| **took > 100 * MS).count();
        assert!((35..90).contains(&late), "{late} of 300, not about 60");
        world.mend(other);
        assert!(trips(&mut pair, 50).await.iter().all(|took| *took < CALM));
    });
}

#[test]
fn a_link_that_loses_everything_ends_the_connection_at_the_writer() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let dead = degrade(&world, &pair, Link { loss: 1.0, ..Link::default() });
        let begin = Instant::now();
        pair.at_one.write_all(b"x").await.unwrap();
        let read = timeout(100 * SECOND, pair.at_one.read_u8()).await.expect("it waits for ever");
        assert_eq!(read.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!((60 * SECOND..61 * SECOND).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        assert!(world.mend(dead) > 8);
        // The other end knows nothing of it, until it speaks.
        pair.at_other.write_all(b"still there?").await.unwrap();
        assert_eq!(crate::stage::read_failure(&mut pair.at_other).await, ErrorKind::ConnectionReset);
    });
}

#[test]
fn what_was_lost_is_tried_again_soon_after_the_link_is_mended() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let dead = degrade(&world, &pair, Link { loss: 1.0, ..Link::default() });
        pair.at_one.write_all(b"first ").await.unwrap();
        sleep(MS).await;
        pair.at_one.write_all(b"second").await.unwrap();
        sleep(10 * SECOND).await;
        world.mend(dead);
        let mended = Instant::now();
        assert_eq!(heard(&mut pair.at_other, 12).await, "first second");
        assert!(mended.elapsed() < SECOND, "{:?}", mended.elapsed());
        // The same for what would have got through at last, but late.
        for _ in 0..50 {
            let lossy = degrade(&world, &pair, Link { loss: 0.7, ..Link::default() });
            pair.at_one.write_all(b"late").await.unwrap();
            sleep(50 * MS).await;
            world.mend(lossy);
            let mended = Instant::now();
            assert_eq!(heard(&mut pair.at_other, 4).await, "late");
            assert!(mended.elapsed() < 500 * MS, "{:?}", mended.elapsed());
        }
    });
}

#[test]
fn a_narrow_link_takes_its_time() {
    simulate(|world| async move {
        let Pair { one, other, mut at_one, mut at_other, .. } = pair(&world).await;
        let narrow = Link { bandwidth_bytes_per_s: Some(100_000), ..Link::default() };
        let injection = world.degrade(&[(one, other)], narrow);
        let begin = Instant::now();
        let writing = world.spawn_on(one, async move {
            at_one.write_all(&vec![7; 1_000_000]).await.unwrap();
            at_one
        });
        let mut bytes = vec![0; 1_000_000];
        at_other.read_exact(&mut bytes).await.unwrap();
        let took = begin.elapsed();
        assert!((10 * SECOND..11 * SECOND).contains(&took), "{took:?} for ten seconds' worth");
        assert!(world.mend(injection) > 0);
        let mut at_one = writing.await.unwrap();
        assert!(trip(&mut at_one, &mut at_other).await < CALM);
    });
}

#[test]
fn the_least_bandwidth_counts() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let bandwidth = |bytes| Link { bandwidth_bytes_per_s: Some(bytes), ..Link::default() };
        let wide = degrade(&world, &pair, bandwidth(1_000_000));
        let narrow = degrade(&world, &pair, bandwidth(10_000));
        let text = "x".repeat(10_000);
        let begin = Instant::now();
        pass(&mut pair.at_one, &mut pair.at_other, &text).await;
        assert!(begin.elapsed() >= SECOND);
        assert_eq!((world.mend(narrow), world.bites(wide)), (1, 0));
        let begin = Instant::now();
        pass(&mut pair.at_one, &mut pair.at_other, &text).await;
        assert!((10 * MS..20 * MS).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        assert_eq!(world.mend(wide), 1);
    });
}

#[test]
fn a_full_queue_loses_what_comes_on_top() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let link = |room| Link {
            bandwidth_bytes_per_s: Some(1_000_000),
            queue_bytes: Some(room),
            ..Link::default()
        };
        let mut took = Vec::new();
        for room in [10_000, 1_000_000] {
            let narrow = degrade(&world, &pair, link(room));
            let begin = Instant::now();
            for _ in 0..20 {
                pair.at_one.write_all(&[7; 1000]).await.unwrap();
            }
            heard(&mut pair.at_other, 20_000).await;
            took.push(begin.elapsed());
            world.mend(narrow);
        }
        // With room for all of it, it is just a queue; without, some of it is sent again.
        assert!((200 * MS..300 * MS).contains(&took[0]), "{took:?}");
        assert!((20 * MS..30 * MS).contains(&took[1]), "{took:?}");
    });
}

#[test]
fn lost_connection_requests_are_sent_again() {
    simulate(|world| async move {
        let (one, other) = (idle(&world, 1), idle(&world, 2));
        let listener = listen(&world, one, 7000).await;
        let (mut quick, mut slow) = (0, 0);
        for link in [(one, other), (other, one)] {
            let lossy = world.degrade(&[link], Link { loss: 0.3, ..Link::default() });
            for _ in 0..40 {
                let begin = Instant::now();
                on(&world, other, TcpStream::connect("10.0.0.1:7000")).await.expect("in the end");
                listener.accept().await.unwrap();
                match begin.elapsed() {
                    took if took < 10 * MS => quick += 1,
                    took if took > SECOND => slow += 1,
                    took => panic!("{took:?}"),
                }
            }
            assert!(world.mend(lossy) > 5);
        }
        assert!(quick > 40 && slow > 12, "{quick} quick, {slow} slow");
    });
}

#[test]
fn a_link_by_default_changes_nothing() {
    let run_with = |link: Option<Link>| {
        run(5, Options::default(), move |world| async move {
            let mut pair = pair(&world).await;
            let links = [(pair.one, pair.other), (pair.other, pair.one)];
            let injection = link.map(|link| world.degrade(&links, link));
            let took = trips(&mut pair, 100).await;
            (took, injection.map_or(0, |injection| world.mend(injection)))
        })
    };
    let calm = run_with(None);
    assert_eq!(run_with(Some(Link::default())), calm);
    assert_ne!(run_with(Some(Link { jitter: MS, ..Link::default() })), calm);
}

#[test]
fn a_machine_reaches_itself_whatever_is_done_to_links() {
    simulate(|world| async move {
        let (one, _other) = (idle(&world, 1), idle(&world, 2));
        let listener = listen(&world, one, 7000).await;
        let own = [(one, one)];
        let faults = [
            world.cut_links(&own),
            world.clog(&own),
            world.degrade(&own, Link { loss: 1.0, ..Link::default() }),
        ];
        let mut dialed = on(&world, one, TcpStream::connect("localhost:7000")).await.unwrap();
        let (mut accepted, _) = listener.accept().await.unwrap();
        for _ in 0..20 {
            assert!(trip(&mut dialed, &mut accepted).await < MS / 10, "loopback is short");
        }
        world.reset_connections(&own);
        world.forget_connections(&own);
        pass(&mut accepted, &mut dialed, "still").await;
        assert_eq!(faults.map(|fault| world.mend(fault)), [0; 3]);
    });
}

#[test]
fn reads_and_writes_fall_short_when_the_world_wants_it() {
    let shorts = |chance: f64| {
        let options = Options { short_io_chance: chance, ..Options::default() };
        run(4, options, |world| async move {
            let mut pair = pair(&world).await;
            let sent: Vec<u8> = (0..=255).collect();
            let (mut writes, mut reads) = (0, 0);
            for _ in 0..40 {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let n = pair.at_one.write(rest).await.unwrap();
                    rest = &rest[n..];
                    writes += 1;
                }
                let mut read = Vec::new();
                while read.len() < sent.len() {
                    let mut buffer = [0; 256];
                    let n = pair.at_other.read(&mut buffer).await.unwrap();
                    assert!(n > 0, "an end that nobody sent");
                    read.extend_from_slice(&buffer[..n]);
                    reads += 1;
                }
                assert_eq!(read, sent);
            }
            (writes, reads)
        })
    };
    assert_eq!(shorts(0.0), (40, 40));
    let (writes, reads) = shorts(0.5);
    assert!(writes > 60 && reads > writes, "{writes} writes and {reads} reads of 40");
}
