//! Datagrams on bad links: lost, doubled, overtaken, held.

use crate::stage::{MS, SECOND, idle, on, simulate};
use rt::net::UdpSocket;
use rt::sim::World;
use rt::sim::machine::MachineId;
use rt::sim::net::Link;
use rt::time::{sleep, timeout};
use std::io::ErrorKind;

/// Two machines with a socket each.
struct Post {
    one: MachineId,
    other: MachineId,
    at_one: UdpSocket,
    at_other: UdpSocket,
}

async fn bind(world: &World, machine: MachineId) -> UdpSocket {
    on(world, machine, UdpSocket::bind("0.0.0.0:9000")).await.expect("a free port")
}

async fn post(world: &World) -> Post {
    let (one, other) = (idle(world, 1), idle(world, 2));
    let (at_one, at_other) = (bind(world, one).await, bind(world, other).await);
    Post { one, other, at_one, at_other }
}

/// Sends the numbers 0 to `count` from the first machine to the second, `pause` apart; gives what comes.
async fn send(world: &World, post: &mut Post, count: u8, pause: std::time::Duration) -> Vec<u8> {
    let at_one = std::mem::replace(&mut post.at_one, bind_any(world, post.one).await);
    on(world, post.one, async move {
        for number in 0..count {
            at_one.send_to(&[number], "10.0.0.2:9000").await.unwrap();
            sleep(pause).await;
        }
    })
    .await;
    received(&post.at_other).await
}

async fn bind_any(world: &World, machine: MachineId) -> UdpSocket {
    on(world, machine, UdpSocket::bind("0.0.0.0:0")).await.expect("a free port")
}

/// What comes until nothing comes for a second.
async fn received(socket: &UdpSocket) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 10]);
    while let Ok(received) = timeout(SECOND, socket.recv_from(&mut buffer)).await {
        let (len, _) = received.unwrap();
        all.extend_from_slice(&buffer[..len]);
    }
    all
}

#[test]
fn datagrams_on_a_good_link_all_arrive_once() {
    simulate(|world| async move {
        let mut post = post(&world).await;
        let numbers: Vec<u8> = (0..200).collect();
        // However quickly they follow each other: a link is one queue.
        assert_eq!(send(&world, &mut post, 200, MS / 10).await, numbers);
    });
}

#[test]
fn a_lossy_link_loses_datagrams_for_good() {
    simulate(|world| async move {
        let mut post = post(&world).await;
        let lossy = world.degrade(&[(post.one, post.other)], Link { loss: 0.3, ..Link::default() });
        let came = send(&world, &mut post, 200, 3 * MS).await;
        assert!((110..170).contains(&came.len()), "{} of 200", came.len());
        assert!(came.is_sorted());
        assert_eq!(world.mend(lossy) as usize, 200 - came.len());
        assert_eq!(send(&world, &mut post, 200, 3 * MS).await.len(), 200);
    });
}

#[test]
fn a_doubling_link_brings_datagrams_twice() {
    simulate(|world| async move {
        let mut post = post(&world).await;
        let link = Link { duplicate: 0.25, ..Link::default() };
        let doubling = world.degrade(&[(post.one, post.other)], link);
        let came = send(&world, &mut post, 200, 3 * MS).await;
        let bites = world.mend(doubling) as usize;
        assert!((25..80).contains(&bites), "{bites}");
        assert_eq!(came.len(), 200 + bites);
        assert_eq!(send(&world, &mut post, 200, 3 * MS).await.len(), 200);
    });
}

#[test]
fn on_a_reordering_link_datagrams_overtake_each_other() {
    simulate(|world| async move {
        let mut post = post(&world).await;
        let link = Link { reorder: 0.2, ..Link::default() };
        let reordering = world.degrade(&[(post.one, post.other)], link);
        let mut came = send(&world, &mut post, 200, 3 * MS).await;
        assert!(!came.is_sorted());
        came.sort_unstable();
        assert!(came.into_iter().eq(0..200));
        assert!((15..70).contains(&world.mend(reordering)));
        assert!(send(&world, &mut post, 200, 3 * MS).await.is_sorted());
    });
}

#[test]
fn a_cut_swallows_datagrams_and_a_clog_holds_them() {
    simulate(|world| async move {
        let mut post = post(&world).await;
        let way = [(post.one, post.other)];
        let cut = world.cut_links(&way);
        assert!(send(&world, &mut post, 10, MS).await.is_empty());
        assert_eq!(world.mend(cut), 10);
        assert!(received(&post.at_other).await.is_empty(), "nobody sends them again");
        let clog = world.clog(&way);
        assert!(send(&world, &mut post, 10, MS).await.is_empty());
        assert_eq!(world.mend(clog), 10);
        assert!(received(&post.at_other).await.into_iter().eq(0..10), "in order");
    });
}

#[test]
fn a_socket_of_a_dead_process_is_dead_and_its_address_free() {
    simulate(|world| async move {
        let mut post = post(&world).await;
        world.crash(post.other);
        world.start(post.other);
        let next = bind(&world, post.other).await;
        let old = std::mem::replace(&mut post.at_other, next);
        assert_eq!(send(&world, &mut post, 10, 3 * MS).await.len(), 10);
        let dead = on(&world, post.other, async move { old.recv_from(&mut [0; 1]).await });
        assert_eq!(dead.await.unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(send(&world, &mut post, 10, 3 * MS).await.len(), 10, "the old one took the address along");
    });
}
