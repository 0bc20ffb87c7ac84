//! Connections while they live: how they come about, what they carry, who waits for whom.

use crate::arms::Place;
use rt::net::{TcpListener, TcpStream};
use rt::task::spawn;
use rt::time::{Elapsed, Instant, sleep, timeout};
use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

both_arms! {
    nobody_listens_is_refused,
    a_connect_that_is_not_answered_hangs,
    an_address_is_bound_once,
    a_freed_address_can_be_bound_again,
    a_host_and_port_is_asked_for,
    addresses_of_both_ends_agree,
    accept_waits_for_a_connection,
    a_connection_waits_to_be_accepted,
    bytes_arrive_in_order_both_ways,
    a_read_may_be_short,
    a_write_may_be_short,
    empty_writes_say_nothing,
    slices_arrive_as_one,
    many_connections_keep_apart,
    a_slow_reader_holds_the_writer_back,
}

/// Two ends of a connection between the two machines of a place.
pub async fn connected(place: &Place) -> (TcpStream, TcpStream) {
    let listener = place.listen().await;
    let address = listener.local_addr().unwrap().to_string();
    let dialing = place.elsewhere(async move { TcpStream::connect(&address).await });
    let (accepted, _) = listener.accept().await.unwrap();
    (accepted, dialing.await.unwrap())
}

/// Bytes that tell where they belong.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|place| (place ^ (place >> 8) ^ (place >> 16)) as u8).collect()
}

async fn nobody_listens_is_refused(place: Place) {
    // A port that is never given to anyone by itself.
    let error = TcpStream::connect("127.0.0.1:1").await.err().expect("nobody is there");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let listener = place.listen().await;
    let other_port = format!("{}:2", listener.local_addr().unwrap().ip());
    let error = place.elsewhere(async move { TcpStream::connect(&other_port).await.err() }).await;
    assert_eq!(error.expect("nobody is there").kind(), ErrorKind::ConnectionRefused);
}

async fn a_connect_that_is_not_answered_hangs(place: Place) {
    let listener = place.listen_with_backlog(1).await;
    let address = listener.local_addr().unwrap().to_string();
    // One more than the backlog may wait; then requests are dropped, and nobody is told.
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(TcpStream::connect(&address).await.unwrap());
    }
    let begin = Instant::now();
    let mut hanging = Box::pin(TcpStream::connect(&address));
    let hung = timeout(Duration::from_millis(500), &mut hanging).await;
    assert!(hung.is_err(), "somebody answered: {:?}", hung.map(|stream| stream.map(|_| ())));
    // With room again, the request is answered when it is sent the next time, after a second.
    for _ in 0..2 {
        listener.accept().await.unwrap();
    }
    let mut dialed = timeout(Duration::from_secs(20), hanging).await.expect("it hangs for ever").unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());
    let (mut accepted, _) = listener.accept().await.unwrap();
    dialed.write_all(b"x").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'x');
}

async fn an_address_is_bound_once(place: Place) {
    let first = place.listen().await;
    let second = TcpListener::bind(&first.local_addr().unwrap().to_string()).await;
    assert_eq!(second.err().expect("it is taken").kind(), ErrorKind::AddrInUse);
    let other = place.listen().await;
    assert_ne!(first.local_addr().unwrap(), other.local_addr().unwrap());
}

async fn a_freed_address_can_be_bound_again(place: Place) {
    let first = place.listen().await;
    let address = first.local_addr().unwrap().to_string();
    // A connection that was closed by the side that listens lingers on that address.
    let dialed = TcpStream::connect(&address).await.unwrap();
    drop(first.accept().await.unwrap());
    drop((dialed, first));
    let second = TcpListener::bind(&address).await.unwrap();
    assert_eq!(second.local_addr().unwrap().to_string(), address);
    let (dialed, accepted) = tokio::join!(TcpStream::connect(&address), second.accept());
    assert!(dialed.is_ok() && accepted.is_ok());
}

async fn a_host_and_port_is_asked_for(_: Place) {
    for address in ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:port", "127.0.0.1:70000"] {
        let bound = TcpListener::bind(address).await;
        assert_eq!(bound.err().expect("no address").kind(), ErrorKind::InvalidInput, "bind {address:?}");
        let dialed = TcpStream::connect(address).await;
        assert_eq!(dialed.err().expect("no address").kind(), ErrorKind::InvalidInput, "{address:?}");
    }
}

async fn addresses_of_both_ends_agree(place: Place) {
    let listener = place.listen().await;
    let address = listener.local_addr().unwrap();
    assert_ne!(address.port(), 0);
    let mut peers = Vec::new();
    for _ in 0..3 {
        let dialing = place.elsewhere(async move { TcpStream::connect(&address.to_string()).await });
        let (accepted, peer) = listener.accept().await.unwrap();
        let dialed = dialing.await.unwrap();
        assert_eq!(dialed.peer_addr().unwrap(), address);
        assert_eq!(accepted.peer_addr().unwrap(), peer);
        peers.push((accepted, dialed, peer));
    }
    assert_ne!(peers[0].2, peers[1].2);
    assert_ne!(peers[1].2, peers[2].2);
}

async fn accept_waits_for_a_connection(place: Place) {
    let listener = place.listen().await;
    let waited = timeout(Duration::from_millis(20), listener.accept()).await;
    assert_eq!(waited.err(), Some(Elapsed));
    let address = listener.local_addr().unwrap().to_string();
    let dialing = place.elsewhere(async move { TcpStream::connect(&address).await });
    // The wait that was given up took nothing with it.
    listener.accept().await.unwrap();
    dialing.await.unwrap();
}

async fn a_connection_waits_to_be_accepted(place: Place) {
    let listener = place.listen().await;
    let address = listener.local_addr().unwrap().to_string();
    let mut dialed = TcpStream::connect(&address).await.unwrap();
    dialed.write_all(b"early").await.unwrap();
    sleep(Duration::from_millis(20)).await;
    let (mut accepted, _) = listener.accept().await.unwrap();
    let mut text = [0; 5];
    accepted.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"early");
}

async fn bytes_arrive_in_order_both_ways(place: Place) {
    const LEN: usize = 300_000;
    let (here, there) = connected(&place).await;
    let exchange = |stream: TcpStream, step: usize| async move {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writing = spawn(async move {
            for chunk in pattern(LEN).chunks(step) {
                writer.write_all(chunk).await.unwrap();
            }
            writer.flush().await.unwrap();
            writer
        });
        let mut read = vec![0; LEN];
        reader.read_exact(&mut read).await.unwrap();
        assert!(read == pattern(LEN), "bytes out of order");
        writing.await.unwrap();
    };
    let other = place.elsewhere(exchange(there, 1009));
    exchange(here, 30_011).await;
    other.await;
}

async fn a_read_may_be_short(place: Place) {
    let (mut here, mut there) = connected(&place).await;
    there.write_all(b"0123456789").await.unwrap();
    let mut all = Vec::new();
    while all.len() < 10 {
        let mut three = [0; 3];
        let n = here.read(&mut three).await.unwrap();
        assert!((1..=3).contains(&n));
        all.extend_from_slice(&three[..n]);
    }
    assert_eq!(all, b"0123456789");
}

async fn a_write_may_be_short(place: Place) {
    const LEN: usize = 16 << 20;
    let (mut here, mut there) = connected(&place).await;
    let sent = pattern(LEN);
    // More than both ends buffer: what does not fit is not taken.
    let n = there.write(&sent).await.unwrap();
    assert!((1..LEN).contains(&n), "{n} of {LEN} bytes were taken at once");
    drop(there);
    let mut read = Vec::new();
    here.read_to_end(&mut read).await.unwrap();
    assert!(read == sent[..n], "{} bytes of {n} arrived", read.len());
}

async fn empty_writes_say_nothing(place: Place) {
    let (mut here, mut there) = connected(&place).await;
    assert_eq!(there.write(b"").await.unwrap(), 0);
    assert_eq!(there.write_vectored(&[IoSlice::new(b""), IoSlice::new(b"")]).await.unwrap(), 0);
    let mut byte = [0; 1];
    let silent = timeout(Duration::from_millis(30), here.read(&mut byte)).await;
    assert!(silent.is_err(), "an empty write was taken for the end: {silent:?}");
    there.write_all(b"x").await.unwrap();
    assert_eq!(here.read(&mut byte).await.unwrap(), 1);
}

async fn slices_arrive_as_one(place: Place) {
    let (mut here, mut there) = connected(&place).await;
    assert!(there.is_write_vectored());
    let parts = [IoSlice::new(b"head "), IoSlice::new(b""), IoSlice::new(b"body")];
    assert_eq!(there.write_vectored(&parts).await.unwrap(), 9);
    let mut text = [0; 9];
    here.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"head body");
}

async fn many_connections_keep_apart(place: Place) {
    let listener = place.listen().await;
    let address = listener.local_addr().unwrap().to_string();
    let clients: Vec<_> = (0..40u32)
        .map(|number| {
            let address = address.clone();
            place.elsewhere(async move {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                stream.write_all(&number.to_be_bytes()).await.unwrap();
                assert_eq!(stream.read_u32().await.unwrap(), number + 1);
            })
        })
        .collect();
    for _ in 0..40 {
        let (mut stream, _) = listener.accept().await.unwrap();
        spawn(async move {
            let number = stream.read_u32().await.unwrap();
            stream.write_all(&(number + 1).to_be_bytes()).await.unwrap();
        });
    }
    for client in clients {
        client.await;
    }
}

async fn a_slow_reader_holds_the_writer_back(place: Place) {
    // More than Linux buffers at both ends together (4 and 6 MiB).
    const LEN: usize = 16 << 20;
    let (mut here, mut there) = connected(&place).await;
    let all_written = Arc::new(AtomicBool::new(false));
    let written = all_written.clone();
    let writing = place.elsewhere(async move {
        there.write_all(&pattern(LEN)).await.unwrap();
        written.store(true, Ordering::SeqCst);
        there
    });
    sleep(Duration::from_millis(150)).await;
    assert!(!all_written.load(Ordering::SeqCst), "the writer ran ahead of the reader");
    let expected = pattern(LEN);
    let mut read = vec![0; LEN / 8];
    for part in 0..8 {
        here.read_exact(&mut read).await.unwrap();
        assert!(read == expected[part * read.len()..(part + 1) * read.len()], "bytes out of order");
    }
    drop(writing.await);
    assert!(all_written.load(Ordering::SeqCst));
    assert_eq!(here.read(&mut read).await.unwrap(), 0);
}
