//! Raft messages as bytes.
//!
//! An own codec, because the protobuf parser that comes with raft-rs 0.7 overflows its stack on hostile
//! bytes (RUSTSEC-2024-0437). The form is postcard of `WireMessage`; decoding never panics.

use crate::members::Members;
use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, EntryType, Message, MessageType, Snapshot};
use serde::{Deserialize, Serialize};

/// The bytes are not a raft message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not our encoding, or cut short.
    #[error("malformed raft message: {0}")]
    Malformed(#[from] postcard::Error),
    /// A message or entry type that we do not know.
    #[error("unknown {what} type {number}")]
    UnknownType {
        /// `message` or `entry`.
        what: &'static str,
        /// The number found.
        number: u8,
    },
}

#[derive(Serialize, Deserialize)]
struct WireMessage<'a> {
    kind: u8,
    to: u64,
    from: u64,
    term: u64,
    log_term: u64,
    index: u64,
    #[serde(borrow)]
    entries: Vec<WireEntry<'a>>,
    commit: u64,
    commit_term: u64,
    snapshot: Option<WireSnapshot>,
    request_snapshot: u64,
    reject: bool,
    reject_hint: u64,
    #[serde(with = "serde_bytes")]
    context: &'a [u8],
    priority: i64,
}

/// A log entry as stored and sent.
#[derive(Serialize, Deserialize)]
struct WireEntry<'a> {
    kind: u8,
    term: u64,
    index: u64,
    #[serde(with = "serde_bytes")]
    data: &'a [u8],
    #[serde(with = "serde_bytes")]
    context: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct WireSnapshot {
    index: u64,
    term: u64,
    voters: Vec<u64>,
    learners: Vec<u64>,
}

/// The bytes of `message`.
pub fn encode(message: &Message) -> Vec<u8> {
    let wire = WireMessage {
        kind: message.msg_type as i32 as u8,
        to: message.to,
        from: message.from,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.entries.iter().map(wire_entry).collect(),
        commit: message.commit,
        commit_term: message.commit_term,
        snapshot: message.snapshot.as_ref().map(|snapshot| {
            let metadata = snapshot.get_metadata();
            WireSnapshot {
                index: metadata.index,
                term: metadata.term,
                voters: metadata.get_conf_state().voters.clone(),
                learners: metadata.get_conf_state().learners.clone(),
            }
        }),
        request_snapshot: message.request_snapshot,
        reject: message.reject,
        reject_hint: message.reject_hint,
        // A snapshot has no context, so its members travel there: joint changes and version included.
        context: message.snapshot.as_ref().map_or(&message.context, |snapshot| &snapshot.data),
        priority: message.priority,
    };
    // Serialisation of plain data into memory has no way to fail.
    postcard::to_stdvec(&wire).unwrap_or_default()
}

/// The message in `bytes`.
///
/// # Errors
/// [`CodecError`] if there is none.
pub fn decode(bytes: &[u8]) -> Result<Message, CodecError> {
    let wire: WireMessage<'_> = postcard::from_bytes(bytes)?;
    let mut message = Message {
        msg_type: message_type(wire.kind)?,
        to: wire.to,
        from: wire.from,
        term: wire.term,
        log_term: wire.log_term,
        index: wire.index,
        entries: wire.entries.iter().map(entry_of).collect::<Result<Vec<_>, _>>()?.into(),
        commit: wire.commit,
        commit_term: wire.commit_term,
        request_snapshot: wire.request_snapshot,
        reject: wire.reject,
        reject_hint: wire.reject_hint,
        context: Bytes::copy_from_slice(wire.context),
        priority: wire.priority,
        ..Message::default()
    };
    if let Some(snapshot) = wire.snapshot {
        let members = std::mem::take(&mut message.context);
        message.set_snapshot(snapshot_of(snapshot, members));
    }
    Ok(message)
}

/// The bytes of a log entry.
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    // Serialisation of plain data into memory has no way to fail.
    postcard::to_stdvec(&wire_entry(entry)).unwrap_or_default()
}

/// The log entry in `bytes`.
///
/// # Errors
/// [`CodecError`] if there is none.
pub fn decode_entry(bytes: &[u8]) -> Result<Entry, CodecError> {
    entry_of(&postcard::from_bytes(bytes)?)
}

fn wire_entry(entry: &Entry) -> WireEntry<'_> {
    WireEntry {
        kind: entry.entry_type as i32 as u8,
        term: entry.term,
        index: entry.index,
        data: &entry.data,
        context: &entry.context,
    }
}

fn entry_of(wire: &WireEntry<'_>) -> Result<Entry, CodecError> {
    let entry_type = match wire.kind {
        0 => EntryType::EntryNormal,
        1 => EntryType::EntryConfChange,
        2 => EntryType::EntryConfChangeV2,
        number => return Err(CodecError::UnknownType { what: "entry", number }),
    };
    Ok(Entry {
        entry_type,
        term: wire.term,
        index: wire.index,
        data: Bytes::copy_from_slice(wire.data),
        context: Bytes::copy_from_slice(wire.context),
        ..Entry::default()
    })
}

fn snapshot_of(wire: WireSnapshot, members: Bytes) -> Snapshot {
    let plain = ConfState { voters: wire.voters, learners: wire.learners, ..ConfState::default() };
    // Nodes before membership changes send none, and need none.
    let conf_state = Members::decode(&members).map_or(plain, |members| members.conf_state());
    let mut snapshot = Snapshot { data: members, ..Snapshot::default() };
    let metadata = snapshot.mut_metadata();
    metadata.index = wire.index;
    metadata.term = wire.term;
    metadata.set_conf_state(conf_state);
    snapshot
}

fn message_type(number: u8) -> Result<MessageType, CodecError> {
    use MessageType::*;
    // Message types that a node only sends to itself (hup, beat, …) are not accepted from outside.
    let known = [
        MsgAppend,
        MsgAppendResponse,
        MsgRequestVote,
        MsgRequestVoteResponse,
        MsgSnapshot,
        MsgHeartbeat,
        MsgHeartbeatResponse,
        MsgTransferLeader,
        MsgTimeoutNow,
        MsgReadIndex,
        MsgReadIndexResp,
        MsgRequestPreVote,
        MsgRequestPreVoteResponse,
    ];
    let found = known.into_iter().find(|kind| *kind as i32 as u8 == number);
    found.ok_or(CodecError::UnknownType { what: "message", number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = Message> {
        let numbers = proptest::collection::vec(any::<u64>(), 9);
        let entries =
            proptest::collection::vec((any::<u64>(), proptest::collection::vec(any::<u8>(), 0..64)), 0..5);
        (numbers, entries, any::<bool>(), any::<i64>()).prop_map(|(n, entries, snapshot, priority)| {
            let mut message = Message::default();
            message.set_msg_type(if snapshot { MessageType::MsgSnapshot } else { MessageType::MsgAppend });
            (message.to, message.from, message.term) = (n[0], n[1], n[2]);
            (message.log_term, message.index, message.commit) = (n[3], n[4], n[5]);
            (message.commit_term, message.request_snapshot, message.reject_hint) = (n[6], n[7], n[8]);
            message.priority = priority;
            message.reject = priority % 2 == 0;
            message.context = Bytes::from(n[0].to_be_bytes().to_vec());
            for (index, data) in entries {
                let mut entry = Entry::default();
                (entry.index, entry.term, entry.data) = (index, n[1], data.into());
                message.entries.push(entry);
            }
            if snapshot {
                let joint = Members {
                    version: n[2],
                    voters: vec![1, 2],
                    learners: vec![3],
                    voters_outgoing: vec![1, 4],
                    learners_next: vec![4],
                };
                let wire = WireSnapshot { index: n[0], term: n[1], voters: vec![1, 2], learners: vec![3] };
                message.context = Bytes::new();
                message.set_snapshot(snapshot_of(wire, joint.encode().into()));
            }
            message
        })
    }

    proptest! {
        #[test]
        fn every_message_survives(message in message()) {
            prop_assert_eq!(decode(&encode(&message)).unwrap(), message);
        }

        #[test]
        fn hostile_bytes_are_an_error_or_a_message(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            if let Ok(message) = decode(&bytes) {
                decode(&encode(&message)).unwrap();
            }
        }

        #[test]
        fn cut_bytes_are_an_error(message in message(), cut in 1usize..40) {
            let bytes = encode(&message);
            let len = bytes.len().saturating_sub(cut);
            prop_assert!(decode(&bytes[..len]).is_err());
        }
    }
}
