//! Sites: the catalogue of all marks in the program, and what a run did at each.
//!
//! A site's luck depends on the seed and on its own name alone: a new site in the code shifts nothing for
//! the others.

use super::rng::{Purpose, Rng};
use super::{World, current, trace};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every site that is linked into this program, in the linker's order.
#[linkme::distributed_slice]
pub static SITES: [Site];

/// How often a site is on in a run.
const ON: f64 = 0.25;
/// Broken laws that a run keeps; of more, only the number is known.
const KEPT: usize = 100;

/// What a site is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `buggify!`: makes trouble.
    Buggify,
    /// `always!`: a law.
    Always,
    /// `sometimes!`: a state to be reached.
    Sometimes,
    /// `reachable!`: a place to be reached.
    Reachable,
}

impl Kind {
    /// Name for people and reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Buggify => "buggify",
            Kind::Always => "always",
            Kind::Sometimes => "sometimes",
            Kind::Reachable => "reachable",
        }
    }
}

/// A mark in the code.
#[derive(Debug)]
pub struct Site {
    kind: Kind,
    name: &'static str,
    file: &'static str,
    line: u32,
    reached: AtomicU64,
}

impl Site {
    #[doc(hidden)]
    pub const fn new(kind: Kind, name: &'static str, file: &'static str, line: u32) -> Self {
        Site { kind, name, file, line, reached: AtomicU64::new(0) }
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name, or the sentence that says what is reached or holds.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it stands: file and line.
    pub fn place(&self) -> (&'static str, u32) {
        (self.file, self.line)
    }

    /// How often it fired, was reached or was broken in all simulations of this process so far.
    pub fn reached(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }

    /// `buggify!`
    #[doc(hidden)]
    pub fn fires(&'static self, probability: f64) -> bool {
        let Some(world) = current() else { return false };
        let fires = {
            let sites = &mut world.state().sites;
            let stopped = sites.stopped;
            let run = sites.of(self);
            run.evaluated += 1;
            let fires = !stopped && run.luck.as_mut().is_some_and(|luck| luck.chance(probability));
            run.reached += u64::from(fires);
            fires
        };
        if fires {
            self.reached.fetch_add(1, Ordering::Relaxed);
            world.record(here(), "buggify", u64::from(self.number()), 0);
        }
        fires
    }

    /// `sometimes!` and `reachable!`
    #[doc(hidden)]
    pub fn evaluated(&'static self, condition: impl FnOnce() -> bool) {
        let Some(world) = current() else { return };
        let holds = condition();
        let sites = &mut world.state().sites;
        let run = sites.of(self);
        run.evaluated += 1;
        if holds {
            run.reached += 1;
            self.reached.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `always!`
    #[doc(hidden)]
    pub fn holds(&'static self, condition: impl FnOnce() -> bool, detail: fmt::Arguments<'_>) {
        let Some(world) = current() else { return };
        let broken = (!condition()).then(|| detail.to_string());
        let at_ns = world.now_ns();
        let sites = &mut world.state().sites;
        let run = sites.of(self);
        run.evaluated += 1;
        let Some(detail) = broken else { return };
        run.reached += 1;
        self.reached.fetch_add(1, Ordering::Relaxed);
        if sites.broken.len() < KEPT {
            sites.broken.push(Broken { site: self, at_ns, machine: here(), detail });
        }
    }

    /// Numbers its stream of luck: a hash of the name.
    fn number(&self) -> u32 {
        (xxhash_rust::xxh3::xxh3_64(self.name.as_bytes()) >> 32) as u32
    }
}

/// Number of the current machine, 0 for the supervisor.
fn here() -> u16 {
    trace::here().machine.map_or(0, |machine| machine.number())
}

/// All sites of this program, by kind and name.
pub fn sites() -> Vec<&'static Site> {
    let mut all: Vec<_> = SITES.iter().collect();
    all.sort_by_key(|site| (site.kind, site.name, site.file, site.line));
    all
}

/// A law that did not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which.
    pub site: &'static Site,
    /// When, in simulated nanoseconds.
    pub at_ns: u64,
    /// Number of the machine, 0 for the supervisor.
    pub machine: u16,
    /// What the code says about it; may be empty.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broken { site, machine, detail, .. } = self;
        let (file, line) = site.place();
        write!(f, "machine {machine}: not always: {} ({file}:{line})", site.name())?;
        if detail.is_empty() { Ok(()) } else { write!(f, ": {detail}") }
    }
}

/// What a run did at a site.
#[derive(Clone, Copy, Debug)]
pub struct SiteCount {
    /// Which.
    pub site: &'static Site,
    /// False only for a `buggify!` that this run never lets fire.
    pub on: bool,
    /// How often the code came there.
    pub evaluated: u64,
    /// How often it fired, was reached, or was broken.
    pub reached: u64,
}

/// The sites of one run.
pub(crate) struct Sites {
    seed: u64,
    buggify: bool,
    stopped: bool,
    runs: BTreeMap<(Kind, &'static str), Run>,
    broken: Vec<Broken>,
}

struct Run {
    /// `None`: it never fires in this run.
    luck: Option<Rng>,
    evaluated: u64,
    reached: u64,
}

impl Sites {
    pub(crate) fn new(seed: u64, buggify: bool) -> Self {
        Sites { seed, buggify, stopped: false, runs: BTreeMap::new(), broken: Vec::new() }
    }

    fn of(&mut self, site: &'static Site) -> &mut Run {
        let (seed, buggify) = (self.seed, self.buggify);
        self.runs.entry((site.kind, site.name)).or_insert_with(|| Run {
            luck: luck(seed, buggify, site),
            evaluated: 0,
            reached: 0,
        })
    }
}

/// The stream that decides when a `buggify!` fires; `None` if it is off.
fn luck(seed: u64, buggify: bool, site: &Site) -> Option<Rng> {
    if !buggify || site.kind != Kind::Buggify {
        return None;
    }
    let mut luck = Rng::numbered(seed, Purpose::Buggify, site.number());
    luck.chance(ON).then_some(luck)
}

impl World {
    /// What this run did so far at each site of the program, by kind and name.
    pub fn site_counts(&self) -> Vec<SiteCount> {
        let sites_of_run = &self.state().sites;
        let count = |site: &'static Site| {
            let run = sites_of_run.runs.get(&(site.kind, site.name));
            let (evaluated, reached) = run.map_or((0, 0), |run| (run.evaluated, run.reached));
            let lucky = luck(sites_of_run.seed, sites_of_run.buggify, site).is_some();
            SiteCount { site, on: site.kind != Kind::Buggify || lucky, evaluated, reached }
        };
        sites().into_iter().map(count).collect()
    }

    /// No `buggify!` fires from now on: for the time after all faults are healed.
    pub fn stop_buggify(&self) {
        self.state().sites.stopped = true;
    }

    /// Laws (`always!`) that did not hold so far, the first hundred at most.
    pub fn broken_laws(&self) -> Vec<Broken> {
        self.state().sites.broken.clone()
    }
}
