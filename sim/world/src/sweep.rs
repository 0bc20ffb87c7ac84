//! Many seeds of a scenario, as many at a time as there are processors.

use crate::nemesis::Counts;
use crate::run::{Run, ended, start};
use crate::stage::{Stage, Verdict};
use rt::sim::{Options, processors};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;

/// What is left of many runs, in the order of their seeds.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// One for each seed.
    pub runs: Vec<Run>,
    replay: Option<String>,
}

/// Runs `scenario` with each of these seeds. See [`mod@crate::run`] for an example.
pub fn sweep<F, Fut, V>(seeds: Range<u64>, scenario: F) -> Sweep
where
    F: FnOnce(Stage) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = V>,
    V: Into<Verdict>,
{
    sweep_with(seeds, &Options::default(), scenario)
}

/// The same in a world with other latencies, disk delays or limits.
pub fn sweep_with<F, Fut, V>(seeds: Range<u64>, options: &Options, scenario: F) -> Sweep
where
    F: FnOnce(Stage) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = V>,
    V: Into<Verdict>,
{
    let mut sweep = Sweep::default();
    let mut running = VecDeque::new();
    for seed in seeds {
        if running.len() >= processors() {
            sweep.runs.extend(running.pop_front().map(|(seed, run)| ended(seed, run).0));
        }
        running.push_back((seed, start(seed, options.clone(), scenario.clone())));
    }
    sweep.runs.extend(running.into_iter().map(|(seed, run)| ended(seed, run).0));
    sweep
}

impl From<Run> for Sweep {
    fn from(run: Run) -> Self {
        Sweep { runs: vec![run], replay: None }
    }
}

impl Sweep {
    /// Says how a seed is run again: the command line, with `{seed}` where the seed stands. Failing runs are
    /// then shown with it.
    pub fn replayed_by(mut self, command: &str) -> Self {
        self.replay = Some(command.to_owned());
        self
    }

    /// True if every run held.
    pub fn held(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The runs that did not hold.
    pub fn failures(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.verdict != Verdict::Held)
    }

    /// Exit code for a program: 0 if all held, 1 if a law was broken, 2 if something could not be judged.
    pub fn exit_code(&self) -> u8 {
        let violated = |run: &Run| matches!(run.verdict, Verdict::Violated(_));
        if self.held() {
            0
        } else if self.failures().any(violated) {
            1
        } else {
            2
        }
    }

    /// All faults by kind. One that fired and never bit has shown nothing.
    pub fn faults(&self) -> BTreeMap<&'static str, Counts> {
        let mut all: BTreeMap<&'static str, Counts> = BTreeMap::new();
        for (kind, counts) in self.runs.iter().flat_map(|run| &run.faults.counts) {
            let sum = all.entry(kind).or_default();
            sum.fired += counts.fired;
            sum.bit += counts.bit;
        }
        all
    }
}

/// Failing runs first, then a line for all.
impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Failing runs shown; the first ones tell the story.
        const SHOWN: usize = 5;
        for run in self.failures().take(SHOWN) {
            writeln!(f, "{run}")?;
            if let Some(command) = &self.replay {
                writeln!(f, "  replay: {}", command.replace("{seed}", &run.seed.to_string()))?;
            }
        }
        let (all, failed) = (self.runs.len(), self.failures().count());
        let simulated: f64 = self.runs.iter().map(|run| run.simulated.as_secs_f64()).sum();
        match failed {
            0 => write!(f, "all {all} seeds held")?,
            _ => write!(f, "{failed} of {all} seeds did not hold")?,
        }
        write!(f, "; {simulated:.0} simulated seconds")?;
        let faults = self.faults();
        if faults.is_empty() {
            write!(f, "\n  without any fault")?;
        }
        for (kind, counts) in faults {
            write!(f, "\n  {kind}: fired {}, bit {}", counts.fired, counts.bit)?;
        }
        Ok(())
    }
}
