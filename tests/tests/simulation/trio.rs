//! Three equal nodes of our cluster and a machine for a client, without faults of their own.

use crate::stage::{MS, SECOND, idle, on};
use client::{Client, ClientOptions};
use replica::observe::{Observer, Step};
use rt::sim::World;
use rt::sim::machine::MachineId;
use rt::time::{Instant, sleep};
use server::{NodeOptions, Role};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TOKEN: &str = "a-token-of-these-tests";

/// Counts elections.
#[derive(Default)]
pub struct Elections(Mutex<Vec<(u64, u64)>>);

impl Observer for Elections {
    fn observe(&self, node: u64, group: u64, step: Step) {
        if matches!(step, Step::BecameLeader { .. }) {
            self.0.lock().unwrap().push((node, group));
        }
    }
}

impl Elections {
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Who was the last to lead partition 1.
    pub fn leader(&self) -> u64 {
        let elections = self.0.lock().unwrap();
        elections.iter().rev().find(|(_, group)| *group == 1).expect("a leader").0
    }
}

/// The machines.
pub struct Trio {
    pub nodes: Vec<MachineId>,
    pub client: MachineId,
    pub elections: Arc<Elections>,
}

/// Starts them, each with what `change` makes of its options, and waits until they are ready.
pub async fn trio(world: &World, change: impl Fn(&mut NodeOptions)) -> Trio {
    let elections = Arc::<Elections>::default();
    let peers: std::collections::BTreeMap<u64, String> =
        (1..=3).map(|id| (id, format!("10.0.0.{id}:9090"))).collect();
    let place = |id: u64| {
        let listen = format!("10.0.0.{id}:8080");
        let mut options = NodeOptions::new(id, Role::All, &listen, peers.clone(), "/data".into());
        options.token = TOKEN.into();
        options.observer = Some(elections.clone());
        change(&mut options);
        let ip = format!("10.0.0.{id}").parse().unwrap();
        world.add_machine(&format!("node-{id}"), ip, move || {
            let options = options.clone();
            async move {
                let mut node = server::start(options).await.expect("it starts");
                // Ends only with its machine.
                let _ = node.ended().await;
            }
        })
    };
    let nodes = (1..=3).map(place).collect();
    let trio = Trio { nodes, client: idle(world, 9), elections };
    sleep(10 * SECOND).await;
    trio
}

impl Trio {
    /// Writes ten times a second for `length`; gives how many of the writes were done, and not.
    pub async fn write(&self, world: &World, length: Duration) -> (u64, u64) {
        on(world, self.client, async move {
            let endpoints = (1..=3).map(|id| format!("10.0.0.{id}:8080")).collect();
            let client = Client::new(ClientOptions { endpoints, token: TOKEN.into(), deadline: 8 * SECOND });
            let (mut done, mut failed, begin) = (0, 0, Instant::now());
            while begin.elapsed() < length {
                let key = format!("key-{done}-{failed}-{}", rt::random::u64());
                match client.record("series", 1.0, Some(&key)).await {
                    Ok(_) => done += 1,
                    Err(_) => failed += 1,
                }
                sleep(100 * MS).await;
            }
            (done, failed)
        })
        .await
    }
}
