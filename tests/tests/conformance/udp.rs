//! Datagrams: whole, with their sender, cut off where they do not fit, dropped where nobody reads.

use crate::arms::Place;
use rt::net::UdpSocket;
use rt::time::{sleep, timeout};
use std::io::ErrorKind;
use std::time::Duration;

both_arms! {
    datagrams_arrive_whole_and_with_their_sender,
    an_empty_datagram_is_one,
    what_does_not_fit_is_cut_off,
    a_datagram_has_a_largest_size,
    a_port_for_datagrams_is_bound_once,
    nobody_there_is_no_error,
    a_full_queue_drops_what_comes_on_top,
}

const PATIENCE: Duration = Duration::from_secs(20);

/// The next datagram within [`PATIENCE`].
async fn next(socket: &UdpSocket, room: usize) -> (Vec<u8>, std::net::SocketAddr) {
    let mut buffer = vec![0; room];
    let received = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.expect("nothing came");
    let (len, from) = received.unwrap();
    buffer.truncate(len);
    (buffer, from)
}

async fn datagrams_arrive_whole_and_with_their_sender(place: Place) {
    let socket = place.datagrams().await;
    let address = socket.local_addr().unwrap();
    assert_ne!(address.port(), 0);
    let elsewhere = place.clone();
    let asking = place.elsewhere(async move {
        let own = elsewhere.datagrams().await;
        for question in [&b"one"[..], b"and another"] {
            assert_eq!(own.send_to(question, &address.to_string()).await.unwrap(), question.len());
            let (answer, from) = next(&own, 100).await;
            assert_eq!((&answer[..], from), (question, address));
        }
    });
    for _ in 0..2 {
        let (question, from) = next(&socket, 100).await;
        socket.send_to(&question, &from.to_string()).await.unwrap();
    }
    asking.await;
}

async fn an_empty_datagram_is_one(place: Place) {
    let socket = place.datagrams().await;
    let address = socket.local_addr().unwrap().to_string();
    assert_eq!(socket.send_to(b"", &address).await.unwrap(), 0);
    assert_eq!(next(&socket, 10).await.0, b"");
}

async fn what_does_not_fit_is_cut_off(place: Place) {
    let socket = place.datagrams().await;
    let address = socket.local_addr().unwrap().to_string();
    socket.send_to(b"0123456789", &address).await.unwrap();
    assert_eq!(next(&socket, 4).await.0, b"0123");
    socket.send_to(b"next", &address).await.unwrap();
    assert_eq!(next(&socket, 4).await.0, b"next", "the rest of the first one is gone");
}

async fn a_datagram_has_a_largest_size(place: Place) {
    let socket = place.datagrams().await;
    let address = socket.local_addr().unwrap().to_string();
    let largest = vec![7; 65_507];
    socket.send_to(&largest, &address).await.unwrap();
    assert!(next(&socket, 70_000).await.0 == largest);
    let refused = socket.send_to(&vec![7; 65_508], &address).await.unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(90), "EMSGSIZE: {refused:?}");
}

async fn a_port_for_datagrams_is_bound_once(place: Place) {
    let first = place.datagrams().await;
    let address = first.local_addr().unwrap().to_string();
    let second = UdpSocket::bind(&address).await.err().expect("it is taken");
    assert_eq!(second.kind(), ErrorKind::AddrInUse);
    drop(first);
    UdpSocket::bind(&address).await.expect("it is free again");
}

async fn nobody_there_is_no_error(place: Place) {
    let socket = place.datagrams().await;
    let gone = place.datagrams().await.local_addr().unwrap().to_string();
    for _ in 0..3 {
        socket.send_to(b"anyone?", &gone).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    let address = socket.local_addr().unwrap().to_string();
    socket.send_to(b"me", &address).await.unwrap();
    assert_eq!(next(&socket, 10).await.0, b"me");
}

async fn a_full_queue_drops_what_comes_on_top(place: Place) {
    const SENT: usize = 2000;
    let socket = place.datagrams().await;
    let address = socket.local_addr().unwrap().to_string();
    for number in 0..SENT {
        let mut bytes = vec![0; 1000];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        socket.send_to(&bytes, &address).await.unwrap();
    }
    sleep(Duration::from_millis(50)).await;
    let mut came = 0usize;
    let mut buffer = [0; 1000];
    while let Ok(received) = timeout(Duration::from_millis(100), socket.recv_from(&mut buffer)).await {
        assert_eq!(received.unwrap().0, 1000);
        assert_eq!(buffer[..8], came.to_be_bytes()[..], "the first ones are kept, in order");
        came += 1;
    }
    assert!((10..SENT).contains(&came), "{came} of {SENT} were kept");
}
