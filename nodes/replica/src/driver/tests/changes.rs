//! Leaders in the middle of a change of members, in states that a cluster comes to only by an unlucky crash.

use super::*;
use crate::members::{Change, Step, Target};
use raft::StateRole;
use raft::eraftpb::{Entry, EntryType};

const THIRD: NodeId = 3;
const NEWCOMER: NodeId = 4;

fn said(from: NodeId, kind: MessageType, term: u64, index: u64) -> Event {
    let mut message = Message { from, to: FOLLOWER, term, index, ..Message::default() };
    message.set_msg_type(kind);
    Event::Raft { from, group: GROUP, message }
}

/// What the leader of term 1 sends first: these changes, of which so many are committed.
fn sent(changes: &[Change], commit: u64) -> Event {
    let entries = (1..).zip(changes).map(|(index, change)| {
        let mut entry = Entry { term: 1, index, context: change.encode().into(), ..Entry::default() };
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        entry
    });
    let entries: Vec<Entry> = entries.collect();
    let mut message = Message { from: LEADER, to: FOLLOWER, term: 1, commit, ..Message::default() };
    message.entries = entries.into();
    message.set_msg_type(MessageType::MsgAppend);
    Event::Raft { from: LEADER, group: GROUP, message }
}

/// The one under test is made the leader of term 2.
async fn elected(node: &mut Follower) {
    node.take([said(LEADER, MessageType::MsgTimeoutNow, 1, 0)]).await;
    let votes = [LEADER, THIRD].map(|from| said(from, MessageType::MsgRequestVoteResponse, 2, 0));
    node.take(votes).await;
    assert_eq!(node.group().raw.raft.state, StateRole::Leader);
}

#[test]
fn a_leader_elected_with_the_end_of_its_membership_in_its_log_steps_down() {
    run(async {
        let mut node = Follower::of(vec![LEADER, FOLLOWER, THIRD]).await;
        let swap = Change { version: 1, steps: vec![Step::Vote(NEWCOMER), Step::Leave(FOLLOWER)] };
        let end = Change { version: 1, steps: vec![] };
        node.take([sent(&[swap, end], 1)]).await;
        assert!(node.group().members().is_joint());
        elected(&mut node).await;
        // Both majorities have everything: the end is committed, and with it the leader is no member.
        node.take([LEADER, THIRD].map(|from| said(from, MessageType::MsgAppendResponse, 2, 3))).await;
        assert_eq!(node.group().members().voters, [LEADER, THIRD, NEWCOMER]);
        assert!(!node.group().members().is_joint());
        assert_eq!(node.group().raw.raft.state, StateRole::Follower, "it has left, and must not lead");
        for _ in 0..100 {
            node.driver.tick();
            node.take([]).await;
        }
        assert_eq!(node.group().raw.raft.state, StateRole::Follower);
    });
}

#[test]
fn a_leader_proposes_no_change_before_it_has_committed_in_its_term() {
    run(async {
        let mut node = Follower::of(vec![LEADER, FOLLOWER, THIRD]).await;
        elected(&mut node).await;
        let voters = vec![LEADER, FOLLOWER, THIRD];
        let target = Target { group: GROUP, version: 1, voters, learners: vec![NEWCOMER] };
        let group = node.driver.groups.get_mut(&GROUP).unwrap();
        change::ask(group, target, FOLLOWER);
        assert_eq!(group.raw.raft.raft_log.last_index(), 1, "only the entry that begins its term");
        node.take([said(LEADER, MessageType::MsgAppendResponse, 2, 1)]).await;
        change::advance(node.driver.groups.get_mut(&GROUP).unwrap(), FOLLOWER);
        assert_eq!(node.group().raw.raft.raft_log.last_index(), 2, "now it may");
    });
}
