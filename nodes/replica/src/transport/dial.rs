//! The dialling side of a connection: one task a peer.

use super::{ALIVE_EVERY, CONNECT_TIMEOUT, Failure, Outgoing, Pending, SILENCE};
use crate::NodeId;
use crate::driver::Event;
use crate::frame::{self, Frame, FrameReader};
use rt::net::TcpStream;
use rt::time::{self, Instant};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Bytes gathered into one write at most.
const WRITE_BYTES: usize = 1 << 20;

pub(super) struct Link {
    pub(super) peer: NodeId,
    pub(super) address: String,
    pub(super) hello: Vec<u8>,
    pub(super) queue: mpsc::Receiver<Outgoing>,
    pub(super) pending: Arc<Pending>,
    pub(super) reached: Arc<AtomicBool>,
    pub(super) events: mpsc::WeakSender<Event>,
}

/// Keeps a connection up until the queue closes.
pub(super) async fn run(mut link: Link) {
    let mut pause = FIRST_PAUSE;
    let mut redial = false;
    loop {
        // One that had held and broke is dialled again at once: whether anybody is there tells whether the
        // peer lives.
        let first = match std::mem::take(&mut redial) {
            true => None,
            false => match link.queue.recv().await {
                Some(first) => Some(first),
                None => return,
            },
        };
        let connected = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&link.address)).await;
        link.reached.store(matches!(connected, Ok(Ok(_))), Ordering::Relaxed);
        match connected {
            Ok(Ok(stream)) => {
                pause = FIRST_PAUSE;
                let began = Instant::now();
                let error = talk(&mut link, stream, first).await;
                tracing::debug!(peer = link.peer, ?error, "connection to peer ended");
                link.pending.lose_sent();
                redial = began.elapsed() >= ALIVE_EVERY && !link.queue.is_closed();
            }
            failed => {
                let refused =
                    matches!(&failed, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused);
                tracing::debug!(peer = link.peer, ?pause, refused, "peer cannot be reached");
                drop_queued(&mut link, first);
                // A full event queue means the driver is behind; it learns of it the next time.
                if let Some(events) = link.events.upgrade() {
                    let _ = events.try_send(Event::Unreachable { peer: link.peer, refused });
                }
                time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                drop_all(&mut link);
            }
        }
    }
}

fn drop_queued(link: &mut Link, first: Option<Outgoing>) {
    if let Some(id) = first.and_then(|first| first.request) {
        link.pending.settle(id, Err(Failure::NotSent));
    }
    drop_all(link);
}

fn drop_all(link: &mut Link) {
    while let Ok(outgoing) = link.queue.try_recv() {
        if let Some(id) = outgoing.request {
            link.pending.settle(id, Err(Failure::NotSent));
        }
    }
}

/// Runs one connection until it breaks; says why it did.
async fn talk(link: &mut Link, stream: TcpStream, first: Option<Outgoing>) -> io::Error {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut buffer = link.hello.clone();
    if let Some(first) = first {
        take(link, &mut buffer, first);
    }
    let pending = link.pending.clone();
    let reading = read_answers(reader, &pending);
    let writing = write_queue(link, &mut writer, buffer);
    rt::select! {
        error = reading => error,
        error = writing => error,
    }
}

fn take(link: &Link, buffer: &mut Vec<u8>, outgoing: Outgoing) {
    buffer.extend(outgoing.bytes);
    if let Some(id) = outgoing.request {
        link.pending.mark_sent(id);
    }
}

async fn write_queue(link: &mut Link, writer: &mut WriteHalf<TcpStream>, mut buffer: Vec<u8>) -> io::Error {
    loop {
        while buffer.len() < WRITE_BYTES
            && let Ok(outgoing) = link.queue.try_recv()
        {
            take(link, &mut buffer, outgoing);
        }
        if rt::buggify!("transport: a connection is dropped before sending", 0.005) {
            return io::ErrorKind::ConnectionAborted.into();
        }
        match time::timeout(SILENCE, writer.write_all(&buffer)).await {
            Ok(Ok(())) if rt::buggify!("transport: a connection is dropped after sending", 0.005) => {
                return io::ErrorKind::ConnectionAborted.into();
            }
            Ok(Ok(())) => buffer.clear(),
            Ok(Err(error)) => return error,
            Err(time::Elapsed) => return io::ErrorKind::TimedOut.into(),
        }
        rt::select! {
            outgoing = link.queue.recv() => match outgoing {
                Some(outgoing) => take(link, &mut buffer, outgoing),
                None => return io::ErrorKind::ConnectionAborted.into(),
            },
            () = time::sleep(ALIVE_EVERY) => buffer.extend(frame::encode(&Frame::Alive)),
        }
    }
}

async fn read_answers(reader: ReadHalf<TcpStream>, pending: &Pending) -> io::Error {
    let mut frames = FrameReader::new(reader);
    let mut deadline = time::sleep(SILENCE);
    loop {
        let frame = rt::select! {
            frame = frames.next() => frame,
            () = &mut deadline => return io::ErrorKind::TimedOut.into(),
        };
        deadline.reset(Instant::now() + SILENCE);
        match frame {
            Ok(Some(Frame::Response { id, response })) => pending.settle(id, Ok(response)),
            Ok(Some(Frame::Alive)) => {}
            Ok(Some(_)) => return io::Error::new(io::ErrorKind::InvalidData, "not an answer"),
            Ok(None) => return io::ErrorKind::UnexpectedEof.into(),
            Err(error) => return error,
        }
    }
}
