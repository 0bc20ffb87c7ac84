//! Clogs and flapping: what waits in the network comes out in order and at once, and nobody gives up.

use crate::stage::{MS, Pair, SECOND, connect, heard, idle, listen, pair, pass, silent, simulate};
use rt::net::TcpStream;
use rt::sim::World;
use rt::time::{Instant, sleep, timeout};
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_clog_holds_everything_and_releases_it_in_order_and_at_once() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let clog = world.clog(&[(pair.one, pair.other)]);
        for part in ["in ", "this ", "order"] {
            pair.at_one.write_all(part.as_bytes()).await.unwrap();
            assert!(silent(&mut pair.at_other, 10 * SECOND).await);
        }
        // The other way is free.
        pass(&mut pair.at_other, &mut pair.at_one, "free").await;
        assert_eq!(world.mend(clog), 3);
        let mended = Instant::now();
        assert_eq!(heard(&mut pair.at_other, 13).await, "in this order");
        // No retransmission timer has to fire first.
        assert!(mended.elapsed() < 3 * MS, "{:?}", mended.elapsed());
        pass(&mut pair.at_one, &mut pair.at_other, "after").await;
        assert_eq!(world.bites(clog), 3);
    });
}

#[test]
fn nobody_gives_up_in_a_clog() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let third = idle(&world, 3);
        let clog = world.clog(&[(pair.one, pair.other), (pair.other, pair.one), (third, pair.one)]);
        pair.at_one.write_all(b"patience").await.unwrap();
        let mut dialing = world.spawn_on(third, async { TcpStream::connect("10.0.0.1:7000").await });
        // Far longer than a cut would be borne.
        assert!(silent(&mut pair.at_one, 600 * SECOND).await);
        assert!(timeout(MS, &mut dialing).await.is_err());
        assert_eq!(world.mend(clog), 2);
        let mended = Instant::now();
        assert_eq!(heard(&mut pair.at_other, 8).await, "patience");
        dialing.await.unwrap().expect("its request comes out too");
        assert!(mended.elapsed() < 10 * MS, "{:?}", mended.elapsed());
    });
}

#[test]
fn what_a_dead_process_has_sent_is_still_in_the_clog() {
    simulate(|world| async move {
        for power in [false, true] {
            let Pair { one, other, mut at_one, mut at_other, .. } = fresh_pair(&world, power).await;
            let clog = world.clog(&[(one, other)]);
            at_one.write_all(b"testament").await.unwrap();
            if power {
                world.power_loss(one)
            } else {
                world.crash(one)
            };
            assert!(silent(&mut at_other, 10 * SECOND).await);
            world.mend(clog);
            assert_eq!(heard(&mut at_other, 9).await, "testament");
            if power {
                assert!(silent(&mut at_other, 10 * SECOND).await);
            } else {
                let end = at_other.read_u8().await.unwrap_err();
                assert_eq!(end.kind(), ErrorKind::ConnectionReset);
            }
        }
    });
}

async fn fresh_pair(world: &World, power: bool) -> Pair {
    let number = if power { 3 } else { 5 };
    let (one, other) = (idle(world, number), idle(world, number + 1));
    let listener = listen(world, one, 7000).await;
    let at_other = connect(world, other, &listener).await;
    let (at_one, _) = listener.accept().await.unwrap();
    Pair { one, other, at_one, at_other, listener }
}

#[test]
fn a_cut_goes_before_a_clog() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let way = [(pair.one, pair.other)];
        let (clog, cut) = (world.clog(&way), world.cut_links(&way));
        pair.at_one.write_all(b"x").await.unwrap();
        assert!(silent(&mut pair.at_other, SECOND).await);
        assert_eq!((world.mend(clog), world.bites(cut)), (0, 1));
        assert!(silent(&mut pair.at_other, SECOND).await);
        world.mend(cut);
        assert_eq!(heard(&mut pair.at_other, 1).await, "x");
    });
}

#[test]
fn each_cut_of_a_link_is_its_own() {
    simulate(|world| async move {
        let mut pair = pair(&world).await;
        let both = [(pair.one, pair.other), (pair.other, pair.one)];
        let first = world.cut_links(&both);
        pair.at_one.write_all(b"x").await.unwrap();
        let second = world.cut_links(&both[..1]);
        assert_eq!((world.mend(first), world.bites(second)), (1, 0));
        // A second time changes nothing.
        assert_eq!(world.mend(first), 1);
        assert!(silent(&mut pair.at_other, SECOND).await);
        pair.at_one.write_all(b"y").await.unwrap();
        assert_eq!(world.mend(second), 1);
        assert_eq!(heard(&mut pair.at_other, 2).await, "xy");
        pass(&mut pair.at_other, &mut pair.at_one, "back").await;
    });
}

#[test]
fn a_flapping_link_delays_and_loses_nothing() {
    simulate(|world| async move {
        let Pair { one, other, mut at_one, mut at_other, .. } = pair(&world).await;
        let writing = world.spawn_on(one, async move {
            for number in 0..400u32 {
                at_one.write_all(&number.to_be_bytes()).await.unwrap();
                sleep(10 * MS).await;
            }
            at_one
        });
        let mut bites = 0;
        let mut reading = world.spawn_on(other, async move {
            for number in 0..400u32 {
                assert_eq!(at_other.read_u32().await.unwrap(), number);
            }
        });
        for _ in 0..20 {
            let cut = world.cut_links(&[(one, other)]);
            sleep(100 * MS).await;
            bites += world.mend(cut);
            sleep(100 * MS).await;
        }
        assert!(bites > 100, "{bites}");
        timeout(10 * SECOND, &mut reading).await.expect("it does not come through").unwrap();
        writing.await.unwrap();
    });
}
