//! Raft3D's quick start on three peers of their own processes, while whoever leads is killed by `kill -9`
//! again and again: a new leader, nothing lost, the old one rejoins.

use super::{NODE, one_at_a_time};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;
use tests::client::Client;
use tests::process::NodeProcess;
use tests::wire::Request;
use tests::{ports, wait};

const PRINTER: &str = r#"{"id":"p1","company":"Creality","model":"Ender 3"}"#;
const FILAMENT: &str = r#"{"id":"f1","type":"PLA","color":"Blue","total_weight_in_grams":1000000,"remaining_weight_in_grams":1000000}"#;
const JOB: &str = r#"{"id":"j1","printer_id":"p1","filament_id":"f1","filepath":"prints/sword/hilt.gcode","print_weight_in_grams":100,"status":"Queued"}"#;

/// Three equal peers, started as the quick start starts them, with what they write in `folder`.
fn peers(folder: &Path) -> Vec<NodeProcess> {
    let peers: Vec<String> = (1..=3).map(|id| format!("{id}={}", ports::free_address())).collect();
    let node = |id: usize| {
        let (api, number) = (ports::free_address(), id.to_string());
        let data = folder.join(&number).display().to_string();
        let peers = peers.join(",");
        let arguments = ["run", "--role", "all", "--profile", "raft3d", "--id", &number];
        let folders = ["--listen", &api, "--data", &data, "--peers", &peers];
        let arguments = arguments.iter().chain(&folders).map(ToString::to_string);
        NodeProcess::new(NODE, arguments.collect(), &api, folder.join(format!("node-{id}.log")))
    };
    let mut nodes: Vec<NodeProcess> = (1..=3).map(node).collect();
    nodes.iter_mut().for_each(NodeProcess::start);
    nodes.iter_mut().for_each(NodeProcess::wait_ready);
    nodes
}

/// The one that says of itself that it leads; a node that does not run says nothing.
fn leader(nodes: &[NodeProcess]) -> Option<usize> {
    nodes.iter().position(|node| {
        let answer = node.client().try_send(&Request::new("GET", "/metrics"));
        answer.is_ok_and(|answer| answer.text().lines().any(|line| line == "raft3d_is_leader 1"))
    })
}

/// A user who repeats every request at another node until it is answered.
struct User {
    clients: Vec<Client>,
    turn: usize,
}

impl User {
    fn of(addresses: &[String]) -> Self {
        User { clients: addresses.iter().map(|api| Client::new(api)).collect(), turn: 0 }
    }

    fn insist(&mut self, request: Request, key: &str) -> Value {
        let request = request.with("Idempotency-Key", key);
        let mut created = None;
        wait::until("a request is answered", || {
            let answer = self.clients[self.turn].try_send(&request);
            match answer {
                Ok(answer) if answer.status < 500 => {
                    assert_eq!(answer.status, 201, "{key}: {}", answer.text());
                    created = serde_json::from_slice(&answer.body).ok();
                    true
                }
                _ => {
                    self.turn = (self.turn + 1) % self.clients.len();
                    false
                }
            }
        });
        created.expect("an object")
    }

    /// Prints one job after another; gives how many.
    fn print_until(mut self, stop: &AtomicBool, printed: &AtomicU32) -> u32 {
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            let id = format!("n{number}");
            let body = JOB.replace("j1", &id).replace(":100,", ":1,");
            self.insist(Request::post("/api/v1/print_jobs", body), &id);
            for status in ["Running", "Done"] {
                let path = format!("/api/v1/print_jobs/{id}/status?status={status}");
                let job = self.insist(Request::new("POST", &path), &format!("{id}-{status}"));
                assert_eq!(job["status"], status);
            }
            number += 1;
            printed.store(number, Ordering::Relaxed);
        }
        number
    }
}

fn list(node: &NodeProcess, kind: &str) -> Value {
    let answer = node.client().get(&format!("/api/v1/{kind}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn the_leader_is_killed_again_and_again() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = peers(folder.path());
    let addresses: Vec<String> = nodes.iter().map(|node| node.api.clone()).collect();
    for (path, body) in [("printers", PRINTER), ("filaments", FILAMENT), ("print_jobs", JOB)] {
        let answer = nodes[0].client().post(&format!("/api/v1/{path}"), body);
        assert_eq!((answer.status, answer.text().as_str()), (201, body));
        assert_eq!(nodes[2].client().get(&format!("/api/v1/{path}")).text(), format!("[{body}]"));
    }
    let (stop, printed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let user = {
        let (stop, printed, addresses) = (stop.clone(), printed.clone(), addresses.clone());
        std::thread::spawn(move || User::of(&addresses).print_until(&stop, &printed))
    };
    let progress = || {
        let before = printed.load(Ordering::Relaxed);
        wait::until("more is printed", || {
            user.is_finished() || printed.load(Ordering::Relaxed) >= before + 10
        });
        assert!(!user.is_finished(), "the user has met a wrong answer");
    };
    for round in 0..4 {
        progress();
        let mut found = None;
        wait::until("somebody leads", || {
            found = leader(&nodes);
            found.is_some()
        });
        let old = found.expect("a leader");
        let killed = Instant::now();
        nodes[old].kill();
        wait::until("another one leads", || leader(&nodes).is_some_and(|new| new != old));
        let new = leader(&nodes).expect("a leader");
        println!("round {round}: node {} leads after {:?}", new + 1, killed.elapsed());
        assert!(nodes[new].log().contains("elected leader"), "{}", nodes[new].log());
        progress();
        nodes[old].start();
        nodes[old].wait_ready();
        progress();
    }
    stop.store(true, Ordering::Relaxed);
    let printed = user.join().unwrap();

    let (printers, jobs) = (list(&nodes[0], "printers"), list(&nodes[0], "print_jobs"));
    assert_eq!(printers, json!([serde_json::from_str::<Value>(PRINTER).unwrap()]));
    let left = 1_000_000 - u64::from(printed);
    for node in &nodes {
        assert_eq!(list(node, "printers"), printers);
        assert_eq!(list(node, "print_jobs"), jobs);
        assert_eq!(list(node, "filaments")[0]["remaining_weight_in_grams"], left, "{printed} jobs of 1 g");
    }
    let jobs = jobs.as_array().unwrap();
    assert_eq!(jobs.len() as u32, printed + 1);
    for number in 0..printed {
        let id = format!("n{number}");
        let job = jobs.iter().find(|job| job["id"] == *id).unwrap_or_else(|| panic!("{id} is lost"));
        assert_eq!(job["status"], "Done", "{id}");
    }
    for id in ["1", "2", "3"] {
        let leader = std::fs::read_to_string(folder.path().join(id).join("leader.txt")).unwrap();
        assert!(addresses.iter().any(|api| leader.lines().next() == Some(api)), "{leader}");
        let snapshots = std::fs::read_dir(folder.path().join(id).join("snapshots")).unwrap().count();
        assert!(snapshots >= 1, "node {id} has written a snapshot");
    }
    nodes.iter_mut().for_each(|node| assert!(node.terminate().success(), "{}", node.log()));
}
