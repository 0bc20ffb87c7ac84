//! Machines of a run: the cluster's nodes, watched over by a supervisor, and the clients.

use crate::scenario::{Knobs, client_ip, ip_of, machine_names};
use crate::watch::Watch;
use replica::NodeId;
use replica::driver::DriverError;
use rt::sim::World;
use rt::sim::machine::MachineId;
use server::StartError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use world::Nemesis;

/// How long a process that ended stays down before its supervisor starts it again.
const RESTART: Duration = Duration::from_millis(500);

/// A node's process that ended by itself.
pub(crate) struct Ended {
    machine: String,
    node: NodeId,
    reason: String,
    /// Its store said no: that is what it does when its disk does.
    store: bool,
}

/// News of processes that ended.
pub(crate) type Endings = mpsc::UnboundedReceiver<Ended>;

/// How often the node of each machine was started.
pub(crate) type Lives = BTreeMap<String, Arc<AtomicU32>>;

/// The cluster's machines by name, with a node on each.
pub(crate) fn place_nodes(
    world: &Arc<World>,
    knobs: &Knobs,
    watch: &Arc<Watch>,
) -> (BTreeMap<String, MachineId>, Lives, Endings) {
    let names = machine_names(knobs.workers());
    let (sender, endings) = mpsc::unbounded_channel();
    let mut lives = Lives::new();
    let first_format = knobs.first_format();
    let place = |(id, name): (NodeId, String)| {
        let mut options = knobs.node_options(id);
        options.observer = Some(watch.clone());
        let (sender, place, lived) = (sender.clone(), name.clone(), Arc::<AtomicU32>::default());
        lives.insert(name.clone(), lived.clone());
        let machine = world.add_machine(&name, ip_of(id), move || {
            let mut options = options.clone();
            if lived.fetch_add(1, Ordering::Relaxed) == 0 {
                options.tuning.format = first_format;
            }
            node(options, place.clone(), sender.clone())
        });
        (name, machine)
    };
    let machines = knobs.nodes().into_iter().zip(names).map(place).collect();
    (machines, lives, endings)
}

/// Upgrades the nodes that nothing has started anew so far, one after the other, if they began old.
pub(crate) async fn upgrade(
    nemesis: &Nemesis,
    knobs: &Knobs,
    machines: &BTreeMap<String, MachineId>,
    lives: &Lives,
) {
    if knobs.first_format() == replica::bootstrap::FORMAT {
        return;
    }
    for (name, machine) in machines {
        if lives.get(name).is_some_and(|lived| lived.load(Ordering::Relaxed) == 1) {
            nemesis.restart(*machine, RESTART).await;
            // The others are to have a leader again before the next one goes.
            rt::time::sleep(RESTART * 4).await;
        }
    }
}

/// A node's process: it ends only when it must not go on.
async fn node(options: server::NodeOptions, machine: String, endings: mpsc::UnboundedSender<Ended>) {
    let node = options.id;
    let (reason, store) = match server::start(options).await {
        Err(error) => (error.to_string(), is_store_error(&error)),
        Ok(mut node) => match node.ended().await {
            Err(error) => (error.to_string(), error.is_store()),
            Ok(()) => ("its driver ended".into(), false),
        },
    };
    // Nobody listens any more at the end of the run.
    let _ = endings.send(Ended { machine, node, reason, store });
}

fn is_store_error(error: &StartError) -> bool {
    let StartError::Replica(error) = error else { return false };
    matches!(error, replica::StartError::Store { .. } | replica::StartError::Driver(DriverError::Store(_)))
}

/// Starts processes again that ended because their disk failed, as an init system would, until the run
/// ends. One that ended for another reason stays down: that is a violation.
pub(crate) fn supervise(
    nemesis: Nemesis,
    watch: Arc<Watch>,
    machines: BTreeMap<String, MachineId>,
    mut endings: Endings,
) {
    rt::task::spawn(async move {
        while let Some(ended) = endings.recv().await {
            let Some(machine) = machines.get(&ended.machine).copied() else { continue };
            if ended.store && nemesis.has_injured_disk(machine) {
                let nemesis = nemesis.clone();
                // On its own: others may end meanwhile.
                rt::task::spawn(async move { nemesis.restart(machine, RESTART).await });
            } else {
                watch.node_stopped(ended.node, ended.reason);
            }
        }
    });
}

/// Machines for clients. The first one is for looking at the aftermath; it takes no part in the load.
pub(crate) fn place_clients(world: &Arc<World>, knobs: &Knobs) -> Vec<MachineId> {
    // A scenario has sixteen clients at most.
    let count = knobs.clients() as u32 + 1;
    let place = |client| {
        world.add_machine(&format!("client-{client}"), client_ip(client), std::future::pending::<()>)
    };
    (0..count).map(place).collect()
}
