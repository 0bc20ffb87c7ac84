//! The listening side: frames from peers become events of the driver, its answers go back.

use super::{ALIVE_EVERY, SILENCE, Transport};
use crate::driver::Event;
use crate::frame::{self, Frame, FrameReader, Refusal, Response};
use crate::{NodeId, ReplicaOptions, codec};
use rt::net::{TcpListener, TcpStream};
use rt::task::{self, TaskGroup};
use rt::time::{self, Instant};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Answers waiting for a connection; a peer that does not read them loses them.
const ANSWER_QUEUE: usize = 16 << 10;

/// Where the driver puts an answer.
pub enum ReplyTo {
    /// A task of this node.
    Local(oneshot::Sender<Response>),
    /// A peer.
    Peer {
        /// Its connection.
        answers: mpsc::Sender<Vec<u8>>,
        /// Number of the request.
        id: u64,
    },
}

impl ReplyTo {
    /// Sends the answer. If nobody waits for it any more, it has no taker and is dropped.
    pub fn send(self, response: Response) {
        match self {
            ReplyTo::Local(waiting) => drop(waiting.send(response)),
            ReplyTo::Peer { answers, id } => {
                let _ = answers.try_send(frame::encode(&Frame::Response { id, response }));
            }
        }
    }
}

struct Door {
    node: NodeId,
    cluster: u64,
    events: mpsc::Sender<Event>,
    transport: Arc<Transport>,
}

/// Who calls: a node, or somebody who is none yet and may only ask.
#[derive(Clone, Copy)]
struct Caller(NodeId);

impl Caller {
    fn is_guest(self) -> bool {
        self.0 == 0
    }
}

/// Accepts peers until the task is stopped.
pub async fn listen(
    listener: Arc<TcpListener>,
    options: &ReplicaOptions,
    events: mpsc::Sender<Event>,
    transport: Arc<Transport>,
    tasks: Arc<TaskGroup>,
) {
    let door = Arc::new(Door { node: options.node, cluster: options.cluster, events, transport });
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let door = door.clone();
                tasks.spawn(async move {
                    let ended = serve(&door, stream).await;
                    tracing::debug!(%peer, ?ended, "connection from peer ended");
                });
            }
            // Out of file handles, or the peer was gone already: the next one may do better.
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(door: &Door, stream: TcpStream) -> io::Result<()> {
    let (reader, writer) = tokio::io::split(stream);
    let (answers, queue) = mpsc::channel(ANSWER_QUEUE);
    let writing = task::spawn(write_answers(writer, queue));
    let ended = read_frames(door, reader, answers).await;
    writing.abort();
    ended
}

async fn write_answers(mut writer: WriteHalf<TcpStream>, mut queue: mpsc::Receiver<Vec<u8>>) {
    let mut buffer = Vec::new();
    loop {
        rt::select! {
            answer = queue.recv() => match answer {
                Some(bytes) => buffer.extend(bytes),
                None => return,
            },
            () = time::sleep(ALIVE_EVERY) => buffer.extend(frame::encode(&Frame::Alive)),
        }
        while let Ok(bytes) = queue.try_recv() {
            buffer.extend(bytes);
        }
        match time::timeout(SILENCE, writer.write_all(&buffer)).await {
            Ok(Ok(())) => buffer.clear(),
            _ => return,
        }
    }
}

async fn read_frames(
    door: &Door,
    reader: ReadHalf<TcpStream>,
    answers: mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let mut frames = FrameReader::new(reader);
    let mut deadline = time::sleep(SILENCE);
    let mut from = None;
    loop {
        let frame = rt::select! {
            frame = frames.next() => frame?,
            () = &mut deadline => return Err(io::ErrorKind::TimedOut.into()),
        };
        deadline.reset(Instant::now() + SILENCE);
        match (from, frame) {
            (_, None) => return Ok(()),
            (None, Some(hello)) => from = Some(door.greet(&hello)?),
            (Some(from), Some(frame)) => door.take(from, frame, &answers).await?,
        }
    }
}

fn removed(node: NodeId) -> io::Error {
    invalid(format!("node {node} was removed from the cluster"))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl Door {
    fn greet(&self, hello: &Frame) -> io::Result<Caller> {
        match *hello {
            Frame::Hello { from, .. } if self.transport.is_removed(from) => Err(removed(from)),
            Frame::Hello { protocol, cluster, from, to }
                if (protocol, cluster) == (frame::PROTOCOL, self.cluster)
                    && (to == self.node || (from, to) == (0, 0)) =>
            {
                Ok(Caller(from))
            }
            _ => {
                tracing::warn!(?hello, node = self.node, cluster = self.cluster, "refused a stranger");
                Err(invalid(format!("not a greeting for node {} of cluster {}", self.node, self.cluster)))
            }
        }
    }

    async fn take(&self, caller: Caller, frame: Frame, answers: &mpsc::Sender<Vec<u8>>) -> io::Result<()> {
        let Caller(from) = caller;
        match frame {
            Frame::Request { .. } | Frame::Alive => {}
            _ if caller.is_guest() => return Err(invalid("a guest may only ask".into())),
            // Removed since it called.
            Frame::Raft { .. } | Frame::Leads { .. } if self.transport.is_removed(from) => {
                return Err(removed(from));
            }
            _ => {}
        }
        match frame {
            Frame::Raft { group, message } => {
                let message = codec::decode(&message).map_err(|error| invalid(error.to_string()))?;
                // Dropped when the driver is behind: raft sends it again.
                let _ = self.events.try_send(Event::Raft { from, group, message });
            }
            Frame::Request { id, request } => {
                let reply = ReplyTo::Peer { answers: answers.clone(), id };
                self.submit(Event::Request { request, reply });
            }
            Frame::SnapshotChunk { group, transfer, number, chunk } => {
                // Waits for room: back-pressure for the sender of a snapshot.
                let event = Event::SnapshotChunk { from, group, transfer, number, chunk };
                return self.events.send(event).await.map_err(|_| io::ErrorKind::ConnectionAborted.into());
            }
            Frame::SnapshotEnd { group, transfer, chunks, message } => {
                let message = codec::decode(&message).map_err(|error| invalid(error.to_string()))?;
                let event = Event::SnapshotEnd { from, group, transfer, chunks, message };
                return self.events.send(event).await.map_err(|_| io::ErrorKind::ConnectionAborted.into());
            }
            Frame::Leads { group, term } => {
                // Lost when the driver is behind: it is said again, and hints tell it too.
                let _ = self.events.try_send(Event::Leads { node: from, group, term });
            }
            Frame::Alive => {}
            Frame::Hello { .. } | Frame::Response { .. } => {
                return Err(invalid("out of place".into()));
            }
        }
        Ok(())
    }

    fn submit(&self, event: Event) {
        submit(&self.events, event);
    }
}

/// Hands a request to the driver, or refuses it at once.
pub fn submit(events: &mpsc::Sender<Event>, event: Event) {
    if let Err(error) = events.try_send(event)
        && let Event::Request { reply, .. } = error.into_inner()
    {
        reply.send(Response::Refused(Refusal::Busy));
    }
}
