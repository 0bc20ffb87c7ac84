//! A follower that is far behind is sent a snapshot in pieces, and dies at every single disk operation of
//! that, one run after the other, by a crash and by a power loss; and once more while it recovers. Then one
//! of the other two dies, so that nothing goes on without what the follower has. In the end all three are
//! equal, and nothing that was acknowledged is missing.

use crate::stage::{MS, SECOND, on, run};
use replica::machine::{Row, RowChange};
use replica::observe::{Observer, Step};
use replica::{Envelope, Gateway, GroupSpec, ReplicaOptions, StateMachine, Stored};
use rt::sim::machine::{Loss, MachineId};
use rt::sim::{Options, World};
use rt::time::{Instant, sleep};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storm::watch::{Found, Watch};

const GROUP: u64 = 1;
/// The node that falls behind, and how often it is looked at.
const BEHIND: u64 = 3;
const LOOK: Duration = Duration::from_millis(5);
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);
/// Writes by the time that it comes back, and while it catches up, and after its death.
const MISSED: u64 = 60;
const MEANWHILE: u64 = 75;
const AFTERWARDS: u64 = 85;

type Content = BTreeMap<Vec<u8>, Vec<u8>>;
/// What a node's machine holds, for the test to see.
type Window = Arc<Mutex<Content>>;

/// Keeps what was written last under each of a few keys; some are taken away again.
struct Shelf {
    changed: BTreeSet<Vec<u8>>,
    content: Window,
}

/// Write `number` under its key: row and value.
fn row(number: u64) -> Row {
    (vec![1, (number % 25) as u8], number.to_be_bytes().repeat(12))
}

/// Carries out write `number`, and gives its key. The node behind holds a row that the others have lost.
fn carry_out(content: &mut Content, number: u64) -> Vec<u8> {
    let (key, value) = row(number);
    if number > 25 && number % 25 == 3 {
        content.remove(&key);
    } else {
        content.insert(key.clone(), value);
    }
    key
}

/// What there must be after some writes.
fn written(writes: u64) -> Content {
    let mut content = Content::new();
    for number in 1..=writes {
        carry_out(&mut content, number);
    }
    content
}

impl StateMachine for Shelf {
    fn apply(&mut self, command: &[u8], _at_ms: u64) -> Vec<u8> {
        let number = u64::from_be_bytes(command.try_into().expect("a number"));
        self.changed.insert(carry_out(&mut self.content.lock().unwrap(), number));
        Vec::new()
    }

    fn query(&self, _query: &[u8], _stored: &dyn Stored) -> Vec<u8> {
        Vec::new()
    }

    fn take_changes(&mut self) -> Vec<RowChange> {
        let content = self.content.lock().unwrap();
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed.map(|key| (key.clone(), content.get(&key).cloned())).collect()
    }

    fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        *self.content.lock().unwrap() = rows.collect();
        Ok(())
    }

    fn hash(&self) -> u64 {
        let content = self.content.lock().unwrap();
        let bytes = content.iter().flat_map(|(key, value)| key.iter().chain(value));
        bytes.fold(7, |hash: u64, byte| hash.wrapping_mul(0x100_0000_01B3) ^ u64::from(*byte))
    }
}

/// Counts snapshots that the node behind installs, beside what judges see.
struct Eyes {
    watch: Arc<Watch>,
    installed: AtomicU64,
}

impl Observer for Eyes {
    fn observe(&self, node: u64, group: u64, step: Step) {
        if node == BEHIND && matches!(step, Step::SnapshotInstalled { .. }) {
            self.installed.fetch_add(1, Ordering::Relaxed);
        }
        self.watch.observe(node, group, step);
    }
}

/// A node's machine, and what is in its replica.
struct Place {
    machine: MachineId,
    window: Window,
    gateway: Arc<Mutex<Option<Gateway>>>,
}

struct Three {
    world: Arc<World>,
    places: BTreeMap<u64, Place>,
    found: Found,
    eyes: Arc<Eyes>,
}

impl Three {
    fn new(world: Arc<World>) -> Self {
        let found = Found::default();
        let watch = Watch::new(world.clone(), found.clone());
        let eyes = Arc::new(Eyes { watch, installed: AtomicU64::new(0) });
        let mut three = Three { world, places: BTreeMap::new(), found, eyes };
        (1..=3).for_each(|node| three.build(node));
        three
    }

    fn build(&mut self, node: u64) {
        let (window, gateway) = (Window::default(), Arc::<Mutex<Option<Gateway>>>::default());
        let (shown, door) = (window.clone(), gateway.clone());
        let machines = Arc::new(move |_| {
            let shelf = Shelf { changed: BTreeSet::new(), content: shown.clone() };
            Box::new(shelf) as Box<dyn StateMachine>
        });
        let peers = (1..=3).map(|node| (node, format!("10.0.0.{node}:9090"))).collect();
        let options = ReplicaOptions {
            observer: Some(self.eyes.clone()),
            tick: 20 * MS,
            compact_after_entries: 10,
            trailing_entries: 2,
            snapshot_chunk_bytes: 700,
            cache_bytes: 256 << 10,
            ..ReplicaOptions::new(node, peers, "/data".into(), machines)
        };
        let ip = [10, 0, 0, node as u8].into();
        let machine = self.world.add_machine(&format!("node-{node}"), ip, move || {
            let (options, door) = (options.clone(), door.clone());
            async move {
                let mut replica = replica::start::start(options).await.expect("it starts");
                let spec = GroupSpec { group: GROUP, voters: vec![1, 2, 3], learners: vec![], home: 1 };
                replica.gateway().place_group(&spec);
                replica.create_group(spec).await;
                *door.lock().unwrap() = Some(replica.gateway().clone());
                panic!("its replica ended: {:?}", replica.ended().await);
            }
        });
        self.places.insert(node, Place { machine, window, gateway });
    }

    fn machine(&self, node: u64) -> MachineId {
        self.places[&node].machine
    }

    fn content(&self, node: u64) -> Content {
        self.places[&node].window.lock().unwrap().clone()
    }

    /// Writes these numbers, one after the other, each until it is acknowledged.
    async fn write(&self, numbers: std::ops::RangeInclusive<u64>) {
        let place = &self.places[&1];
        let gateway = place.gateway.lock().unwrap().clone().expect("it is up");
        on(&self.world, place.machine, async move {
            let deadline = Instant::now() + PATIENCE;
            for number in numbers {
                let envelope =
                    Envelope { key: Some(number.to_string()), payload: number.to_be_bytes().to_vec() };
                while gateway.write(GROUP, envelope.clone(), Instant::now() + SECOND).await.is_err() {
                    assert!(Instant::now() < deadline, "nobody takes write {number}");
                }
            }
        })
        .await;
    }

    /// Waits until these nodes hold what was written.
    async fn equal(&self, nodes: &[u64], writes: u64) {
        let deadline = Instant::now() + PATIENCE;
        while nodes.iter().any(|node| self.content(*node) != written(writes)) {
            let contents: Vec<_> = nodes.iter().map(|node| self.content(*node)).collect();
            assert!(Instant::now() < deadline, "{nodes:?} never hold {writes} writes: {contents:?}");
            sleep(LOOK).await;
        }
    }

    /// The node behind is away while the others write and forget their logs, and then comes back.
    async fn fall_behind(&self) {
        sleep(SECOND / 2).await;
        self.write(1..=4).await;
        self.equal(&[1, 2, 3], 4).await;
        self.world.crash(self.machine(BEHIND));
        self.write(5..=MISSED).await;
        self.equal(&[1, 2], MISSED).await;
        // What is applied is written, and the log cut, with the next tick that does so.
        sleep(SECOND / 2).await;
        self.world.start(self.machine(BEHIND));
    }

    fn judge(&self) {
        let found = self.found.lock().unwrap();
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// How many disk operations the node behind takes to catch up by a snapshot, undisturbed.
fn operations() -> u64 {
    run(0, Options::default(), |world| async move {
        let three = Three::new(world.clone());
        let behind = three.machine(BEHIND);
        three.fall_behind().await;
        let before = world.disk_counters(behind).operations;
        three.write(MISSED + 1..=MEANWHILE).await;
        three.equal(&[1, 2, 3], MEANWHILE).await;
        assert_eq!(three.eyes.installed.load(Ordering::Relaxed), 1, "it came up by one snapshot");
        // And what it has applied is written.
        sleep(SECOND / 2).await;
        three.judge();
        world.disk_counters(behind).operations - before
    })
}

/// The node behind dies at operation `operation` of its catching up.
fn dies_at(operation: u64, loss: Loss) {
    run(0, Options::default(), move |world| async move {
        let three = Three::new(world.clone());
        let behind = three.machine(BEHIND);
        three.fall_behind().await;
        world.arm_crash_point(behind, operation, loss);
        three.write(MISSED + 1..=MEANWHILE).await;
        let deadline = Instant::now() + PATIENCE;
        while world.is_running(behind) {
            assert!(Instant::now() < deadline, "operation {operation} never comes");
            sleep(LOOK).await;
        }
        world.arm_crash_point(behind, 1 + operation % 37, Loss::Power);
        world.start(behind);
        // From now on the one behind is needed.
        world.crash(three.machine(2));
        let enough = Instant::now() + SECOND / 2;
        while world.is_running(behind) && Instant::now() < enough {
            sleep(LOOK).await;
        }
        world.disarm_crash_point(behind);
        world.start(behind);
        three.write(MEANWHILE + 1..=AFTERWARDS).await;
        three.equal(&[1, BEHIND], AFTERWARDS).await;
        world.start(three.machine(2));
        three.equal(&[1, 2, BEHIND], AFTERWARDS).await;
        three.judge();
    });
}

#[test]
fn a_follower_survives_a_death_at_every_operation_of_a_snapshot() {
    let last = operations();
    assert!(last > 60, "{last} operations");
    for operation in 1..=last {
        for loss in [Loss::Crash, Loss::Power] {
            dies_at(operation, loss);
        }
    }
}
