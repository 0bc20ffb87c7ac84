//! Injections on links: what is done to each direction between two machines, and its end.
//!
//! Several may overlap on one link. Then the last latency holds, losses are drawn one by one, the least
//! bandwidth counts, a cut goes before a clog, and of blocked connects the last says how they fail.

use super::connection::Connection;
use super::link::{Connects, Link};
use super::road::{Fault, Road};
use super::{Net, Way};
use crate::sim::injection::Injection;
use crate::sim::machine::MachineId;
use crate::sim::{State, World};
use std::sync::Arc;

impl World {
    /// Makes links (each one way) slow, lossy or narrow. Bites once for each thing that it does to a
    /// segment: delays it, loses it, queues it.
    pub fn degrade(&self, links: &[(MachineId, MachineId)], link: Link) -> Injection {
        self.inject(links, "degrade", || Fault::Degrade(link))
    }

    /// Cuts links, each one way: what is sent is lost, and sent again by TCP until it is mended or the
    /// sender gives up. Bites for each segment, datagram and connection request that it swallows.
    pub fn cut_links(&self, links: &[(MachineId, MachineId)]) -> Injection {
        let injection = self.inject(links, "cut_links", || Fault::Cut);
        links.iter().for_each(|way| self.disturb_way(*way));
        injection
    }

    /// Clogs links, each one way: everything waits in the network and comes out in order and at once when
    /// this is mended. Nothing is lost or sent again, and nobody gives up. Bites for each thing that waits.
    pub fn clog(&self, links: &[(MachineId, MachineId)]) -> Injection {
        self.inject(links, "clog", || Fault::Clog)
    }

    /// Lets attempts to connect fail; connections that exist go on. `(from, to)` is who dials, and whom.
    /// Bites for each connection request.
    pub fn block_connects(&self, links: &[(MachineId, MachineId)], how: Connects) -> Injection {
        self.inject(links, "block_connects", || Fault::Connects(how))
    }

    /// Resets every connection between these machines now, at both ends, whoever opened it. Bites for
    /// each connection; over at once, so that mending it changes nothing.
    pub fn reset_connections(&self, links: &[(MachineId, MachineId)]) -> Injection {
        let injection = self.begin_at_once(links, "reset_connections");
        for connection in self.connections_on(links) {
            let open = |side: usize| !connection.pipes[side].lock().writer_closed;
            if open(0) || open(1) {
                self.state().bites.bite(injection);
            }
            for side in [0, 1] {
                let after = self.state().net.calm_latency(connection.link(1 - side));
                self.reset_end(&connection, side, after);
            }
        }
        injection
    }

    /// A middle box forgets every connection between these machines, whoever opened it: from now on
    /// nothing of them gets through, for ever, and nobody is told. New connections work. Bites for each
    /// segment that vanishes; mending it brings nothing back.
    pub fn forget_connections(&self, links: &[(MachineId, MachineId)]) -> Injection {
        let injection = self.begin_at_once(links, "forget_connections");
        for connection in self.connections_on(links) {
            for side in [0, 1] {
                connection.pipes[side].lock().forgotten.get_or_insert(injection);
            }
            for side in [0, 1] {
                self.disturb(&connection, side);
            }
        }
        injection
    }

    /// Cuts the way from one machine to another. Cuts add up: each needs its own [`World::heal`].
    ///
    /// ```
    /// use rt::net::{TcpListener, TcpStream};
    /// use rt::sim::{Options, Simulation};
    /// use std::time::Duration;
    ///
    /// let connected = Simulation::run(7, Options::default(), |world| async move {
    ///     let server = world.add_machine("server", [10, 0, 0, 1].into(), async || {
    ///         let listener = TcpListener::bind("0.0.0.0:80").await.unwrap();
    ///         while listener.accept().await.is_ok() {}
    ///     });
    ///     let client = world.add_machine("client", [10, 0, 0, 2].into(), std::future::pending::<()>);
    ///     world.cut(server, client);
    ///     let dialing = world.spawn_on(client, TcpStream::connect("10.0.0.1:80"));
    ///     rt::time::sleep(Duration::from_secs(5)).await;
    ///     // The answer does not come through: it hangs, as it does for real.
    ///     let hung = !dialing.is_finished();
    ///     world.heal(server, client);
    ///     hung && dialing.await.unwrap().is_ok()
    /// });
    /// assert_eq!(connected, Ok(true));
    /// ```
    pub fn cut(&self, from: MachineId, to: MachineId) {
        self.state().net.roads.entry((from, to)).or_default().cuts += 1;
        self.record(from.number(), "cut", u64::from(to.number()), 0);
        self.disturb_way((from, to));
    }

    /// Takes one cut away; with the last one, what it held back is sent again.
    pub fn heal(&self, from: MachineId, to: MachineId) {
        {
            let mut state = self.state();
            let Some(road) = state.net.roads.get_mut(&(from, to)).filter(|road| road.cuts > 0) else {
                return;
            };
            road.cuts -= 1;
            if road.cuts > 0 {
                return;
            }
            state.net.roads.retain(|_, road| !road.is_calm());
        }
        self.record(from.number(), "heal", u64::from(to.number()), 0);
        self.settle((from, to));
    }

    /// How many segments and connection requests cuts and clogs have held back so far.
    pub fn held_back(&self) -> u64 {
        let state = self.state();
        state.net.held_segments + state.net.held_connects
    }

    /// Ends a link's injection, if it is one.
    pub(crate) fn mend_links(&self, injection: Injection) {
        let ways = self.state().net.remove_fault(injection);
        for way in ways {
            self.record(way.0.number(), "mend", u64::from(way.1.number()), 0);
            self.settle(way);
        }
    }

    fn inject(&self, links: &[Way], kind: &'static str, fault: impl Fn() -> Fault) -> Injection {
        let injection = {
            let mut state = self.state();
            let State { net, bites, .. } = &mut *state;
            let injection = bites.begin();
            for way in links.iter().filter(|(from, to)| from != to) {
                net.roads.entry(*way).or_insert_with(Road::default).faults.push((injection, fault()));
            }
            injection
        };
        self.record_links(links, kind);
        injection
    }

    fn begin_at_once(&self, links: &[Way], kind: &'static str) -> Injection {
        self.record_links(links, kind);
        self.state().bites.begin()
    }

    fn record_links(&self, links: &[Way], kind: &'static str) {
        for (from, to) in links {
            self.record(from.number(), kind, u64::from(to.number()), 0);
        }
    }

    /// Connections of which one direction or the other goes over one of `links`.
    fn connections_on(&self, links: &[Way]) -> Vec<Arc<Connection>> {
        let mut connections = self.connections();
        let on_links = |connection: &Connection| [0, 1].map(|side| links.contains(&connection.link(side)));
        connections.retain(|connection| {
            connection.ends[0].machine != connection.ends[1].machine && on_links(connection).contains(&true)
        });
        connections
    }

    fn disturb_way(&self, way: Way) {
        for connection in self.connections() {
            for side in [0, 1] {
                let link = connection.link(side);
                if link.0 != link.1 && link == way {
                    self.disturb(&connection, side);
                    self.disturb(&connection, 1 - side);
                }
            }
        }
    }
}

impl Net {
    /// Takes an injection off all links; gives those that had it.
    fn remove_fault(&mut self, injection: Injection) -> Vec<Way> {
        let mut ways = Vec::new();
        for (way, road) in &mut self.roads {
            let before = road.faults.len();
            road.faults.retain(|(known, _)| *known != injection);
            if road.faults.len() < before {
                ways.push(*way);
            }
        }
        self.roads.retain(|_, road| !road.is_calm());
        ways
    }
}
