//! What goes over a connection between nodes: length-prefixed postcard frames.
//!
//! The dialling side opens with [`Frame::Hello`]. Raft messages, requests and snapshot chunks go its way;
//! answers come back. Both sides send [`Frame::Alive`] when they have nothing else to say.

use crate::envelope::{Answer, Envelope};
use crate::members::{Members, Target};
use crate::store::Chunk;
use crate::{GroupId, NodeId};
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Rises with every change to this file that an older node would not understand.
pub const PROTOCOL: u32 = 1;

/// Frames beyond this are refused and the connection closed.
pub const MAX_FRAME_BYTES: usize = 32 << 20;

/// One frame.
#[derive(Debug, Serialize, Deserialize)]
pub enum Frame {
    /// Who calls whom.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Cluster of the caller.
        cluster: u64,
        /// The caller.
        from: NodeId,
        /// Whom it believes to have called.
        to: NodeId,
    },
    /// A raft message, see [`crate::codec`].
    Raft {
        /// Its group.
        group: GroupId,
        /// Its bytes.
        #[serde(with = "serde_bytes")]
        message: Vec<u8>,
    },
    /// Asks for something.
    Request {
        /// Number of the request on this connection's caller.
        id: u64,
        /// What is asked.
        request: Request,
    },
    /// Answers a request.
    Response {
        /// Number of the request.
        id: u64,
        /// The answer.
        response: Response,
    },
    /// A piece of a snapshot.
    SnapshotChunk {
        /// Its group.
        group: GroupId,
        /// Names the transfer.
        transfer: u64,
        /// Counts from 0.
        number: u64,
        /// The piece.
        chunk: Chunk,
    },
    /// All pieces were sent; the raft message that announces the snapshot.
    SnapshotEnd {
        /// Its group.
        group: GroupId,
        /// Names the transfer.
        transfer: u64,
        /// Number of chunks.
        chunks: u64,
        /// The raft message's bytes.
        #[serde(with = "serde_bytes")]
        message: Vec<u8>,
    },
    /// The sender leads a group, so that requests find it at once.
    Leads {
        /// The group.
        group: GroupId,
        /// Its term.
        term: u64,
    },
    /// The connection lives.
    Alive,
}

/// What a node asks another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Put commands into a group's log.
    Propose {
        /// The group.
        group: GroupId,
        /// The commands.
        envelopes: Vec<Envelope>,
    },
    /// Ask a group's state machine.
    Read {
        /// The group.
        group: GroupId,
        /// The query, in its app's encoding.
        #[serde(with = "serde_bytes")]
        query: Vec<u8>,
        /// What the answer must have seen.
        consistency: Consistency,
    },
    /// Asks a group's leader to work towards these members, and how far it is. Asked again, it goes on.
    Reconfigure(Target),
    /// Asks a group's leader who belongs to it.
    Members {
        /// The group.
        group: GroupId,
    },
    /// Asks a node, whoever it is, what it knows of the cluster; and may claim an id, see
    /// [`crate::bootstrap`].
    Introduce {
        /// The id that the caller claims; 0 to ask only.
        node: NodeId,
        /// Names the data folder that claims it.
        token: u64,
    },
}

impl Request {
    /// The group it is for, if it is for one.
    pub fn group(&self) -> Option<GroupId> {
        match self {
            Request::Propose { group, .. }
            | Request::Read { group, .. }
            | Request::Members { group }
            | Request::Reconfigure(Target { group, .. }) => Some(*group),
            Request::Introduce { .. } => None,
        }
    }
}

/// What the answer to a read must have seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consistency {
    /// Every write acknowledged before the read began.
    #[default]
    Linearizable,
    /// Whatever the asked replica has applied.
    Stale,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// One answer per command, and the index of their entry.
    Proposed {
        /// Index in the group's log.
        index: u64,
        /// In the order of the commands.
        answers: Vec<Answer>,
    },
    /// The state machine's answer.
    Read {
        /// Index the state had applied.
        applied: u64,
        /// In the app's encoding.
        #[serde(with = "serde_bytes")]
        answer: Vec<u8>,
    },
    /// Not done.
    Refused(Refusal),
    /// Who belongs to a group, as its leader has applied it.
    Members {
        /// They.
        members: Members,
        /// Nothing is under way, and they are what was asked for.
        settled: bool,
        /// The leader's term.
        term: u64,
        /// The last index of its log.
        last_index: u64,
    },
    /// The answer to an introduction.
    Introduced(Introduction),
}

/// What a node says to one that introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// The newest format that the node speaks, see [`crate::bootstrap::FORMAT`].
    pub format: u32,
    /// The claimed id belongs to another data folder, or has never been given out: never use it.
    pub taken: bool,
    /// Version of what the node knows of the cluster's members, 0 for nothing.
    pub version: u64,
    /// Peer addresses of the cluster's nodes; empty as long as no cluster is known.
    pub nodes: Vec<(NodeId, String)>,
}

/// Why a request was not done, or perhaps not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This replica does not lead. Nothing was done.
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// No replica of the group here. Nothing was done.
    NoReplica,
    /// Too much to do. Nothing was done.
    Busy,
    /// The entry lost its place in the log to another leader's. Nothing was done, nor will be.
    Overwritten,
    /// It is in the log, but what became of it this replica cannot tell.
    Unknown,
    /// Another change of members is under way, or a newer one was asked for. Nothing was done.
    ChangeUnderWay,
    /// Fewer than a majority of the asked voters answer. Nothing was done yet.
    NoQuorum,
    /// No voters, or a node twice. Nothing was done, nor will be.
    Nonsense,
}

/// The bytes of a frame, with its length before it.
pub fn encode(frame: &Frame) -> Vec<u8> {
    // Serialisation of plain data into memory has no way to fail.
    let mut bytes = postcard::to_extend(frame, vec![0; 4]).unwrap_or_default();
    let length = u32::try_from(bytes.len().saturating_sub(4)).unwrap_or(u32::MAX);
    if let Some(prefix) = bytes.first_chunk_mut::<4>() {
        *prefix = length.to_le_bytes();
    }
    bytes
}

/// Reads frames from a stream, many from one read.
pub struct FrameReader<R> {
    stream: R,
    buffer: bytes::BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `stream`.
    pub fn new(stream: R) -> Self {
        FrameReader { stream, buffer: bytes::BytesMut::new() }
    }

    /// The next frame; `None` at the end of the stream. Safe to drop before it ends.
    ///
    /// # Errors
    /// If the stream breaks, or what comes is not a frame.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(prefix) = self.buffer.first_chunk::<4>() {
                let length = u32::from_le_bytes(*prefix) as usize;
                if length > MAX_FRAME_BYTES {
                    let text = format!("frame of {length} bytes; the limit is {MAX_FRAME_BYTES}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                if self.buffer.len() >= 4 + length {
                    let frame = self.buffer.split_to(4 + length);
                    let frame = postcard::from_bytes(&frame[4..]);
                    return frame.map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e));
                }
            }
            self.buffer.reserve(16 << 10);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}
