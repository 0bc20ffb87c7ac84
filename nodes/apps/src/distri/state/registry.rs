//! Peers and nodes, which are forgotten when they fall silent.

use super::{CLOCK, Clock, PEER, Peer, State, named, node_key};
use crate::distri::command::{self, MAX_NODES, MAX_PEERS, MAX_STEP_MS, NodeRow, PEER_TTL_MS, Refused, Reply};

impl State {
    /// Moves log time on, and forgets who was silent for too long.
    pub(super) fn pass_time(&mut self, at_ms: u64) -> u64 {
        let step = at_ms.saturating_sub(self.clock.leader_ms).min(MAX_STEP_MS);
        self.clock = Clock { log_ms: self.clock.log_ms + step, leader_ms: at_ms };
        let now = self.clock.log_ms;
        let State { peers, nodes, changed, .. } = self;
        changed.insert(CLOCK.into());
        let silent = |seen_ms: u64| seen_ms + PEER_TTL_MS < now;
        peers.retain(|name, peer| {
            if silent(peer.seen_ms) {
                changed.insert(named(PEER, name));
            }
            !silent(peer.seen_ms)
        });
        nodes.retain(|id, (_, seen_ms)| {
            if silent(*seen_ms) {
                changed.insert(node_key(*id));
            }
            !silent(*seen_ms)
        });
        now
    }

    pub(super) fn heartbeat(&mut self, peer: String, address: String, at_ms: u64) -> Result<Reply, Refused> {
        if !command::is_peer(&peer) || !command::is_peer(&address) {
            return Err(Refused::Invalid);
        }
        let seen_ms = self.pass_time(at_ms);
        if !self.peers.contains_key(&peer) && self.peers.len() >= MAX_PEERS {
            return Err(Refused::Full);
        }
        self.changed.insert(named(PEER, &peer));
        self.peers.insert(peer, Peer { address, seen_ms });
        Ok(Reply::Done)
    }

    pub(super) fn node(&mut self, row: NodeRow, at_ms: u64) -> Result<Reply, Refused> {
        if !command::is_peer(&row.name) || !command::is_peer(&row.address) {
            return Err(Refused::Invalid);
        }
        let seen_ms = self.pass_time(at_ms);
        if !self.nodes.contains_key(&row.id) && self.nodes.len() >= MAX_NODES {
            return Err(Refused::Full);
        }
        self.changed.insert(node_key(row.id));
        self.nodes.insert(row.id, (row, seen_ms));
        Ok(Reply::Done)
    }
}
