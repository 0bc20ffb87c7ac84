//! Connections of which one end knows more than the other: reset on the way, forgotten by a middle box,
//! given up by one kernel, or lost with a machine's power.

use crate::stage::{MS, Pair, SECOND, connect, heard, idle, listen, on, pair, pass, read_failure, run};
use crate::stage::{silent, simulate};
use rt::net::TcpStream;
use rt::sim::Options;
use rt::sim::net::{Connects, Latency};
use rt::time::{Instant, sleep, timeout};
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn reset_connections_break_at_both_ends_and_new_ones_work() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let third = idle(&world, 3);
        let mut second = connect(&world, pair.other, &pair.listener).await;
        let (_accepted, _) = pair.listener.accept().await.unwrap();
        let mut elsewhere = connect(&world, third, &pair.listener).await;
        let (mut from_third, _) = pair.listener.accept().await.unwrap();
        let reset = world.reset_connections(&[(pair.one, pair.other)]);
        assert_eq!(world.bites(reset), 2);
        for stream in [&mut pair.at_one, &mut pair.at_other, &mut second] {
            assert_eq!(read_failure(stream).await, ErrorKind::ConnectionReset);
            // Said once, as by a kernel.
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
            assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
        pass(&mut elsewhere, &mut from_third, "untouched").await;
        let mut again = connect(&world, pair.other, &pair.listener).await;
        let (mut accepted, _) = pair.listener.accept().await.unwrap();
        pass(&mut again, &mut accepted, "new").await;
        assert_eq!(world.mend(reset), 2);
    });
}

#[test]
fn a_forgotten_connection_is_a_black_hole_and_new_ones_work() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        pass(&mut pair.at_one, &mut pair.at_other, "before").await;
        let forgotten = world.forget_connections(&[(pair.other, pair.one)]);
        assert_eq!(world.bites(forgotten), 0);
        let begin = Instant::now();
        pair.at_other.write_all(b"is anyone there?").await.unwrap();
        assert_eq!(world.bites(forgotten), 1);
        // Nobody is told: this end learns it from its own timer, the other one never.
        assert!(silent(&mut pair.at_one, 50 * SECOND).await);
        assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::TimedOut);
        assert!((60 * SECOND..61 * SECOND).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        assert!(silent(&mut pair.at_one, 600 * SECOND).await);
        let mut again = connect(&world, pair.other, &pair.listener).await;
        let (mut accepted, _) = pair.listener.accept().await.unwrap();
        pass(&mut again, &mut accepted, "new").await;
        // A middle box does not remember again.
        world.mend(forgotten);
        pair.at_one.write_all(b"hello?").await.unwrap();
        assert_eq!(read_failure(&mut pair.at_one).await, ErrorKind::TimedOut);
        assert_eq!(world.bites(forgotten), 2);
    });
}

#[test]
fn the_peer_of_a_dead_process_behind_a_forgetful_box_is_not_told() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let forgotten = world.forget_connections(&[(pair.other, pair.one)]);
        world.crash(pair.one);
        assert!(silent(&mut pair.at_other, 600 * SECOND).await, "its reset got through");
        assert_eq!(world.mend(forgotten), 1);
    });
}

#[test]
fn a_writer_gives_up_when_a_cut_outlasts_its_patience() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let cut = world.cut_links(&[(pair.one, pair.other)]);
        pair.at_one.write_all(b"lost").await.unwrap();
        sleep(59 * SECOND).await;
        pair.at_one.write_all(b", too").await.expect("it still hopes");
        sleep(2 * SECOND).await;
        let failed = pair.at_one.write_all(b"x").await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::TimedOut);
        assert_eq!(world.mend(cut), 2);
        // What it sent is lost with it; the peer learns it when it speaks.
        assert!(silent(&mut pair.at_other, 60 * SECOND).await);
        pair.at_other.write_all(b"hello?").await.unwrap();
        assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::ConnectionReset);
    });
}

#[test]
fn how_long_a_writer_hopes_is_an_option() {
    let options = Options { retransmission_limit: 3 * SECOND, ..Options::default() };
    run(1, options, |world| async move {
        let mut pair = pair(&world).await;
        world.cut(pair.one, pair.other);
        let begin = Instant::now();
        pair.at_one.write_all(b"lost").await.unwrap();
        assert_eq!(read_failure(&mut pair.at_one).await, ErrorKind::TimedOut);
        assert!((3 * SECOND..4 * SECOND).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    });
}

#[test]
fn a_cut_that_ends_in_time_ends_no_connection() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        for _ in 0..3 {
            let cut = world.cut_links(&[(pair.one, pair.other), (pair.other, pair.one)]);
            pair.at_one.write_all(b"x").await.unwrap();
            sleep(50 * SECOND).await;
            assert_eq!(world.mend(cut), 1);
            assert_eq!(heard(&mut pair.at_other, 1).await, "x");
        }
        assert!(silent(&mut pair.at_one, 600 * SECOND).await, "the patience of an ended cut ran out");
    });
}

#[test]
fn an_idle_connection_outlives_any_cut() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let cut = world.cut_links(&[(pair.one, pair.other), (pair.other, pair.one)]);
        assert!(silent(&mut pair.at_one, 600 * SECOND).await);
        assert_eq!(world.mend(cut), 0);
        pass(&mut pair.at_one, &mut pair.at_other, "as if nothing had been").await;
    });
}

#[test]
fn bytes_that_arrive_but_are_never_acknowledged_end_the_connection_too() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let cut = world.cut_links(&[(pair.one, pair.other)]);
        pass(&mut pair.at_other, &mut pair.at_one, "arrives").await;
        assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::TimedOut);
        world.mend(cut);
        // The same if the cut began when they were under way.
        let mut again = connect(&world, pair.other, &pair.listener).await;
        let (mut accepted, _) = pair.listener.accept().await.unwrap();
        again.write_all(b"under way").await.unwrap();
        world.cut(pair.one, pair.other);
        assert_eq!(heard(&mut accepted, 9).await, "under way");
        assert_eq!(read_failure(&mut again).await, ErrorKind::TimedOut);
    });
}

#[test]
fn an_acknowledgement_that_comes_in_time_is_enough() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let cut = world.cut_links(&[(pair.one, pair.other)]);
        pass(&mut pair.at_other, &mut pair.at_one, "arrives").await;
        sleep(50 * SECOND).await;
        world.mend(cut);
        assert!(silent(&mut pair.at_other, 600 * SECOND).await, "it gave up an acknowledged byte");
        pass(&mut pair.at_other, &mut pair.at_one, "still").await;
    });
}

#[test]
fn bytes_under_way_to_a_dead_process_are_answered_when_a_cut_lets_the_answer_through() {
    let latency = Latency::Fixed(100 * MS);
    for seed in 0..8 {
        run(seed, Options { latency, ..Options::default() }, |world| async move {
            let mut pair = pair(&world).await;
            pair.at_other.write_all(b"under way").await.unwrap();
            sleep(50 * MS).await;
            let cut = world.cut_links(&[(pair.one, pair.other)]);
            world.crash(pair.one);
            assert!(silent(&mut pair.at_other, 30 * SECOND).await);
            assert_eq!(world.mend(cut), 2, "the reset of a dead process, and that of what came after");
            assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::ConnectionReset);
        });
    }
}

#[test]
fn a_writer_that_waits_for_room_gives_up_as_well() {
    simulate(|world| async move {
        let Pair { one, other, at_one: _held, mut at_other, .. } = pair(&world).await;
        let mut writing = world.spawn_on(other, async move { at_other.write_all(&vec![1; 4 << 20]).await });
        // A slow reader is no reason: its kernel answers.
        assert!(timeout(600 * SECOND, &mut writing).await.is_err());
        let begin = Instant::now();
        world.cut(one, other);
        let written = timeout(100 * SECOND, writing).await.expect("it waits for ever").unwrap();
        assert_eq!(written.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!((60 * SECOND..61 * SECOND).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    });
}

#[test]
fn a_machine_without_power_is_given_up() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        world.power_loss(pair.one);
        pair.at_other.write_all(b"are you there?").await.unwrap();
        assert!(silent(&mut pair.at_other, 59 * SECOND).await);
        assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::TimedOut);
    });
}

#[test]
fn bytes_under_way_to_a_machine_that_loses_power_are_reset_when_it_is_back() {
    let latency = Latency::Fixed(100 * MS);
    for seed in 0..8 {
        run(seed, Options { latency, ..Options::default() }, |world| async move {
            let mut pair = pair(&world).await;
            pair.at_other.write_all(b"under way").await.unwrap();
            sleep(50 * MS).await;
            world.power_loss(pair.one);
            assert!(silent(&mut pair.at_other, 30 * SECOND).await);
            world.start(pair.one);
            // It is sent again, to a kernel that knows no such connection.
            assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::ConnectionReset);
        });
    }
}

#[test]
fn bytes_that_had_arrived_are_lost_in_silence() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        pair.at_other.write_all(b"acknowledged").await.unwrap();
        sleep(SECOND).await;
        world.power_loss(pair.one);
        sleep(SECOND).await;
        world.start(pair.one);
        assert!(silent(&mut pair.at_other, 600 * SECOND).await, "nothing was left to send again");
    });
}

#[test]
fn a_connect_gives_up_after_two_minutes() {
    simulate(|world| async move {
        let (one, other) = (idle(&world, 1), idle(&world, 2));
        let _listener = listen(&world, one, 7000).await;
        let cut = world.cut_links(&[(one, other)]);
        let begin = Instant::now();
        let failed = on(&world, other, TcpStream::connect("10.0.0.1:7000")).await.err().unwrap();
        assert_eq!(failed.kind(), ErrorKind::TimedOut);
        assert!((127 * SECOND..128 * SECOND).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        // One request and six retries.
        assert_eq!(world.mend(cut), 7);
    });
}

#[test]
fn blocked_connects_hang_or_are_refused_or_reset() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let (one, other) = (pair.one, pair.other);
        let dial = || TcpStream::connect("10.0.0.1:7000");

        let hang = world.block_connects(&[(other, one)], Connects::Hang);
        let mut dialing = world.spawn_on(other, dial());
        assert!(timeout(10 * SECOND, &mut dialing).await.is_err());
        assert_eq!(world.mend(hang), 4, "sent at 0, 1, 3 and 7 seconds");
        dialing.await.unwrap().expect("free again");
        pair.listener.accept().await.unwrap();

        let refuse = world.block_connects(&[(other, one)], Connects::Refuse);
        let refused = on(&world, other, dial()).await.err().expect("refused");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(world.mend(refuse), 1);

        let reset = world.block_connects(&[(other, one)], Connects::Reset);
        let mut broken = on(&world, other, dial()).await.expect("open for a moment");
        assert_eq!(read_failure(&mut broken).await, ErrorKind::ConnectionReset);
        assert_eq!(world.mend(reset), 1);

        // Who listens saw nothing of either, and what was open stayed so.
        assert!(timeout(SECOND, pair.listener.accept()).await.is_err());
        pass(&mut pair.at_one, &mut pair.at_other, "open all the time").await;
        on(&world, other, dial()).await.expect("free again");
    });
}

#[test]
fn only_the_way_that_is_blocked_is() {
    simulate(|world| async move {
        let (one, other) = (idle(&world, 1), idle(&world, 2));
        let (at_one, at_other) = (listen(&world, one, 7000).await, listen(&world, other, 7000).await);
        let refuse = world.block_connects(&[(other, one)], Connects::Refuse);
        let mut dialed = connect(&world, one, &at_other).await;
        let (mut accepted, _) = at_other.accept().await.unwrap();
        pass(&mut dialed, &mut accepted, "this way").await;
        assert_eq!(world.mend(refuse), 0);
        connect(&world, other, &at_one).await;
    });
}
