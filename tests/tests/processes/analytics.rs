//! Distributed Analytics by hand: a control node and workers of their own processes, its quick start in their
//! words, and `kill -9` of whoever leads in the middle of inserts.

use super::{NODE, one_at_a_time};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tests::client::{Client, Failure};
use tests::process::NodeProcess;
use tests::wire::Request;
use tests::{ports, wait};

const JSON: &str = "application/json";

/// The control node and two workers, with what they write in `folder`.
fn fleet(folder: &Path) -> Vec<NodeProcess> {
    let peers: Vec<String> = (1..=3).map(|id| format!("{id}={}", ports::free_address())).collect();
    let node = |id: usize| {
        let (api, number) = (ports::free_address(), id.to_string());
        let role = if id == 1 { "control" } else { "worker" };
        let (data, peers) = (folder.join(&number).display().to_string(), peers.join(","));
        let arguments = ["run", "--role", role, "--profile", "analytics", "--id", &number];
        let more = ["--listen", &api, "--data", &data, "--peers", &peers];
        let arguments = arguments.iter().chain(&more).map(ToString::to_string);
        NodeProcess::new(NODE, arguments.collect(), &api, folder.join(format!("node-{id}.log")))
    };
    let mut nodes: Vec<NodeProcess> = (1..=3).map(node).collect();
    nodes.iter_mut().for_each(NodeProcess::start);
    nodes.iter_mut().for_each(NodeProcess::wait_ready);
    nodes
}

fn insert(key: &str, value: f64) -> Request {
    let body = format!(r#"{{"partition_key":"{key}","value":{value:?}}}"#);
    Request::new("POST", "/insert").with("Content-Type", JSON).with_body(body)
}

/// The whole answer; `None` if there is none now.
fn analytics(client: &mut Client, query: &str) -> Option<Value> {
    let request = Request::new("GET", "/analytics").with("Content-Type", JSON).with_body(query);
    let answer = client.try_send(&request).ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}

fn leads_a_partition(node: &NodeProcess) -> bool {
    let answer = node.client().try_send(&Request::new("GET", "/replicas"));
    let stats: Value = answer.ok().and_then(|a| serde_json::from_slice(&a.body).ok()).unwrap_or_default();
    let groups = stats["groups"].as_array().cloned().unwrap_or_default();
    groups.iter().any(|group| group["leads"] == true && group["group"] != 0)
}

/// What became of a writer's inserts. The insert of number n has the value 2^n in its own key's sum of up to
/// fifty, so that a sum tells which of them are stored, and how often.
#[derive(Default)]
struct Account {
    sure: Vec<u64>,
    unknown: Vec<u64>,
}

const OF_A_KEY: u64 = 48;

fn key_of(writer: usize, number: u64) -> String {
    format!("w{writer}-{}.", number / OF_A_KEY)
}

fn write(writer: usize, addresses: &[String], stop: &AtomicBool, acknowledged: &AtomicU64) -> Account {
    let mut clients: Vec<Client> = addresses.iter().map(|api| Client::new(api)).collect();
    let mut account = Account::default();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let request = insert(&key_of(writer, number), (1u64 << (number % OF_A_KEY)) as f64);
        // Every other one is sent until it is answered; the others are sent once.
        let keyed = number.is_multiple_of(2);
        let request =
            if keyed { request.with("Idempotency-Key", format!("{writer}-{number}")) } else { request };
        let (mut turn, mut doubtful, mut done) = (writer, false, false);
        wait::until("an insert is answered", || {
            turn += 1;
            let client = turn % clients.len();
            match clients[client].try_send(&request) {
                Ok(answer) if answer.status == 200 => done = true,
                Ok(answer) => {
                    assert!(answer.status >= 500, "{}", answer.text());
                    doubtful |= answer.text().contains(r#""outcome":"unknown""#);
                }
                Err(Failure::Unsent(_)) => {}
                Err(Failure::Lost(_)) => doubtful = true,
            }
            done || !keyed
        });
        if done {
            account.sure.push(number);
            acknowledged.fetch_add(1, Ordering::SeqCst);
        } else if doubtful {
            account.unknown.push(number);
        }
        number += 1;
    }
    account
}

/// The sums of the keys hold each acknowledged insert once, each doubtful one at most once, and nothing else.
fn check(writer: usize, account: &Account, node: &NodeProcess) {
    let last = account.sure.iter().chain(&account.unknown).max().copied().unwrap_or(0);
    for first in (0..=last).step_by(OF_A_KEY as usize) {
        let of_key = |numbers: &[u64]| -> Vec<u64> {
            let own = numbers.iter().filter(|number| (first..first + OF_A_KEY).contains(number));
            own.map(|number| 1 << (number % OF_A_KEY)).collect()
        };
        let (sure, unknown) = (of_key(&account.sure), of_key(&account.unknown));
        let query = format!(r#"{{"key_prefix":"{}"}}"#, key_of(writer, first));
        let mut found = None;
        wait::until("an average that lacks nothing", || {
            found = analytics(&mut node.client(), &query).filter(|answer| answer["is_partial"] == false);
            found.is_some()
        });
        let average = found.unwrap()["average"].as_f64().unwrap();
        let explained = (0u32..1 << unknown.len().min(16)).any(|choice| {
            let chosen = unknown.iter().enumerate().filter(|(place, _)| choice >> place & 1 == 1);
            let stored: Vec<u64> = sure.iter().chain(chosen.map(|(_, value)| value)).copied().collect();
            let sum: u64 = stored.iter().sum();
            // The sum of less than 2^48 is exact, and so the division rounds once.
            average == if stored.is_empty() { 0.0 } else { sum as f64 / stored.len() as f64 }
        });
        assert!(explained, "{query}: {average}; sure {sure:?}, unknown {unknown:?}");
    }
}

#[test]
fn leaders_are_killed_in_the_middle_of_inserts() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = fleet(folder.path());
    let addresses: Vec<String> = nodes.iter().map(|node| node.api.clone()).collect();
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (addresses, stop, acknowledged) = (addresses.clone(), stop.clone(), acknowledged.clone());
            std::thread::spawn(move || write(writer, &addresses, &stop, &acknowledged))
        })
        .collect();
    let progress = || {
        let goal = acknowledged.load(Ordering::SeqCst) + 60;
        wait::until("inserts are acknowledged", || acknowledged.load(Ordering::SeqCst) >= goal);
    };
    for _ in 0..6 {
        progress();
        let mut leader = None;
        wait::until("somebody leads a partition", || {
            leader = nodes.iter().rposition(leads_a_partition);
            leader.is_some()
        });
        let leader = leader.unwrap();
        nodes[leader].kill();
        progress();
        // Whoever is missing is said to be, and the answer lacks nothing all the same.
        if leader > 0 {
            let mut client = nodes[0].client();
            wait::until("one worker of two answers, and all partitions do", || {
                analytics(&mut client, "{}").is_some_and(|answer| {
                    assert_eq!(answer["total_nodes"], 2);
                    answer["responding_nodes"] == 1 && answer["is_partial"] == false
                })
            });
        }
        nodes[leader].start();
        nodes[leader].wait_ready();
    }
    progress();
    stop.store(true, Ordering::SeqCst);
    let accounts: Vec<Account> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let sum = |of: fn(&Account) -> &Vec<u64>| accounts.iter().map(|account| of(account).len()).sum::<usize>();
    println!("{} acknowledged, {} unknown", sum(|account| &account.sure), sum(|account| &account.unknown));
    for (writer, account) in accounts.iter().enumerate() {
        check(writer, account, &nodes[writer % 3]);
    }
    nodes.iter_mut().for_each(|node| assert!(node.terminate().success(), "{}", node.log()));
}
