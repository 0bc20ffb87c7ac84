//! Cut ways: what is sent into a cut is held and arrives after it heals; nobody connects across one.

use crate::stage::{MS, SECOND, connect, heard, idle, listen, on, pair, pass, silent, simulate};
use bytes::Bytes;
use http::Request;
use rt::http::{Client, ClientOptions, RequestError};
use rt::net::TcpStream;
use rt::sim::World;
use rt::sim::machine::MachineId;
use rt::time::{Instant, sleep, timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_cut_holds_bytes_until_it_heals() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        pass(&mut pair.at_other, &mut pair.at_one, "before").await;
        world.cut(pair.one, pair.other);
        world.cut(pair.other, pair.one);
        pair.at_other.write_all(b"to one").await.unwrap();
        pair.at_one.write_all(b"to other").await.unwrap();
        assert!(silent(&mut pair.at_one, 5 * SECOND).await);
        assert!(silent(&mut pair.at_other, 5 * SECOND).await);
        pair.at_other.write_all(b", again").await.unwrap();
        assert_eq!(world.held_back(), 3);
        world.heal(pair.one, pair.other);
        world.heal(pair.other, pair.one);
        assert_eq!(heard(&mut pair.at_one, 13).await, "to one, again");
        assert_eq!(heard(&mut pair.at_other, 8).await, "to other");
        pass(&mut pair.at_one, &mut pair.at_other, "after").await;
    });
}

#[test]
fn a_one_way_cut_leaves_the_way_back_open() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        world.cut(pair.one, pair.other);
        pass(&mut pair.at_other, &mut pair.at_one, "this way is open").await;
        pair.at_one.write_all(b"held").await.unwrap();
        assert!(silent(&mut pair.at_other, 5 * SECOND).await);
        pass(&mut pair.at_other, &mut pair.at_one, "still").await;
        world.heal(pair.one, pair.other);
        assert_eq!(heard(&mut pair.at_other, 4).await, "held");
    });
}

#[test]
fn a_cut_touches_no_other_way() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let third = idle(&world, 3);
        world.cut(pair.one, third);
        world.cut(third, pair.one);
        pass(&mut pair.at_one, &mut pair.at_other, "open").await;
        pass(&mut pair.at_other, &mut pair.at_one, "open").await;
        // A machine always reaches itself.
        world.cut(pair.one, pair.other);
        let mut own = connect(&world, pair.one, &pair.listener).await;
        let (mut accepted, _) = pair.listener.accept().await.unwrap();
        pass(&mut own, &mut accepted, "loopback").await;
    });
}

#[test]
fn each_cut_needs_its_own_heal() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        world.cut(pair.one, pair.other);
        world.cut(pair.one, pair.other);
        pair.at_one.write_all(b"x").await.unwrap();
        world.heal(pair.one, pair.other);
        assert!(silent(&mut pair.at_other, 5 * SECOND).await);
        world.heal(pair.one, pair.other);
        assert_eq!(heard(&mut pair.at_other, 1).await, "x");
        // One heal too many is none.
        world.heal(pair.one, pair.other);
        world.cut(pair.one, pair.other);
        pair.at_one.write_all(b"y").await.unwrap();
        assert!(silent(&mut pair.at_other, 5 * SECOND).await);
    });
}

#[test]
fn an_end_of_stream_is_held_like_bytes() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        world.cut(pair.one, pair.other);
        pair.at_one.write_all(b"last").await.unwrap();
        drop(pair.at_one);
        assert!(silent(&mut pair.at_other, 5 * SECOND).await);
        world.heal(pair.one, pair.other);
        let mut all = String::new();
        timeout(5 * SECOND, pair.at_other.read_to_string(&mut all)).await.unwrap().unwrap();
        assert_eq!(all, "last");
    });
}

#[test]
fn a_cut_fills_the_window() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        world.cut(pair.one, pair.other);
        let sent = vec![7; 1 << 20];
        let blocked = timeout(5 * SECOND, pair.at_one.write_all(&sent)).await;
        assert!(blocked.is_err(), "a megabyte was swallowed: {blocked:?}");
        world.heal(pair.one, pair.other);
        // The window's part of it; the rest was never taken.
        let mut read = 0;
        while let Ok(n) = timeout(SECOND, pair.at_other.read(&mut [0; 8192])).await {
            read += n.unwrap();
        }
        assert!((1..1 << 20).contains(&read), "{read}");
    });
}

#[test]
fn a_connect_across_a_cut_waits_for_the_heal() {
    simulate(|world| async move {
        let (one, other) = (idle(&world, 1), idle(&world, 2));
        let listener = listen(&world, one, 7000).await;
        // Either direction is enough: a handshake needs both.
        for (from, to) in [(one, other), (other, one)] {
            world.cut(from, to);
            let mut dialing = world.spawn_on(other, async { TcpStream::connect("10.0.0.1:7000").await });
            assert!(timeout(10 * SECOND, &mut dialing).await.is_err());
            let healed = Instant::now();
            world.heal(from, to);
            timeout(60 * SECOND, dialing).await.expect("it never connects").unwrap().unwrap();
            assert!(healed.elapsed() > MS);
            listener.accept().await.unwrap();
        }
        assert!(world.held_back() >= 2);
    });
}

/// Answers requests on machine 1 and counts them as they arrive, whether their sender still waits or not.
async fn counting_server(world: &World) -> (MachineId, Arc<AtomicU64>) {
    let machine = idle(world, 1);
    let arrived = Arc::new(AtomicU64::new(0));
    let counter = arrived.clone();
    let listener = listen(world, machine, 8080).await;
    // It runs on until the world ends.
    drop(world.spawn_on(machine, async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while let Ok(byte) = stream.read_u8().await {
                head.push(byte);
                if head.ends_with(b"\r\n\r\n") {
                    head.clear();
                    counter.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
            }
        }
    }));
    (machine, arrived)
}

fn request() -> Request<Bytes> {
    Request::post("/").body(Bytes::new()).unwrap()
}

#[test]
fn a_request_that_could_not_connect_has_no_effect() {
    simulate(|world| async move {
        let (server, arrived) = counting_server(&world).await;
        let machine = idle(&world, 2);
        world.cut(machine, server);
        let client = Client::new(ClientOptions { connect_timeout: SECOND, ..ClientOptions::default() });
        let first = client.clone();
        let error = on(&world, machine, async move {
            first.send("10.0.0.1:8080", request(), 300 * MS).await.unwrap_err()
        });
        let error = error.await;
        assert!(matches!(error, RequestError::TimedOutUnsent { .. }), "{error:?}");
        assert!(!error.may_have_arrived());
        let error = on(&world, machine, async move {
            client.send("10.0.0.1:8080", request(), 3 * SECOND).await.unwrap_err()
        });
        let error = error.await;
        assert!(matches!(error, RequestError::Connect { .. }), "{error:?}");
        assert!(!error.may_have_arrived());
        world.heal(machine, server);
        sleep(60 * SECOND).await;
        assert_eq!(arrived.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_request_given_up_in_a_cut_may_arrive_later() {
    simulate(|world| async move {
        let (server, arrived) = counting_server(&world).await;
        let machine = idle(&world, 2);
        let client = Client::new(ClientOptions::default());
        let first = client.clone();
        on(&world, machine, async move { first.send("10.0.0.1:8080", request(), SECOND).await.unwrap() })
            .await;
        world.cut(machine, server);
        let outcome =
            on(&world, machine, async move { client.send("10.0.0.1:8080", request(), SECOND).await }).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, RequestError::TimedOut { .. }), "{error:?}");
        assert!(error.may_have_arrived());
        assert_eq!(arrived.load(Ordering::SeqCst), 1);
        world.heal(machine, server);
        sleep(5 * SECOND).await;
        assert_eq!(arrived.load(Ordering::SeqCst), 2, "what was sent into the cut was lost");
    });
}
