//! Snapshots that come in each other's way; leaders in the middle of a change.

mod changes;

use super::*;
use crate::machine::{Row, RowChange, Stored};
use crate::options::GroupSpec;
use crate::store::Chunk;
use raft::eraftpb::{ConfState, MessageType};

const GROUP: GroupId = 7;
const LEADER: NodeId = 1;
const FOLLOWER: NodeId = 2;

/// Keeps nothing: the test looks at the rows.
struct Hollow;

impl StateMachine for Hollow {
    fn apply(&mut self, _command: &[u8], _at_ms: u64) -> Vec<u8> {
        Vec::new()
    }

    fn query(&self, _query: &[u8], _stored: &dyn Stored) -> Vec<u8> {
        Vec::new()
    }

    fn take_changes(&mut self) -> Vec<RowChange> {
        Vec::new()
    }

    fn restore(&mut self, _rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        Ok(())
    }

    fn hash(&self) -> u64 {
        0
    }
}

/// A snapshot of three rows, which all hold its index, one in each chunk.
struct Transfer {
    number: u64,
    index: u64,
}

impl Transfer {
    fn rows(&self) -> Vec<Row> {
        (0..3).map(|row| (vec![1, row], self.index.to_le_bytes().to_vec())).collect()
    }

    fn chunk(&self, number: u64) -> Event {
        let rows = postcard::to_stdvec(&self.rows()[number as usize..][..1]).unwrap();
        let chunk = Chunk { checksum: crc32c::crc32c(&rows), rows, last: number == 2 };
        Event::SnapshotChunk { from: LEADER, group: GROUP, transfer: self.number, number, chunk }
    }

    fn end(&self) -> Event {
        let mut message = Message { from: LEADER, to: FOLLOWER, term: 1, ..Message::default() };
        message.set_msg_type(MessageType::MsgSnapshot);
        let metadata = message.mut_snapshot().mut_metadata();
        (metadata.index, metadata.term) = (self.index, 1);
        metadata.set_conf_state(ConfState::from((vec![LEADER, FOLLOWER], vec![])));
        Event::SnapshotEnd { from: LEADER, group: GROUP, transfer: self.number, chunks: 3, message }
    }

    fn whole(&self) -> Vec<Event> {
        (0..3).map(|number| self.chunk(number)).chain([self.end()]).collect()
    }
}

/// The driver of a follower, and what its transport and its store need to live.
struct Follower {
    driver: Driver,
    _events: mpsc::Sender<Event>,
    _folder: tempfile::TempDir,
}

impl Follower {
    async fn new() -> Self {
        Self::of(vec![LEADER, FOLLOWER]).await
    }

    /// One of these voters.
    async fn of(voters: Vec<NodeId>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machines = Arc::new(|_| Box::new(Hollow) as Box<dyn StateMachine>);
        let options = ReplicaOptions::new(FOLLOWER, BTreeMap::new(), folder.path().to_owned(), machines);
        let store = Store::open(folder.path(), options.cluster, options.cache_bytes).unwrap();
        let (sender, events) = mpsc::channel(10);
        let transport = Transport::start(&options, &sender);
        let routes = Routes::new(FOLLOWER, sender.clone(), transport.clone());
        let opening = Driver::open(options, store, transport, routes, events, sender.downgrade());
        let mut driver = opening.await.unwrap();
        driver.create(GroupSpec { group: GROUP, voters, learners: vec![], home: LEADER }).await.unwrap();
        Follower { driver, _events: sender, _folder: folder }
    }

    fn group(&self) -> &Group {
        &self.driver.groups[&GROUP]
    }

    /// All of them come before the next write.
    async fn take(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.driver.take(event).await.unwrap();
        }
        while self.driver.round().await.unwrap() {}
    }

    /// What is applied, and the rows on the disk.
    fn holds(&self) -> (u64, Vec<Row>) {
        let group = &self.driver.groups[&GROUP];
        (group.applied.index, group.rows.as_ref().unwrap().all().unwrap())
    }
}

fn run(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story);
}

#[test]
fn a_second_snapshot_never_takes_the_place_of_one_that_waits_to_be_installed() {
    let (first, second) = (Transfer { number: 1, index: 10 }, Transfer { number: 2, index: 20 });
    run(async {
        // However much of the second comes before the first is written.
        for early in 0..=4 {
            let mut follower = Follower::new().await;
            let mut late = second.whole().split_off(early);
            follower.take(first.whole().into_iter().chain(second.whole().into_iter().take(early))).await;
            assert_eq!(follower.holds(), (10, first.rows()), "{early} of the second came early");
            // What is left of it is installed only if all of it is there.
            follower.take(late.drain(..)).await;
            let expected = if early == 0 { &second } else { &first };
            assert_eq!(follower.holds(), (expected.index, expected.rows()), "{early} of the second");
            // Its sender begins anew.
            follower.take(Transfer { number: 3, index: 20 }.whole()).await;
            assert_eq!(follower.holds(), (20, second.rows()), "{early} of the second came early");
        }
    });
}

#[test]
fn pieces_of_two_snapshots_never_become_one() {
    let (first, second) = (Transfer { number: 1, index: 10 }, Transfer { number: 2, index: 20 });
    run(async {
        let mut follower = Follower::new().await;
        follower.take([first.chunk(0), first.chunk(1), second.chunk(0), first.chunk(2), first.end()]).await;
        assert_eq!(follower.holds(), (0, vec![]));
        follower.take([second.chunk(0), second.chunk(1)]).await;
        follower.take([second.chunk(2), second.end()]).await;
        assert_eq!(follower.holds(), (20, second.rows()));
    });
}

fn heartbeat() -> Event {
    let mut message = Message { from: LEADER, to: FOLLOWER, term: 1, ..Message::default() };
    message.set_msg_type(MessageType::MsgHeartbeat);
    Event::Raft { from: LEADER, group: GROUP, message }
}

fn unreachable(refused: bool) -> Event {
    Event::Unreachable { peer: LEADER, refused }
}

/// Ticks that a follower takes to give its leader up, after these events.
async fn ticks_of_patience(events: Vec<Event>) -> usize {
    let mut follower = Follower::of(vec![LEADER, FOLLOWER, 3]).await;
    follower.take([heartbeat()]).await;
    follower.take(events).await;
    for ticks in 1.. {
        follower.driver.tick();
        let raft = &follower.group().raw.raft;
        if raft.election_elapsed >= raft.election_timeout() || raft.state != raft::StateRole::Follower {
            return ticks;
        }
    }
    unreachable!("it counts for ever")
}

#[test]
fn a_leader_whose_process_is_gone_is_given_up_early() {
    run(async {
        let whole = ticks_of_patience(vec![]).await;
        assert_eq!(whole, 10);
        // Nobody answers: a slow or a broken network, perhaps.
        assert_eq!(ticks_of_patience(vec![unreachable(false)]).await, whole);
        // Somebody answered that nobody listens.
        let early = ticks_of_patience(vec![unreachable(true)]).await;
        assert!(early <= 4, "{early} ticks");
        // It is heard all the same.
        assert_eq!(ticks_of_patience(vec![unreachable(true), heartbeat()]).await, whole);
    });
}

#[test]
fn whoever_knows_that_the_leader_is_gone_votes_at_once() {
    let ask = || {
        let mut message =
            Message { from: 3, to: FOLLOWER, term: 2, log_term: 1, index: 9, ..Message::default() };
        message.set_msg_type(MessageType::MsgRequestPreVote);
        Event::Raft { from: 3, group: GROUP, message }
    };
    let given_up = |follower: &Follower| {
        let raft = &follower.group().raw.raft;
        raft.election_elapsed >= raft.election_timeout()
    };
    run(async {
        for gone in [false, true] {
            let mut follower = Follower::of(vec![LEADER, FOLLOWER, 3]).await;
            follower.take([heartbeat(), unreachable(gone)]).await;
            assert!(!given_up(&follower), "it may live, as long as nobody else says so");
            follower.take([ask()]).await;
            assert_eq!(given_up(&follower), gone);
        }
    });
}
