//! Groups coming up: found on the disk at the start, or created by placement.

use super::{Driver, DriverError, election_timeout};
use crate::dedup::Dedup;
use crate::group::{Group, Reads};
use crate::machine::Row;
use crate::observe::Step;
use crate::options::GroupSpec;
use crate::store::{Changes, GroupChanges, GroupLog, GroupRecord, GroupRows, StoreError};
use crate::{GroupId, ReplicaOptions};
use raft::eraftpb::Entry;
use raft::{Config, RawNode, StateRole};
use std::collections::BTreeMap;

/// raft's own log lines are left out: observations and our events tell more.
fn silent_logger() -> slog::Logger {
    slog::Logger::root(slog::Discard, slog::o!())
}

fn raft_config(options: &ReplicaOptions, applied: u64) -> Config {
    Config {
        id: options.node,
        election_tick: options.election_ticks,
        heartbeat_tick: options.heartbeat_ticks,
        applied,
        pre_vote: true,
        check_quorum: true,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 256,
        max_uncommitted_size: 16 << 20,
        max_committed_size_per_ready: 16 << 20,
        skip_bcast_commit: false,
        ..Config::default()
    }
}

impl Driver {
    pub(super) async fn open_found(&mut self) -> Result<(), DriverError> {
        let store = self.store.clone();
        let found = rt::task::blocking(move || -> Result<_, StoreError> {
            let view = store.view()?;
            let groups = store.groups()?.into_iter().map(|found| {
                let rows = view.of(found.record.spec.group);
                let all = rows.all()?;
                Ok((found, rows, all))
            });
            groups.collect::<Result<Vec<_>, StoreError>>()
        })
        .await?;
        for (found, rows, all) in found {
            if found.record.removed {
                // Said again: the node may have died before it could say so.
                self.observe(found.record.spec.group, Step::Removed);
                self.tombstones.insert(found.record.spec.group, found.record);
                continue;
            }
            self.add(found.record, found.entries, rows, all, false)?;
        }
        Ok(())
    }

    /// Starts an empty replica of `spec`, durably, unless there is one. Where the node is no part of
    /// `spec`, the replica waits until a leader takes it in.
    pub(super) async fn create(&mut self, spec: GroupSpec) -> Result<(), DriverError> {
        let group = spec.group;
        if self.groups.contains_key(&group) {
            return Ok(());
        }
        let tombstone = self.tombstones.remove(&group);
        let kept = tombstone.clone();
        let again = tombstone.is_some();
        let record = match tombstone {
            None => GroupRecord::new(spec),
            Some(tombstone) => tombstone.revived(spec),
        };
        if let Some(kept) = &kept {
            rt::always!(
                (record.term, record.vote, record.promise) == (kept.term, kept.vote, kept.promise),
                "create: who comes back to a group keeps its vote and its promise",
                "group {group}: {record:?} after {kept:?}"
            );
        }
        let rows = self.write_record(&record).await?;
        self.add(record, Vec::new(), rows, Vec::new(), !again)
    }

    /// Writes the record of a group that has nothing else.
    async fn write_record(&mut self, record: &GroupRecord) -> Result<GroupRows, DriverError> {
        let group = record.spec.group;
        let changes = Changes {
            groups: vec![GroupChanges {
                record: record.clone(),
                install_snapshot: false,
                entries: Vec::new(),
                last_index_before: 0,
                compact_to: 0,
                first_index_before: 1,
                rows: Vec::new(),
            }],
            staged: Vec::new(),
        };
        let store = self.store.clone();
        let rows = rt::task::blocking(move || -> Result<_, StoreError> {
            store.commit(&changes)?;
            Ok(store.view()?.of(group))
        })
        .await?;
        self.commits += 1;
        Ok(rows)
    }

    /// Deletes this replica's data: the group's leader in `term`, whose log ended at `last_index`, said
    /// that this node is no part of the group.
    ///
    /// It may meanwhile have become one again, which it cannot without having answered a leader since: then
    /// its term or its log is ahead of what was said, and nothing is deleted. What stays is the term, the
    /// vote, and how far the log reached, see [`GroupRecord::promise`].
    pub(super) async fn remove(
        &mut self,
        id: GroupId,
        term: u64,
        last_index: u64,
    ) -> Result<(), DriverError> {
        let Some(group) = self.groups.get(&id) else { return Ok(()) };
        let raft = &group.raw.raft;
        if raft.term > term || raft.raft_log.last_index() > last_index || raft.state == StateRole::Leader {
            return Ok(());
        }
        let Some(mut group) = self.groups.remove(&id) else { return Ok(()) };
        group.refuse_all();
        let log = group.raw.store();
        let tombstone = log.record.clone().tombstone(log.end());
        drop(group);
        self.write_record(&tombstone).await?;
        self.tombstones.insert(id, tombstone);
        tracing::info!(group = id, node = self.options.node, "replica removed");
        self.observe(id, Step::Removed);
        Ok(())
    }

    fn add(
        &mut self,
        record: GroupRecord,
        entries: Vec<Entry>,
        rows: GroupRows,
        all: Vec<Row>,
        fresh: bool,
    ) -> Result<(), DriverError> {
        let id = record.spec.group;
        let applied = record.applied;
        let mut log = GroupLog::new(record, entries);
        // Rows may be written ahead of the commit index, never ahead of the log.
        log.record.commit = log.record.commit.max(applied.index);
        let record = &log.record;
        let started = Step::Started {
            term: record.term,
            vote: record.vote,
            commit: record.commit,
            applied: applied.index,
            last_index: log.last(),
        };
        let home = record.spec.home;
        let eager = fresh && home == self.options.node && record.members.voters.contains(&home);
        let raw = RawNode::new(&raft_config(&self.options, applied.index), log, &silent_logger())?;
        let mut group = Group {
            id,
            raw,
            machine: self.new_machine(id),
            dedup: Dedup::new(),
            applied,
            role: StateRole::Follower,
            arrived: Vec::new(),
            arrived_waiting: Vec::new(),
            proposed: BTreeMap::new(),
            reads: Reads::default(),
            incoming: None,
            dirty: false,
            urgent: false,
            home,
            target: None,
            rows: Some(rows),
            eager,
            ticks: 0,
            look_home: false,
        };
        group
            .restore(self.new_machine(id), all)
            .map_err(|reason| StoreError::Damaged { group: id, reason })?;
        fix_timeout(&self.options, &mut group);
        self.groups.insert(id, group);
        self.observe(id, started);
        Ok(())
    }
}

/// To be called after every call into raft that may have changed the term or drawn a timeout.
pub(super) fn fix_timeout(options: &ReplicaOptions, group: &mut Group) {
    let timeout = election_timeout(options, group.id, group.raw.raft.term);
    group.raw.raft.set_randomized_election_timeout(timeout);
}
