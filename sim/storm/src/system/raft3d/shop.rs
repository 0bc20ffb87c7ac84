//! What one shop (a printer, a roll of filament, and the jobs that use them) does when its requests come one
//! at a time. Everything that refers to each other is one object, so that a job that is refused for want of
//! filament tells as much as one that is taken.

use check::linearizability::Specification;
use client::raft3d::JobStatus;
use serde::Serialize;
use std::collections::BTreeMap;

/// A request to a shop.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// The shop.
    pub shop: String,
    /// What is asked.
    pub what: What,
    /// Idempotency key, if it carries one.
    pub key: Option<String>,
}

/// What is asked of a shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum What {
    /// Creates its printer.
    AddPrinter,
    /// Creates its roll, of so many grams.
    AddFilament(u32),
    /// Creates the job of that number, which takes so many grams.
    AddJob(u32, u32),
    /// Moves a job on.
    Move(u32, JobStatus),
    /// Is there a printer?
    ReadPrinter,
    /// What is left of the roll?
    ReadFilament,
    /// How far is a job?
    ReadJob(u32),
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Said {
    /// Created, or moved on.
    Done,
    /// Refused: there is one.
    Known,
    /// Refused: there is no printer.
    NoPrinter,
    /// Refused: there is no roll.
    NoFilament,
    /// Refused: so much is left, of which so much is reserved.
    TooHeavy(u32, u32),
    /// Refused, or read: there is no such object.
    Nothing,
    /// Refused: it is that.
    NotNext(JobStatus),
    /// There is a printer.
    Printer,
    /// Weight of the whole roll, and what is left of it.
    Filament(u32, u32),
    /// Weight and status.
    Job(u32, JobStatus),
}

/// What a shop remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct State {
    printer: bool,
    /// Total and remaining.
    filament: Option<(u32, u32)>,
    jobs: BTreeMap<u32, (u32, JobStatus)>,
}

impl State {
    fn reserved(&self) -> u32 {
        self.jobs.values().filter(|(_, status)| status.reserves()).map(|(weight, _)| weight).sum()
    }

    /// Carries a request out, and answers it.
    pub fn carry_out(&mut self, what: &What) -> Said {
        match *what {
            What::AddPrinter if self.printer => Said::Known,
            What::AddPrinter => {
                self.printer = true;
                Said::Done
            }
            What::AddFilament(_) if self.filament.is_some() => Said::Known,
            What::AddFilament(total) => {
                self.filament = Some((total, total));
                Said::Done
            }
            What::AddJob(job, weight) => self.add_job(job, weight),
            What::Move(job, status) => self.move_on(job, status),
            What::ReadPrinter => {
                if self.printer {
                    Said::Printer
                } else {
                    Said::Nothing
                }
            }
            What::ReadFilament => {
                self.filament.map_or(Said::Nothing, |(total, left)| Said::Filament(total, left))
            }
            What::ReadJob(job) => {
                self.jobs.get(&job).map_or(Said::Nothing, |(weight, status)| Said::Job(*weight, *status))
            }
        }
    }

    fn add_job(&mut self, job: u32, weight: u32) -> Said {
        if self.jobs.contains_key(&job) {
            return Said::Known;
        }
        if !self.printer {
            return Said::NoPrinter;
        }
        let Some((_, left)) = self.filament else { return Said::NoFilament };
        let reserved = self.reserved();
        if reserved + weight > left {
            return Said::TooHeavy(left, reserved);
        }
        self.jobs.insert(job, (weight, JobStatus::Queued));
        Said::Done
    }

    fn move_on(&mut self, job: u32, to: JobStatus) -> Said {
        let Some((weight, status)) = self.jobs.get_mut(&job) else { return Said::Nothing };
        let fits = match to {
            JobStatus::Queued => false,
            JobStatus::Running => *status == JobStatus::Queued,
            JobStatus::Done | JobStatus::Canceled => *status == JobStatus::Running,
        };
        if !fits {
            return Said::NotNext(*status);
        }
        *status = to;
        if let (JobStatus::Done, Some((_, left))) = (to, &mut self.filament) {
            // What is reserved is never more than what is left.
            *left = left.saturating_sub(*weight);
        }
        Said::Done
    }
}

/// The law of a shop.
pub struct Shop;

impl Specification for Shop {
    type Call = Call;
    type Answer = Said;
    type State = State;

    fn object<'a>(&self, call: &'a Call) -> &'a str {
        &call.shop
    }

    fn initial(&self) -> State {
        State::default()
    }

    fn step(&self, state: &State, call: &Call, answer: Option<&Said>) -> Option<State> {
        let mut after = state.clone();
        let said = after.carry_out(&call.what);
        match answer {
            Some(answer) => (*answer == said).then_some(after),
            // One that would be refused here is as good as one that never took effect.
            None => (said == Said::Done).then_some(after),
        }
    }

    fn only_observes(&self, call: &Call, answer: Option<&Said>) -> bool {
        let reads = matches!(call.what, What::ReadPrinter | What::ReadFilament | What::ReadJob(_));
        reads || answer.is_some_and(|answer| *answer != Said::Done)
    }

    fn call_in_words(&self, call: &Call, answer: Option<&Said>) -> String {
        let what = &call.what;
        answer.map_or_else(|| format!("{what:?}"), |answer| format!("{what:?} answered {answer:?}"))
    }
}
