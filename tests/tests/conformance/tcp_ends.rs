//! How connections end: in order, by half, and by surprise.

use crate::arms::Place;
use crate::tcp::{connected, pattern};
use rt::net::TcpStream;
use rt::time::{sleep, timeout};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

both_arms! {
    a_dropped_end_is_the_end_of_the_stream,
    what_was_written_arrives_before_the_end,
    unflushed_bytes_arrive,
    half_a_close_leaves_the_way_back_open,
    nothing_can_be_written_after_a_shutdown,
    a_shutdown_twice_is_one,
    a_reset_is_said_once,
    bytes_before_a_reset_arrive,
    writing_to_a_closed_end_fails_in_the_end,
    a_patient_writer_to_a_closed_end_fails_too,
    a_blocked_writer_learns_that_its_reader_is_gone,
    a_listener_that_goes_takes_its_waiting_connections_along,
    a_dropped_connect_leaves_nothing_behind,
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

async fn a_dropped_end_is_the_end_of_the_stream(place: Place) {
    let (mut here, there) = connected(&place).await;
    drop(there);
    let mut bytes = [0; 8];
    for _ in 0..3 {
        assert_eq!(here.read(&mut bytes).await.unwrap(), 0, "the end stays the end");
    }
}

async fn what_was_written_arrives_before_the_end(place: Place) {
    let (mut here, mut there) = connected(&place).await;
    there.write_all(b"last words").await.unwrap();
    there.shutdown().await.unwrap();
    drop(there);
    let mut all = Vec::new();
    here.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"last words");
}

async fn unflushed_bytes_arrive(place: Place) {
    const LEN: usize = 100_000;
    let (mut here, mut there) = connected(&place).await;
    let writing = place.elsewhere(async move { there.write_all(&pattern(LEN)).await });
    let mut all = Vec::new();
    here.read_to_end(&mut all).await.unwrap();
    assert!(all == pattern(LEN), "{} of {LEN} bytes arrived", all.len());
    writing.await.unwrap();
}

async fn half_a_close_leaves_the_way_back_open(place: Place) {
    let (mut here, mut there) = connected(&place).await;
    let asking = place.elsewhere(async move {
        there.write_all(b"question").await.unwrap();
        there.shutdown().await.unwrap();
        let mut answer = Vec::new();
        there.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let mut question = Vec::new();
    here.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    sleep(Duration::from_millis(10)).await;
    for part in ["an ", "ans", "wer"] {
        here.write_all(part.as_bytes()).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    drop(here);
    assert_eq!(asking.await, b"an answer");
}

async fn nothing_can_be_written_after_a_shutdown(place: Place) {
    let (_here, mut there) = connected(&place).await;
    there.shutdown().await.unwrap();
    let error = there.write_all(b"more").await.expect_err("its way is closed");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

async fn a_shutdown_twice_is_one(place: Place) {
    let (mut here, mut there) = connected(&place).await;
    there.shutdown().await.unwrap();
    there.shutdown().await.unwrap();
    assert_eq!(here.read(&mut [0; 8]).await.unwrap(), 0);
}

async fn a_reset_is_said_once(place: Place) {
    for write_first in [false, true] {
        let (here, mut there) = connected(&place).await;
        there.write_all(b"never read").await.unwrap();
        sleep(Duration::from_millis(50)).await;
        // Whoever closes without having read everything resets.
        drop(here);
        sleep(Duration::from_millis(50)).await;
        let said = if write_first {
            there.write_all(b"x").await.expect_err("it is reset")
        } else {
            there.read(&mut [0; 8]).await.expect_err("it is reset")
        };
        assert_eq!(said.kind(), ErrorKind::ConnectionReset, "{write_first}");
        for _ in 0..2 {
            assert_eq!(there.read(&mut [0; 8]).await.unwrap(), 0);
            assert_eq!(there.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    }
}

async fn bytes_before_a_reset_arrive(place: Place) {
    let (mut here, mut there) = connected(&place).await;
    there.write_all(b"never read").await.unwrap();
    here.write_all(b"last words").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    drop(here);
    sleep(Duration::from_millis(50)).await;
    let mut words = [0; 10];
    there.read_exact(&mut words).await.unwrap();
    assert_eq!(&words, b"last words");
    assert_eq!(there.read(&mut words).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// Writes a byte every `pause` until that fails.
async fn write_until_failure(stream: &mut TcpStream, pause: Duration) -> io::Error {
    loop {
        if let Err(error) = stream.write_all(b"x").await {
            return error;
        }
        sleep(pause).await;
    }
}

async fn writing_to_a_closed_end_fails_in_the_end(place: Place) {
    let (mut here, there) = connected(&place).await;
    drop(there);
    // So quick that many bytes are under way before the first one is answered.
    let failing = write_until_failure(&mut here, Duration::from_micros(20));
    let error = timeout(Duration::from_secs(20), failing).await.expect("the writer never learns of it");
    assert!(is_gone(&error), "{error:?}");
}

async fn a_patient_writer_to_a_closed_end_fails_too(place: Place) {
    let (mut here, there) = connected(&place).await;
    drop(there);
    assert_eq!(here.read(&mut [0; 8]).await.unwrap(), 0);
    let failing = write_until_failure(&mut here, Duration::from_millis(20));
    let error = timeout(Duration::from_secs(20), failing).await.expect("the writer never learns of it");
    // It had said that it is closed: that it resets as well is no news.
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

async fn a_blocked_writer_learns_that_its_reader_is_gone(place: Place) {
    let (mut here, mut there) = connected(&place).await;
    let writing = place.elsewhere(async move { there.write_all(&pattern(16 << 20)).await });
    here.read_exact(&mut [0; 1000]).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    drop(here);
    let outcome = timeout(Duration::from_secs(20), writing).await.expect("the writer is blocked for ever");
    let error = outcome.expect_err("most of it was never read");
    assert!(is_gone(&error), "{error:?}");
}

async fn a_listener_that_goes_takes_its_waiting_connections_along(place: Place) {
    let listener = place.listen().await;
    let address = listener.local_addr().unwrap().to_string();
    let mut waiting = place.elsewhere(async move { TcpStream::connect(&address).await }).await.unwrap();
    drop(listener);
    let ended = timeout(Duration::from_secs(20), waiting.read(&mut [0; 8])).await;
    match ended.expect("it waits for ever") {
        Ok(n) => assert_eq!(n, 0),
        Err(error) => assert!(is_gone(&error), "{error:?}"),
    }
}

async fn a_dropped_connect_leaves_nothing_behind(place: Place) {
    let listener = place.listen().await;
    let address = listener.local_addr().unwrap().to_string();
    // Given up at once; the other side may see it come and go, or never.
    let _ = timeout(Duration::ZERO, TcpStream::connect(&address)).await;
    let mut dialed = TcpStream::connect(&address).await.unwrap();
    dialed.write_all(b"second").await.unwrap();
    loop {
        let (mut accepted, _) = listener.accept().await.unwrap();
        let mut text = Vec::new();
        let read = timeout(Duration::from_secs(20), accepted.read_buf(&mut text)).await.unwrap();
        if matches!(read, Ok(n) if n > 0) {
            assert_eq!(text, b"second");
            return;
        }
    }
}
