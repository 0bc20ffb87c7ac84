//! Runs a scenario: once, twice to compare, or for many seeds.
//!
//! A scenario is an `async fn` from a [`Stage`] to what can become a [`Verdict`]. The seed decides
//! everything else.
//!
//! ```
//! use axum::{Router, routing::get};
//! use std::time::Duration;
//! use world::{Fault, FaultKind, Stage};
//!
//! async fn service() -> std::io::Result<()> {
//!     let listener = rt::net::TcpListener::bind("0.0.0.0:8080").await?;
//!     let router = Router::new().route("/", get(async || "hello"));
//!     let _server = rt::http::serve(listener, router, Default::default())?;
//!     std::future::pending().await
//! }
//!
//! /// It answers again after a crash.
//! async fn crash(stage: Stage) -> Result<(), String> {
//!     stage.machine("server", service);
//!     let kind = FaultKind::Crash { nodes: vec!["server".into()] };
//!     stage.nemesis().carry_out(&[Fault { at_ms: 500, for_ms: 700, kind }]).await;
//!     let asking = stage.client(async {
//!         let client = rt::http::Client::new(Default::default());
//!         let request = http::Request::get("/").body(Default::default()).unwrap();
//!         client.send("10.0.0.1:8080", request, Duration::from_secs(1)).await
//!     });
//!     match asking.await.map_err(|stopped| stopped.to_string())? {
//!         Ok(answer) if answer.body() == "hello" => Ok(()),
//!         other => Err(format!("after the crash: {other:?}")),
//!     }
//! }
//!
//! let run = world::run(7, crash);
//! assert_eq!(run.verdict, world::Verdict::Held);
//! assert_eq!(run.faults.counts["crash"].bit, 1);
//!
//! // The same seed again is the same run, event by event.
//! assert_eq!(world::check_determinism(7, crash), Ok(run));
//!
//! // And many seeds.
//! let sweep = world::sweep(0..20, crash);
//! assert!(sweep.held(), "{sweep}");
//! ```

use crate::nemesis::Deeds;
use crate::stage::{Stage, Verdict};
use rt::sim::trace::Event;
use rt::sim::{Options, Running, Simulation, SimulationError};
use std::fmt;
use std::time::Duration;

/// What is left of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// What came of it.
    pub verdict: Verdict,
    /// Over all events: the same for the same seed and program.
    pub event_hash: u64,
    /// Number of events.
    pub events: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// What went wrong on purpose.
    pub faults: Deeds,
}

/// Runs `scenario` with this seed.
pub fn run<F, Fut, V>(seed: u64, scenario: F) -> Run
where
    F: FnOnce(Stage) -> Fut + Send + 'static,
    Fut: Future<Output = V>,
    V: Into<Verdict>,
{
    run_with(seed, Options::default(), scenario)
}

/// The same in a world with other latencies, disk delays or limits.
pub fn run_with<F, Fut, V>(seed: u64, options: Options, scenario: F) -> Run
where
    F: FnOnce(Stage) -> Fut + Send + 'static,
    Fut: Future<Output = V>,
    V: Into<Verdict>,
{
    ended(seed, start(seed, options, scenario)).0
}

/// Every event with the place in the source where its task was spawned, if events were kept.
type Events = Vec<(Event, String)>;

pub(crate) type Started = Result<Running<(Run, Events)>, SimulationError>;

/// Begins a run.
pub(crate) fn start<F, Fut, V>(seed: u64, options: Options, scenario: F) -> Started
where
    F: FnOnce(Stage) -> Fut + Send + 'static,
    Fut: Future<Output = V>,
    V: Into<Verdict>,
{
    Simulation::start(seed, options, move |world| async move {
        let stage = Stage::new(seed, world.clone());
        let verdict = scenario(stage.clone()).await.into().and(stage.ended());
        let trace = world.trace();
        let run = Run {
            seed,
            verdict,
            event_hash: trace.hash(),
            events: trace.count(),
            simulated: Duration::from_nanos(world.now_ns()),
            faults: stage.deeds(),
        };
        let events = trace.events().iter().map(|event| (*event, trace.task_origin(event.task)));
        (run, events.collect())
    })
}

/// Waits for a run.
pub(crate) fn ended(seed: u64, started: Started) -> (Run, Events) {
    let failed = |error| {
        let verdict = match error {
            SimulationError::Panicked(text) => Verdict::Violated(vec![format!("panic: {text}")]),
            error => Verdict::Fault(error.to_string()),
        };
        let (event_hash, events, simulated) = (0, 0, Duration::ZERO);
        (Run { seed, verdict, event_hash, events, simulated, faults: Deeds::default() }, Vec::new())
    };
    started.and_then(Running::wait).unwrap_or_else(failed)
}

/// Runs `scenario` twice with this seed and compares the two runs, event by event.
///
/// Both run in this process, on fresh threads: what depends on something that the whole process shares
/// (a static, a counter) may still differ in a fresh process.
///
/// # Errors
/// The first event that differs: when, on which machine, in which task, and where that was spawned.
pub fn check_determinism<F, Fut, V>(seed: u64, scenario: F) -> Result<Run, String>
where
    F: FnOnce(Stage) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = V>,
    V: Into<Verdict>,
{
    check_determinism_with(seed, Options::default(), scenario)
}

/// The same in a world with other latencies, disk delays or limits.
///
/// # Errors
/// As [`check_determinism`].
pub fn check_determinism_with<F, Fut, V>(seed: u64, options: Options, scenario: F) -> Result<Run, String>
where
    F: FnOnce(Stage) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = V>,
    V: Into<Verdict>,
{
    let options = Options { keep_events: true, ..options };
    let again = scenario.clone();
    let (first, events) = ended(seed, start(seed, options.clone(), scenario));
    let (second, events_again) = ended(seed, start(seed, options, again));
    let line = |event: Option<&(Event, String)>| {
        event.map_or("nothing: the run ended".into(), |(event, origin)| format!("{event} (task of {origin})"))
    };
    for number in 0..events.len().max(events_again.len()) {
        let (one, other) = (events.get(number), events_again.get(number));
        if one != other {
            let (one, other) = (line(one), line(other));
            return Err(format!("seed {seed}, event {}: first {one}; then {other}", number + 1));
        }
    }
    if first != second {
        return Err(format!("seed {seed}: the same events, and then\n{first}\n{second}"));
    }
    Ok(first)
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Run { seed, verdict, event_hash, events, simulated, faults } = self;
        match verdict {
            Verdict::Held => writeln!(f, "seed {seed} held")?,
            Verdict::Violated(evidence) => {
                writeln!(f, "seed {seed} VIOLATED")?;
                evidence.iter().try_for_each(|text| writeln!(f, "  {text}"))?;
            }
            Verdict::Undecided(reasons) => {
                writeln!(f, "seed {seed} undecided")?;
                reasons.iter().try_for_each(|text| writeln!(f, "  {text}"))?;
            }
            Verdict::Fault(reason) => writeln!(f, "seed {seed} gave no result: {reason}")?,
        }
        write!(
            f,
            "  {:.1} simulated seconds, {events} events, hash {event_hash:016x}",
            simulated.as_secs_f64()
        )?;
        for (kind, counts) in &faults.counts {
            write!(f, "\n  {kind}: fired {}, bit {}", counts.fired, counts.bit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep;
    use std::sync::atomic::{AtomicU64, Ordering};

    type Life = Result<(), String>;

    async fn broken_node(stage: Stage) -> Life {
        stage.machine("node", async || Err::<(), _>("its disk is full"));
        rt::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    async fn panicking_node(stage: Stage) -> Life {
        stage.machine("node", async || -> Life { panic!("out of luck") });
        rt::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    async fn broken_law(stage: Stage) -> Life {
        if stage.seed().is_multiple_of(2) { Ok(()) } else { Err(format!("{} is odd", stage.seed())) }
    }

    #[test]
    fn a_process_that_ends_by_itself_or_panics_is_a_violation() {
        let evidence = vec!["node ended by itself: its disk is full".to_owned()];
        assert_eq!(run(1, broken_node).verdict, Verdict::Violated(evidence));
        let evidence = vec!["panic: out of luck".to_owned()];
        assert_eq!(run(1, panicking_node).verdict, Verdict::Violated(evidence));
    }

    #[test]
    fn a_sweep_shows_what_failed_and_how_to_see_it_again() {
        let sweep = sweep(0..4, broken_law).replayed_by("mine --seed {seed}");
        let seeds: Vec<u64> = sweep.runs.iter().map(|run| run.seed).collect();
        assert_eq!((seeds, sweep.exit_code()), (vec![0, 1, 2, 3], 1));
        let text = sweep.to_string();
        assert!(text.contains("seed 3 VIOLATED\n  3 is odd\n"), "{text}");
        assert!(text.contains("\n  replay: mine --seed 3\n2 of 4 seeds did not hold"), "{text}");
        assert!(text.ends_with("without any fault"), "{text}");
    }

    #[test]
    fn the_first_event_that_differs_is_named() {
        static SHARED: AtomicU64 = AtomicU64::new(0);
        let leaky = async |stage: Stage| {
            stage.world().note(0, "mark", 1, 1);
            let pause = 1 + SHARED.fetch_add(1, Ordering::Relaxed);
            rt::time::sleep(Duration::from_millis(pause)).await;
            stage.world().note(0, "mark", 2, 2);
            Verdict::Held
        };
        let difference = check_determinism(7, leaky).expect_err("they differ");
        assert!(difference.starts_with("seed 7, event 2: first 0.00"), "{difference}");
        assert!(difference.contains("node=0 task=0 mark 2"), "{difference}");
    }
}
