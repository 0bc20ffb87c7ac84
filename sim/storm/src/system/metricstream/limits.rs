//! Posts that nodes let in, for the judge of limits.
//!
//! A client sees when it sent a request and when the answer came: the node let it in sometime between. Only
//! answers of success count, as others may come from before the limiter, and only if the node lived all the
//! time: a new life counts anew.

use check::{Admission, Rate, Violation, judge_limits};
use rt::sim::World;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// By how much a plan makes a node's clock run fast at most, in millionths.
const DRIFT_PPM_MAX: u64 = 500_000;

/// What was let in during a run.
pub(super) struct Admissions {
    world: Arc<World>,
    /// Posts of a client to a node in a second; 0 for any number.
    limit: u64,
    seen: Mutex<Vec<Admission>>,
}

/// A post under way.
pub(super) struct Posted {
    client: u32,
    node: Option<IpAddr>,
    deaths: u32,
    from_ns: u64,
}

impl Admissions {
    pub(super) fn new(world: &Arc<World>, limit: u64) -> Arc<Self> {
        Arc::new(Admissions { world: world.clone(), limit, seen: Mutex::default() })
    }

    fn deaths(&self, node: Option<IpAddr>) -> u32 {
        node.map_or(0, |node| self.world.deaths_at(node))
    }

    /// Client `client` posts something to the node at `host`.
    pub(super) fn sent(&self, client: u32, host: &str) -> Posted {
        let node = host.rsplit_once(':').and_then(|(ip, _)| ip.parse().ok());
        Posted { client, node, deaths: self.deaths(node), from_ns: self.world.now_ns() }
    }

    /// It was answered with success.
    pub(super) fn answered(&self, posted: Posted) {
        let Posted { client, node, deaths, from_ns } = posted;
        let Some(ip) = node.filter(|_| self.limit > 0 && deaths == self.deaths(node)) else { return };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(Admission {
            client: format!("client-{client}"),
            counter: format!("{ip}, life {deaths}"),
            from_ns,
            to_ns: self.world.now_ns(),
        });
    }

    pub(super) fn judge(&self) -> Vec<Violation> {
        let Some(limit) = usize::try_from(self.limit).ok().filter(|limit| *limit > 0) else {
            return Vec::new();
        };
        let rate = Rate { limit, window_ns: 1_000_000_000, drift_ppm_max: DRIFT_PPM_MAX };
        judge_limits(&rate, &self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
