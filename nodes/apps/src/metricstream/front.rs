//! What a node keeps for its listener: who may post how much, and what was counted but not replicated yet.
//!
//! A request over its client's limit costs no log entry. It is counted here, and once a second what was
//! counted goes into the log of the first partition, under a key of its own, so that no retry doubles it.
//! A node that dies loses what it counted in its last second. Whoever asks a node for the counts sees at
//! least what that node has counted.

use super::APP;
use super::command::{Command, Counts, Reply};
use super::export;
use super::queue;
use super::settings::Settings;
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use crate::http::limiter::{Limiter, RetryAfter};
use crate::http::rate_limit::RateLimit;
use crate::profile::{Auth, Profile};
use http::{HeaderMap, header};
use rt::task::TaskGroup;
use rt::time::{self, Instant};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Header that names a client where `Authorization` is taken by a token.
pub const CLIENT_ID: &str = "x-client-id";
/// Large bodies in memory at a time.
const LARGE_BODIES: usize = 64;
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Flushes between two looks at what is too old.
const RETAIN_EVERY: u64 = 60;

/// A node's front.
pub struct Front {
    /// Of listeners with this system's profile, and of others.
    gates: [Mutex<Gate>; 2],
    /// Keeps clients from choosing names that meet in one hash.
    seed: u64,
    limited: AtomicU64,
    invalid: AtomicU64,
    /// Bodies larger than what every route reads.
    pub large_bodies: Semaphore,
    flushing: tokio::sync::Mutex<Flushing>,
}

/// Who may post how much, and the settings that say so.
#[derive(Default)]
struct Gate {
    /// As they were when they were last read; `None` before that.
    settings: Option<Option<serde_json::Value>>,
    open: Option<(RateLimit, Limiter<u128>)>,
}

impl Gate {
    /// The limit of now: settings can change while the node runs.
    fn now(&mut self, cluster: &Cluster) -> Option<(RateLimit, &mut Limiter<u128>)> {
        let options = cluster.options();
        let settings = options.settings.get(APP.name);
        if self.settings.as_ref().is_none_or(|known| known.as_ref() != settings) {
            // Settings that make no sense have kept the node from starting, or from taking them.
            let rate = Settings::of(cluster).ok().and_then(|settings| settings.rate_limit);
            let same = self.open.take().filter(|(before, _)| Some(*before) == rate);
            // Another limit: everybody begins anew.
            self.open = same.or(rate.map(|rate| (rate, Limiter::new(rate.limit, rate.window))));
            self.settings = Some(settings.cloned());
        }
        self.open.as_mut().map(|(rate, limiter)| (*rate, limiter))
    }
}

/// What is on its way into the log.
struct Flushing {
    life: u64,
    number: u64,
    under_way: Option<Counts>,
}

impl Default for Front {
    fn default() -> Self {
        let flushing = Flushing { life: rt::random::u64(), number: 0, under_way: None };
        Front {
            gates: Default::default(),
            seed: rt::random::u64(),
            limited: AtomicU64::new(0),
            invalid: AtomicU64::new(0),
            large_bodies: Semaphore::new(LARGE_BODIES),
            flushing: tokio::sync::Mutex::new(flushing),
        }
    }
}

impl Front {
    /// The front of a node.
    pub fn of(cluster: &Cluster) -> Arc<Self> {
        cluster.own()
    }

    /// Lets a request in, or tells its client to wait. Needs nothing but its head.
    ///
    /// # Errors
    /// [`ApiError::TooManyRequests`].
    pub fn admit(&self, cluster: &Cluster, headers: &HeaderMap, peer: IpAddr) -> Result<(), ApiError> {
        let gate = &self.gates[usize::from(cluster.options().profile == Profile::MetricStream)];
        // What a panic left behind is still a list of admissions.
        let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((rate, limiter)) = gate.now(cluster) else { return Ok(()) };
        let client = self.client(cluster, headers, peer);
        limiter.admit(&client, Instant::now()).map_err(|RetryAfter(retry_after)| {
            self.limited.fetch_add(1, Ordering::Relaxed);
            ApiError::TooManyRequests { rate, retry_after }
        })
    }

    /// Who asks, as a hash: of the name that it gives itself, or of its address.
    fn client(&self, cluster: &Cluster, headers: &HeaderMap, peer: IpAddr) -> u128 {
        let options = cluster.options();
        let own = options.profile == Profile::MetricStream
            && !options.require_token
            && options.auth != Auth::Strict;
        let name = if own {
            headers.get(header::AUTHORIZATION).filter(|value| !is_bearer(value.as_bytes()))
        } else {
            headers.get(CLIENT_ID)
        };
        let hash = |bytes: &[u8], kind| xxhash_rust::xxh3::xxh3_128_with_seed(bytes, self.seed ^ kind);
        match (name, peer) {
            (Some(name), _) => hash(name.as_bytes(), 0),
            (None, IpAddr::V4(address)) => hash(&address.octets(), 1),
            (None, IpAddr::V6(address)) => hash(&address.octets(), 2),
        }
    }

    /// Counts metrics, or bodies, that broke a rule without anything being stored.
    pub fn count_invalid(&self, count: u64) {
        self.invalid.fetch_add(count, Ordering::Relaxed);
    }

    /// Brings what was counted here into the log.
    ///
    /// # Errors
    /// [`ApiError`]; it is tried again then, and never counted twice.
    pub async fn flush(&self, cluster: &Cluster) -> Result<(), ApiError> {
        let mut flushing = self.flushing.lock().await;
        loop {
            let counts = match flushing.under_way {
                Some(counts) => counts,
                None => Counts {
                    limited: self.limited.swap(0, Ordering::Relaxed),
                    invalid: self.invalid.swap(0, Ordering::Relaxed),
                    ..Counts::default()
                },
            };
            if counts == Counts::default() {
                return Ok(());
            }
            flushing.under_way = Some(counts);
            let group = *cluster.partitions().first().ok_or(ApiError::NotReady)?;
            // No header can carry this key: it begins with a control character.
            let key = format!("\u{1}metricstream:{:x}:{}", flushing.life, flushing.number);
            let command = Command::Count(counts);
            let _: Reply = cluster.command(&APP, group, Some(key), &command).await?;
            flushing.under_way = None;
            flushing.number += 1;
        }
    }
}

fn is_bearer(value: &[u8]) -> bool {
    value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer "))
}

/// What a node does beside answering: writes `metrics.jsonl`, brings in its counts, and has what is too old
/// forgotten.
pub async fn serve(cluster: Cluster) {
    let tasks = TaskGroup::default();
    if let Some(export) = Settings::of(&cluster).ok().and_then(|settings| settings.export) {
        tasks.spawn(export::run(cluster.clone(), export));
    }
    queue::serve(&cluster, &tasks);
    let front = Front::of(&cluster);
    for round in 1u64.. {
        time::sleep(FLUSH_EVERY).await;
        if let Err(error) = front.flush(&cluster).await {
            tracing::debug!(%error, "counts of MetricStream wait");
        }
        if round % RETAIN_EVERY == 0 {
            // Each time anew: it can change while the node runs.
            let retention_ms = Settings::of(&cluster).map_or(u64::MAX, |settings| settings.retention_ms);
            retain(&cluster, time::wall_ms().saturating_sub(retention_ms)).await;
        }
    }
}

/// Has all partitions that this node is at home at forget what is older.
async fn retain(cluster: &Cluster, before_ms: u64) {
    let Some(placement) = cluster.placement() else { return };
    for spec in placement.partitions.iter().filter(|spec| spec.home == cluster.node()) {
        let command = Command::Retain { before_ms };
        let reply: Result<Reply, ApiError> = cluster.command(&APP, spec.group, None, &command).await;
        if let Err(error) = reply {
            tracing::debug!(%error, group = spec.group, "retention of MetricStream waits");
        }
    }
}
