//! What the peer of a dead machine notices: a reset from a dead process, nothing from a dead machine
//! until it is back.

use crate::stage::{MS, Pair, SECOND, connect, idle, listen, pair, pass, read_failure, silent, simulate};
use rt::net::TcpStream;
use rt::time::{sleep, timeout};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

#[test]
fn a_crash_resets_the_peer() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let mut second = connect(&world, pair.other, &pair.listener).await;
        assert!(world.crash(pair.one));
        assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::ConnectionReset);
        // Never accepted, and reset all the same.
        assert_eq!(read_failure(&mut second).await, ErrorKind::ConnectionReset);
        // It is said once; after that the connection is just over.
        let written = pair.at_other.write_all(b"x").await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
        // The machine is up and says that nobody listens.
        let again = world.spawn_on(pair.other, async { TcpStream::connect("10.0.0.1:7000").await });
        let refused = again.await.unwrap().err().expect("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn bytes_sent_before_a_crash_arrive_before_the_reset() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        pair.at_one.write_all(b"testament").await.unwrap();
        world.crash(pair.one);
        assert_eq!(crate::stage::heard(&mut pair.at_other, 9).await, "testament");
        assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_crash_frees_a_blocked_writer() {
    simulate(|world| async move {
        let Pair { one, other, at_one: _held, mut at_other, .. } = pair(&world).await;
        let writing = world.spawn_on(other, async move { at_other.write_all(&vec![1; 4 << 20]).await });
        sleep(SECOND).await;
        world.crash(one);
        let written = timeout(SECOND, writing).await.expect("it writes to the dead for ever").unwrap();
        assert_eq!(written.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_hasty_writer_to_a_closed_end_learns_of_it_in_time() {
    simulate(|world| async move {
        let Pair { at_one, mut at_other, .. } = pair(&world).await;
        drop(at_one);
        let mut writes = 0;
        let failure = loop {
            match at_other.write_all(b"x").await {
                Ok(()) => writes += 1,
                Err(error) => break error,
            }
            // Far quicker than a byte and its answer travel.
            sleep(Duration::from_micros(10)).await;
        };
        assert_eq!(failure.kind(), ErrorKind::BrokenPipe);
        assert!(writes < 1000, "{writes} writes before the reset, which takes 4 ms at most");
    });
}

#[test]
fn a_power_loss_is_not_noticed_until_the_machine_is_back() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        assert!(world.power_loss(pair.one));
        assert!(silent(&mut pair.at_other, 60 * SECOND).await);
        pair.at_other.write_all(b"are you there?").await.unwrap();
        assert!(silent(&mut pair.at_other, 50 * SECOND).await);
        world.start(pair.one);
        assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_machine_that_is_back_resets_who_speaks_to_it() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        world.power_loss(pair.one);
        sleep(SECOND).await;
        world.start(pair.one);
        // It remembers no connection and says nothing by itself.
        assert!(silent(&mut pair.at_other, 60 * SECOND).await);
        pair.at_other.write_all(b"hello").await.unwrap();
        assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_machine_without_power_frees_a_blocked_writer_when_it_is_back() {
    simulate(|world| async move {
        let Pair { one, other, at_one: _held, mut at_other, .. } = pair(&world).await;
        let mut writing = world.spawn_on(other, async move { at_other.write_all(&vec![1; 4 << 20]).await });
        sleep(SECOND).await;
        world.power_loss(one);
        assert!(timeout(50 * SECOND, &mut writing).await.is_err());
        world.start(one);
        let written = timeout(SECOND, writing).await.expect("it writes to the dead for ever").unwrap();
        assert_eq!(written.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_connect_to_a_machine_without_power_waits() {
    simulate(|world| async move {
        let (one, other) = (idle(&world, 1), idle(&world, 2));
        world.power_loss(one);
        let mut dialing = world.spawn_on(other, async { TcpStream::connect("10.0.0.1:7000").await });
        assert!(timeout(10 * SECOND, &mut dialing).await.is_err());
        world.start(one);
        let _listener = listen(&world, one, 7000).await;
        timeout(60 * SECOND, dialing).await.expect("it never connects").unwrap().unwrap();
    });
}

#[test]
fn a_closed_connection_of_a_machine_without_power_is_silent_too() {
    simulate(|world| async move {
        let Pair { one, other, at_one, mut at_other, .. } = pair(&world).await;
        world.cut(one, other);
        drop(at_one);
        world.power_loss(one);
        world.heal(one, other);
        // The end of stream lay in the dead machine's memory.
        assert!(silent(&mut at_other, 30 * SECOND).await);
        at_other.write_all(b"x").await.unwrap();
        assert!(silent(&mut at_other, 30 * SECOND).await);
        world.start(one);
        assert_eq!(read_failure(&mut at_other).await, ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_lost_in_a_cut_comes_after_the_heal() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        world.cut(pair.one, pair.other);
        world.crash(pair.one);
        assert!(silent(&mut pair.at_other, 10 * SECOND).await);
        // This arrives; its answer does not.
        pair.at_other.write_all(b"x").await.unwrap();
        assert!(silent(&mut pair.at_other, 10 * SECOND).await);
        world.heal(pair.one, pair.other);
        assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::ConnectionReset);
    });
}

#[test]
fn bytes_held_for_a_dead_process_are_answered_with_a_reset() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        world.cut(pair.other, pair.one);
        pair.at_other.write_all(b"x").await.unwrap();
        sleep(SECOND).await;
        world.cut(pair.one, pair.other);
        world.crash(pair.one);
        world.heal(pair.one, pair.other);
        world.heal(pair.other, pair.one);
        assert_eq!(read_failure(&mut pair.at_other).await, ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_restarted_machine_takes_new_connections() {
    simulate(|world| async move {
        for power in [false, true] {
            let world = world.clone();
            let number = if power { 3 } else { 5 };
            let (one, other) = (idle(&world, number), idle(&world, number + 1));
            for _ in 0..3 {
                let listener = listen(&world, one, 7000).await;
                let mut at_other = connect(&world, other, &listener).await;
                let (mut at_one, _) = listener.accept().await.unwrap();
                pass(&mut at_one, &mut at_other, "hello").await;
                if power {
                    world.power_loss(one)
                } else {
                    world.crash(one)
                };
                sleep(20 * MS).await;
                world.start(one);
                // The dead listener goes when the next one holds its port already.
                let next = listen(&world, one, 7000).await;
                drop(listener);
                let mut at_other = connect(&world, other, &next).await;
                let (mut at_one, _) = next.accept().await.unwrap();
                pass(&mut at_one, &mut at_other, "hello again").await;
            }
        }
    });
}
