//! A cluster in a world, with clients at work and judges watching.

use check::Violation;
use replica::NodeId;
use replica::store::{Changes, GroupChanges, Store};
use rt::sim::machine::MachineId;
use rt::sim::rng::{Purpose, Rng};
use rt::sim::{Options, Simulation, World};
use rt::time::{self, Instant};
use serde_json::Value;
use server::{NodeOptions, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storm::aftermath::Aftermath;
use storm::scenario::{Knobs, Scenario, TOKEN, api_of, client_ip, ip_of, machine_names};
use storm::system::raftmetrics::RaftMetrics;
use storm::system::{Fate, Seat, System};
use storm::watch::{Found, Watch};

pub const SECOND: Duration = Duration::from_secs(1);
/// Longest wait for a change of members, without faults.
pub const CHANGE: Duration = Duration::from_secs(20);
const CLIENTS: u32 = 3;

/// A machine with a node, and what can be told to its next start.
pub struct House {
    pub machine: MachineId,
    pub number: u64,
    format: Arc<AtomicU64>,
    spoiled: Arc<AtomicBool>,
    pub ended: Arc<Mutex<Option<String>>>,
}

pub struct Town {
    pub world: Arc<World>,
    /// Peer addresses that were changed by hand, where they are configured at all.
    moved: Arc<Mutex<BTreeMap<NodeId, String>>>,
    knobs: Knobs,
    watch: Arc<Watch>,
    found: Found,
    pub houses: BTreeMap<String, House>,
    /// For looking from outside.
    pub window: MachineId,
    clients: Vec<MachineId>,
    system: RaftMetrics,
    stop: Arc<AtomicBool>,
    pub seed: u64,
}

/// Runs `story` in a town of some workers under each of a few seeds.
pub fn stories<F>(seeds: std::ops::Range<u64>, workers: u64, story: fn(Town) -> F)
where
    F: Future<Output = ()> + 'static,
{
    stories_in_regions(seeds, workers, 0, story);
}

/// The same in so many regions; 0 is none.
pub fn stories_in_regions<F>(seeds: std::ops::Range<u64>, workers: u64, regions: u64, story: fn(Town) -> F)
where
    F: Future<Output = ()> + 'static,
{
    for seed in seeds {
        let found = Found::default();
        let violations = found.clone();
        let ran = Simulation::run(seed, Options::default(), move |world| async move {
            let mut town = Town::new(world.clone(), seed, workers, regions, found);
            for (name, number) in machine_names(workers).into_iter().zip(1..) {
                town.build(&name, number, town.knobs.node_options(number));
            }
            story(town).await;
            world.broken_laws()
        });
        let found: Vec<Violation> = violations.lock().unwrap().clone();
        assert!(found.is_empty(), "seed {seed}: {found:#?}");
        let broken = ran.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(broken.is_empty(), "seed {seed}: {broken:#?}");
    }
}

impl Town {
    fn new(world: Arc<World>, seed: u64, workers: u64, regions: u64, found: Found) -> Self {
        let mut plan = Scenario::named("calm").unwrap().plan(seed);
        // Small logs: members that come late need snapshots.
        for (knob, value) in [
            ("workers", workers),
            ("partitions", 3),
            ("clients", u64::from(CLIENTS)),
            ("compact_after_entries", 30),
            ("trailing_entries", 4),
            ("snapshot_chunk_bytes", 500),
        ] {
            plan.knobs.insert(knob.into(), value);
        }
        if regions > 0 {
            plan.knobs.insert("regions".into(), regions);
        }
        let machine = |world: &Arc<World>, number| {
            let name = format!("client-{number}");
            world.add_machine(&name, client_ip(number), std::future::pending::<()>)
        };
        let window = machine(&world, 0);
        let clients = (1..=CLIENTS).map(|number| machine(&world, number)).collect();
        Town {
            knobs: Knobs::of(&plan).unwrap(),
            watch: Watch::new(world.clone(), found.clone()),
            found,
            houses: BTreeMap::new(),
            window,
            clients,
            system: RaftMetrics::new(&world, 6),
            stop: Arc::default(),
            moved: Arc::default(),
            seed,
            world,
        }
    }

    /// Puts a node on a machine of its own and starts it.
    fn build(&mut self, name: &str, number: u64, mut options: NodeOptions) {
        options.observer = Some(self.watch.clone());
        let format = Arc::new(AtomicU64::new(u64::from(replica::bootstrap::FORMAT)));
        let ended = Arc::<Mutex<Option<String>>>::default();
        let spoiled = Arc::<AtomicBool>::default();
        let (speaks, end, spoil) = (format.clone(), ended.clone(), spoiled.clone());
        let moved = self.moved.clone();
        let machine = self.world.add_machine(name, ip_of(number), move || {
            let (speaks, end, mut options) = (speaks.clone(), end.clone(), options.clone());
            let spoil = spoil.clone();
            for (node, address) in moved.lock().unwrap().iter() {
                if let Some(peer) = options.peers.get_mut(node) {
                    peer.clone_from(address);
                }
                if *node == options.id {
                    options.peer_listen.clone_from(address);
                }
            }
            async move {
                if spoil.swap(false, Ordering::Relaxed) {
                    let data = options.data.clone();
                    rt::task::blocking(move || damage(&data)).await;
                }
                options.tuning.format = speaks.load(Ordering::Relaxed) as u32;
                let said = match server::start(options).await {
                    Err(error) => error.to_string(),
                    Ok(mut node) => {
                        let ended = node.ended().await;
                        // Its listener still answers: whoever asks hears why.
                        let said = ended.map_or_else(|error| error.to_string(), |()| "removed".into());
                        *end.lock().unwrap() = Some(said);
                        std::future::pending().await
                    }
                };
                *end.lock().unwrap() = Some(said);
            }
        });
        self.houses.insert(name.into(), House { machine, number, format, spoiled, ended });
    }

    /// A new machine, whose node joins the cluster.
    pub fn newcomer(&mut self, name: &str, number: u64) {
        let members = self.houses.values().map(|house| peer_of(house.number)).collect();
        let (peer, api) = (peer_of(number), api_of(number));
        let mut options = NodeOptions::joining(members, Role::Worker, &peer, &api, "/data".into());
        let like = self.knobs.node_options(2);
        (options.token, options.request_deadline, options.tuning) =
            (like.token, like.request_deadline, like.tuning);
        options.name = Some(name.into());
        self.build(name, number, options);
    }

    /// The machine comes up again with an empty disk.
    pub fn wipe(&self, name: &str) {
        let house = &self.houses[name];
        self.world.crash(house.machine);
        self.world.wipe_disk(house.machine);
        self.world.start(house.machine);
    }

    /// The machine comes up again, and some of its data make no sense.
    pub fn spoil(&self, name: &str) {
        let house = &self.houses[name];
        self.world.crash(house.machine);
        house.spoiled.store(true, Ordering::Relaxed);
        self.world.start(house.machine);
    }

    /// A configured node listens at another port from its next start on, and nodes whose configuration
    /// names it know that from theirs on.
    pub fn moves(&self, name: &str, port: u16) {
        let number = self.houses[name].number;
        self.moved.lock().unwrap().insert(number, format!("{}:{port}", ip_of(number)));
    }

    /// How far a node's replica of a group has applied the log; 0 if there is none.
    pub async fn applied(&self, name: &str, group: u64) -> u64 {
        let stats = self.ask("GET", self.houses[name].number, "/replicas", Value::Null).await;
        let groups = stats.map(|(_, stats)| stats["groups"].clone()).unwrap_or_default();
        let mut groups = groups.as_array().into_iter().flatten();
        groups
            .find(|found| found["group"] == group)
            .and_then(|found| found["applied_index"].as_u64())
            .unwrap_or(0)
    }

    /// The format that a node speaks from its next start on.
    pub fn speaks(&self, name: &str, format: u64) {
        self.houses[name].format.store(format, Ordering::Relaxed);
    }

    fn aftermath(&self) -> Aftermath {
        let live = self.houses.iter().filter(|(_, house)| house.ended.lock().unwrap().is_none());
        let partitions = 3;
        let mut probes = BTreeMap::new();
        for name in (0..100).map(|n| format!("probe-{n}")) {
            probes.entry(apps::partition::group_of(&name, partitions)).or_insert(name);
        }
        Aftermath {
            world: self.world.clone(),
            endpoints: live.map(|(name, house)| (name.clone(), api_of(house.number))).collect(),
            token: TOKEN.into(),
            recovery: storm::aftermath::RECOVERY,
            probes: probes.into_values().collect(),
        }
    }

    /// Writes to every partition through some of the machines; true if all were acknowledged in time.
    pub async fn can_write_through(&self, names: &BTreeSet<String>) -> bool {
        let mut aftermath = self.aftermath();
        aftermath.endpoints.retain(|name, _| names.contains(name));
        aftermath.recovery = 8 * SECOND;
        let facts = self.look(async move { aftermath.liveness().await }).await;
        let mut writes = facts.probes.iter().filter(|probe| probe.name.starts_with("a write to"));
        writes.all(|probe| probe.done_ns.is_some())
    }

    /// Runs `future` where the town is looked at from.
    pub async fn look<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.world.spawn_on(self.window, future).await.expect("the window's machine lives")
    }

    /// Waits until everybody is ready, and lets clients work.
    pub async fn open(&self) {
        self.ready().await;
        self.work();
    }

    /// Waits until everybody is ready.
    pub async fn ready(&self) {
        let aftermath = self.aftermath();
        assert!(self.look(async move { aftermath.wait_ready(CHANGE).await }).await, "not ready");
    }

    /// Lets clients work, until [`Town::close`].
    pub fn work(&self) {
        for (number, machine) in (0..).zip(&self.clients) {
            self.world.spawn_on(*machine, self.system.client(self.seat(number)));
        }
    }

    /// Where client `number` sits.
    fn seat(&self, number: u32) -> Seat {
        let live = self.houses.values().filter(|house| house.ended.lock().unwrap().is_none());
        Seat {
            number,
            endpoints: live.map(|house| api_of(house.number)).collect(),
            token: TOKEN.into(),
            rng: Rng::numbered(self.seed, Purpose::Workload, number),
            pause: Duration::from_millis(60),
            stop: self.stop.clone(),
        }
    }

    pub async fn ask(&self, method: &str, number: u64, path: &str, body: Value) -> Option<(u16, Value)> {
        let (method, path, host) = (method.to_owned(), path.to_owned(), api_of(number));
        self.look(async move {
            let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() };
            let request = http::Request::builder()
                .method(method.as_str())
                .uri(path)
                .header("authorization", format!("Bearer {TOKEN}"))
                .body(body.into())
                .unwrap();
            let http = rt::http::Client::new(rt::http::ClientOptions::default());
            let answer = http.send(&host, request, 3 * SECOND).await.ok()?;
            Some((answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or(Value::Null)))
        })
        .await
    }

    /// Asks any node that answers.
    pub async fn api(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let deadline = Instant::now() + CHANGE;
        loop {
            for house in self.houses.values().filter(|house| house.ended.lock().unwrap().is_none()) {
                match self.ask(method, house.number, path, body.clone()).await {
                    Some((503 | 504, _)) | None => {}
                    Some(answer) => return answer,
                }
            }
            assert!(Instant::now() < deadline, "nobody answers {method} {path}");
            time::sleep(SECOND / 5).await;
        }
    }

    /// The table of members as JSON.
    pub async fn table(&self) -> Value {
        let (status, table) = self.api("GET", "/cluster/members", Value::Null).await;
        assert_eq!(status, 200, "{table}");
        table
    }

    /// The members' ids.
    pub async fn ids(&self) -> BTreeSet<NodeId> {
        let table = self.table().await;
        table["members"].as_array().unwrap().iter().map(|m| m["id"].as_u64().unwrap()).collect()
    }

    /// True if all members are active, and every group is as the table wants it, at its leader's.
    async fn is_settled(&self) -> bool {
        let table = self.table().await;
        let members = table["members"].as_array().cloned().unwrap_or_default();
        if members.iter().any(|member| member["state"] != "active") {
            return false;
        }
        let mut led: BTreeMap<u64, Value> = BTreeMap::new();
        for house in self.houses.values().filter(|house| house.ended.lock().unwrap().is_none()) {
            let Some((200, stats)) = self.ask("GET", house.number, "/replicas", Value::Null).await else {
                return false;
            };
            for group in stats["groups"].as_array().cloned().unwrap_or_default() {
                if group["leads"] == true {
                    led.insert(group["group"].as_u64().unwrap(), group);
                }
            }
        }
        let sorted = |list: &Value| -> BTreeSet<u64> {
            list.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
        };
        table["groups"].as_array().into_iter().flatten().all(|wanted| {
            led.get(&wanted["group"].as_u64().unwrap()).is_some_and(|group| {
                sorted(&group["voters"]) == sorted(&wanted["voters"])
                    && sorted(&group["learners"]) == sorted(&wanted["learners"])
                    && sorted(&group["voters_outgoing"]).is_empty()
            })
        })
    }

    /// Waits until the members are `ids` and nothing is under way.
    pub async fn settled(&self, ids: &[NodeId], patience: Duration) {
        let deadline = Instant::now() + patience;
        let wanted: BTreeSet<NodeId> = ids.iter().copied().collect();
        while self.ids().await != wanted || !self.is_settled().await {
            if Instant::now() >= deadline {
                let stats = self.all_stats().await;
                panic!("not {ids:?} after {patience:?}: {:#}\n{stats}", self.table().await);
            }
            time::sleep(SECOND / 5).await;
        }
    }

    pub async fn all_stats(&self) -> String {
        let mut text = String::new();
        for (name, house) in &self.houses {
            let stats = self.ask("GET", house.number, "/replicas", Value::Null).await;
            let ready = self.ask("GET", house.number, "/readyz", Value::Null).await;
            let ended = house.ended.lock().unwrap().clone();
            text +=
                &format!("{name}: {ended:?} {ready:?} {}\n", stats.map_or(Value::Null, |(_, stats)| stats));
        }
        text
    }

    /// The member that a machine is now.
    pub async fn node_on(&self, name: &str) -> NodeId {
        let stats = self.ask("GET", self.houses[name].number, "/replicas", Value::Null).await;
        stats.and_then(|(_, stats)| stats["node"].as_u64()).unwrap_or(0)
    }

    /// The machine that leads a group now.
    pub async fn leader_of(&self, group: u64) -> String {
        for _ in 0..100 {
            for (name, house) in &self.houses {
                let stats = self.ask("GET", house.number, "/replicas", Value::Null).await;
                let groups = stats.map(|(_, stats)| stats["groups"].clone()).unwrap_or_default();
                let leads = |g: &Value| g["group"].as_u64() == Some(group) && g["leads"] == true;
                if groups.as_array().into_iter().flatten().any(leads) {
                    return name.clone();
                }
            }
            time::sleep(SECOND / 10).await;
        }
        panic!("nobody leads group {group}");
    }

    /// Ends the load; then everything must work within its time, and every judge is asked.
    pub async fn close(self) {
        self.stop.store(true, Ordering::Relaxed);
        time::sleep(4 * SECOND).await;
        let aftermath = self.aftermath();
        let after = aftermath.clone();
        let facts = self.look(async move { after.liveness().await }).await;
        let late = check::judge_liveness(&facts);
        assert!(late.is_empty(), "{late:#?}\n{}", self.all_stats().await);
        let seat = self.seat(1000);
        let system = self.system.clone();
        assert!(self.look(async move { system.collect(seat).await }).await, "no readable state");
        let ok = self.system.deeds().iter().filter(|deed| deed.fate == Fate::Ok).count();
        assert!(ok >= 50, "too little was done to judge");
        let found = self.system.judge();
        assert!(found.is_empty(), "{found:#?}");
        assert!(self.found.lock().unwrap().is_empty(), "{:#?}", self.found.lock().unwrap());
    }
}

fn peer_of(number: u64) -> String {
    format!("{}:9090", ip_of(number))
}

/// A log that does not begin where its record says is one that something was lost of.
fn damage(data: &Path) {
    let store = Store::open(data, 1, 1 << 20).unwrap();
    let found = store.groups().unwrap().into_iter().find(|group| !group.entries.is_empty()).unwrap();
    let mut record = found.record;
    record.truncated.index += 1;
    let group = GroupChanges {
        record,
        install_snapshot: false,
        entries: Vec::new(),
        last_index_before: 0,
        compact_to: 0,
        first_index_before: 1,
        rows: Vec::new(),
    };
    store.commit(&Changes { groups: vec![group], staged: Vec::new() }).unwrap();
}
