//! What the raft judges know together: each replica's durable log, and what each group has committed.
//!
//! Not a judge. It holds only what is certain. Two things make that less than everything:
//! - memory: of every log only the newest [`WINDOW`] indices are kept;
//! - crashes: a replica can crash after a write became durable and before that was reported. So after a
//!   start the log may hold entries the ledger never saw, and entries that could have been replaced
//!   meanwhile are forgotten (see `ReplicaLog::certain_last`).
//!
//! Compaction is not observed, and need not be: a compacted entry was committed, so it stays true.

use std::collections::BTreeMap;

use crate::observation::{Observation, Step};

/// How many indices of a log are remembered.
pub const WINDOW: u64 = 50_000;

/// A log entry, without its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) term: u64,
    pub(crate) hash: u64,
}

/// What a log says about an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// This entry is there.
    Entry(Entry),
    /// Nothing is there: the log ends before it.
    Absent,
    /// Cannot be told: never seen, forgotten, or covered by a snapshot.
    Unknown,
}

/// The durable log of one replica, as far as it is certain.
#[derive(Debug, Default)]
pub(crate) struct ReplicaLog {
    /// Index and term of the last installed snapshot.
    pub(crate) snapshot: (u64, u64),
    /// Last durable index.
    pub(crate) last: u64,
    /// Last applied index of this incarnation.
    pub(crate) applied: u64,
    /// Highest applied index of all incarnations: these entries are committed for good.
    applied_ever: u64,
    /// True once the replica told what its disk holds.
    started: bool,
    entries: BTreeMap<u64, Entry>,
}

impl ReplicaLog {
    /// What the log says about `index`.
    pub(crate) fn get(&self, index: u64) -> Held {
        match self.entries.get(&index) {
            Some(entry) => Held::Entry(*entry),
            None if self.started && index > self.last => Held::Absent,
            None => Held::Unknown,
        }
    }

    /// Term at `index`, if known. Index 0 is before every log and has term 0.
    pub(crate) fn term(&self, index: u64) -> Option<u64> {
        if index == 0 {
            return Some(0);
        }
        if index == self.snapshot.0 {
            return Some(self.snapshot.1);
        }
        self.entries.get(&index).map(|entry| entry.term)
    }

    /// The highest index that a correct disk surely still holds when it comes back with `term`.
    ///
    /// Not simply the last durable index: a leader of a newer term may have made the replica replace its
    /// tail just before the crash, too late to be reported. Such a leader's term would be durable along
    /// with it, and higher than the terms of all that it replaced; and it never replaces what the replica
    /// has applied.
    pub(crate) fn certain_last(&self, term: u64) -> u64 {
        let newest = self.entries.iter().rev().take_while(|(index, _)| **index > self.applied_ever);
        let current = newest.into_iter().find(|(_, entry)| entry.term >= term).map(|(index, _)| *index);
        let applied = self.applied_ever.min(self.last);
        current.unwrap_or(0).max(applied).max(self.snapshot.0)
    }

    fn restart(&mut self, term: u64, applied: u64, last_index: u64) {
        let certain = self.certain_last(term).min(last_index);
        truncate(&mut self.entries, certain.saturating_add(1));
        self.last = last_index;
        self.applied = applied;
        self.applied_ever = self.applied_ever.max(applied);
        self.started = true;
    }

    fn append(&mut self, index: u64, entry: Entry) {
        truncate(&mut self.entries, index);
        self.entries.insert(index, entry);
        prune(&mut self.entries);
        self.last = index;
    }

    fn install(&mut self, index: u64, term: u64) {
        if self.term(index) == Some(term) {
            self.entries = self.entries.split_off(&index.saturating_add(1));
            self.last = self.last.max(index);
        } else {
            self.entries.clear();
            self.last = index;
        }
        self.snapshot = (index, term);
        self.apply(index);
    }

    fn apply(&mut self, index: u64) {
        self.applied = index;
        self.applied_ever = self.applied_ever.max(index);
    }
}

/// An entry that someone applied, and who did so first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) entry: Entry,
    pub(crate) node: u64,
    pub(crate) at_ns: u64,
    /// No leader of a later term than this can have committed it: the highest term, up to then, that had
    /// a leader. An old entry is often committed by a leader of a later term than its own.
    pub(crate) by_term: u64,
}

/// What one group has agreed on.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) committed: BTreeMap<u64, Committed>,
    leader_term: u64,
}

/// All groups and replicas.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    groups: BTreeMap<u64, Group>,
    /// By node and group.
    replicas: BTreeMap<(u64, u64), ReplicaLog>,
}

impl Ledger {
    /// The group's agreements; `None` if nothing is known of it.
    pub(crate) fn group(&self, group: u64) -> Option<&Group> {
        self.groups.get(&group)
    }

    /// The durable log of the replica that `observation` is about; `None` before its first step.
    pub(crate) fn log(&self, observation: &Observation) -> Option<&ReplicaLog> {
        self.replicas.get(&(observation.node, observation.group))
    }

    /// Takes note of a step, after the judges have seen it.
    pub(crate) fn record(&mut self, observation: &Observation) {
        let Observation { at_ns, node, group, ref step } = *observation;
        let log = self.replicas.entry((node, group)).or_default();
        match *step {
            Step::Started { term, applied, last_index, .. } => log.restart(term, applied, last_index),
            Step::Appended { index, term, hash } => log.append(index, Entry { term, hash }),
            Step::SnapshotInstalled { index, term } => log.install(index, term),
            Step::BecameLeader { term } => {
                let group = self.groups.entry(group).or_default();
                group.leader_term = group.leader_term.max(term);
            }
            Step::Applied { index, term, hash } => {
                log.apply(index);
                let group = self.groups.entry(group).or_default();
                let by_term = group.leader_term.max(term);
                let entry = Entry { term, hash };
                group.committed.entry(index).or_insert(Committed { entry, node, at_ns, by_term });
                prune(&mut group.committed);
            }
            Step::Removed => *log = ReplicaLog::default(),
            Step::HardState { .. } | Step::SteppedDown { .. } | Step::StateHash { .. } => {}
        }
    }
}

/// Keeps the newest [`WINDOW`] indices. An insertion far below them goes at once, which is meant.
pub(crate) fn prune<V>(map: &mut BTreeMap<u64, V>) {
    while let (Some((first, _)), Some((last, _))) = (map.first_key_value(), map.last_key_value())
        && last - first >= WINDOW
    {
        map.pop_first();
    }
}

/// Drops `from` and everything after it.
fn truncate(entries: &mut BTreeMap<u64, Entry>, from: u64) {
    while let Some(last) = entries.last_entry()
        && *last.key() >= from
    {
        last.remove();
    }
}
