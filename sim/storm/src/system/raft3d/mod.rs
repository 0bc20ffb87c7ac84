//! Raft3D: shops open, take jobs and print them, while several clients work in the same ones. Now and then
//! somebody moves the leadership.
//!
//! A shop is busy for some seconds, then new ones open: so each sees beginnings and ends, and none grows
//! beyond what the search for an order can judge.

mod judge;
mod shop;
#[cfg(test)]
mod tests;

use super::{Boxed, Deed, Seat, System, json_lines, keep};
use crate::aftermath::{PAUSE, RECOVERY};
use crate::scenario::Knobs;
use check::Violation;
use check::history::Outcome;
use check::linearizability::{self, Limits};
use client::raft3d::{Filament, JobStatus, Object, PrintJob, Printer};
use client::{CallError, Client, ClientOptions};
use judge::{Stored, filament_id, job_id, printer_id};
use rt::sim::World;
use rt::sim::rng::Rng;
use rt::time::{self, Instant};
use shop::{Call, Said, Shop, What};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use world::Recorder;

/// How long a client waits for an answer: longer than a node takes to say that it does not know.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long shops are busy before new ones open.
const BUSY_NS: u64 = 8_000_000_000;
/// Jobs that a shop may see.
const JOBS: u64 = 12;
/// How far the search for one shop's order may go. In 2,000 seeds none of 25,000 shops needed more than
/// 2,000 steps; one that did would not be judged.
const LIMITS: Limits = Limits { max_configurations: 60_000, max_steps: 2_000_000 };

/// Clients of Raft3D.
#[derive(Clone)]
pub struct Raft3d {
    world: Arc<World>,
    recorder: Recorder<Call, Said>,
    /// Shops that are busy at a time.
    busy: u64,
    /// Numbers keys.
    next_key: Arc<AtomicU64>,
    stored: Arc<OnceLock<Stored>>,
}

pub(super) fn make(world: &Arc<World>, knobs: &Knobs) -> Arc<dyn System> {
    Arc::new(Raft3d {
        world: world.clone(),
        recorder: Recorder::new(world.clone()),
        busy: knobs.get("series", 3).clamp(1, 3),
        next_key: Arc::default(),
        stored: Arc::default(),
    })
}

impl System for Raft3d {
    fn client(&self, seat: Seat) -> Boxed<()> {
        Box::pin(self.clone().run(seat))
    }

    fn collect(&self, seat: Seat) -> Boxed<bool> {
        keep(self.clone().final_state(seat), self.stored.clone())
    }

    fn judge(&self) -> Vec<Violation> {
        let history = self.recorder.history();
        let Some(stored) = self.stored.get() else { return Vec::new() };
        let mut violations = judge::judge(&history, stored);
        violations.extend(linearizability::judge(&Shop, &history, LIMITS).violations);
        violations
    }

    fn history(&self) -> Vec<String> {
        json_lines(&self.recorder.history())
    }

    fn deeds(&self) -> Vec<Deed> {
        let is_write =
            |what: &What| !matches!(what, What::ReadPrinter | What::ReadFilament | What::ReadJob(_));
        let history = self.recorder.history();
        history.iter().map(|operation| Deed::of(operation, is_write(&operation.call.what))).collect()
    }
}

/// What a client does next, in a shop that sees everything that may happen in one.
fn draw(rng: &mut Rng) -> What {
    let job = rng.below(JOBS) as u32;
    match rng.below(40) {
        0..3 => What::AddPrinter,
        3..6 => What::AddFilament(rng.between(60, 600) as u32),
        6..18 => What::AddJob(job, rng.between(1, 120) as u32),
        18..23 => What::Move(job, JobStatus::Running),
        23..28 => What::Move(job, JobStatus::Done),
        28..30 => What::Move(job, JobStatus::Canceled),
        30 => What::Move(job, JobStatus::Queued),
        31 => What::ReadPrinter,
        32..36 => What::ReadFilament,
        _ => What::ReadJob(job),
    }
}

impl Raft3d {
    async fn run(self, seat: Seat) {
        let Seat { number: client, mut endpoints, token, mut rng, pause, stop } = seat;
        let first = rng.below(endpoints.len() as u64) as usize;
        endpoints.rotate_left(first);
        let api = Client::new(ClientOptions { endpoints, token, deadline: PATIENCE });
        while !stop.load(Ordering::Relaxed) {
            // Between half and one and a half of the mean, in nanoseconds.
            time::sleep(rng.duration(pause / 2, pause * 3 / 2)).await;
            if rng.chance(0.01) {
                // Whatever comes of it: nobody counts on who leads.
                let _ = api.lead(rng.chance(0.5)).await;
            }
            let era = self.world.now_ns() / BUSY_NS;
            let shop = format!("{era}-{}", rng.below(self.busy));
            let what = draw(&mut rng);
            let key =
                rng.chance(0.6).then(|| format!("key-{}", self.next_key.fetch_add(1, Ordering::Relaxed)));
            let call = Call { shop, what, key };
            let id = self.recorder.call(client, call.clone());
            let outcome = match ask(&api, &call).await {
                Ok(said) => Outcome::Ok(said),
                Err(error) => refusal(&error),
            };
            self.recorder.answer(id, outcome);
        }
    }

    /// Everything that is stored; `None` if it cannot be read in time.
    async fn final_state(self, seat: Seat) -> Option<Stored> {
        let Seat { number, endpoints, token, .. } = seat;
        let client = Client::new(ClientOptions { endpoints, token, deadline: Duration::from_secs(5) });
        let deadline = Instant::now() + RECOVERY;
        // A write of unknown outcome may still arrive: what is read must have stood still.
        loop {
            match read_twice(&client).await {
                Ok(Some(stored)) => {
                    self.look_again(&client, number, &stored).await;
                    return Some(stored);
                }
                _ if Instant::now() < deadline => time::sleep(PAUSE).await,
                _ => return None,
            }
        }
    }

    /// Reads what is left of each roll, and how far the jobs of the last shops are, as clients do: what is
    /// stored in the end has its place in the order too.
    async fn look_again(&self, api: &Client, client: u32, stored: &Stored) {
        let shop = |id: &str| id.trim_start_matches("filament-").to_owned();
        for filament in &stored.filaments {
            let call = Call { shop: shop(&filament.id), what: What::ReadFilament, key: None };
            let id = self.recorder.call(client, call.clone());
            let outcome = match ask(api, &call).await {
                Ok(said) => Outcome::Ok(said),
                Err(error) => refusal(&error),
            };
            self.recorder.answer(id, outcome);
        }
    }
}

/// Everything, if it is the same twice.
async fn read_twice(api: &Client) -> Result<Option<Stored>, CallError> {
    let once = read(api).await?;
    let again = read(api).await?;
    Ok((once == again).then_some(again))
}

async fn read(api: &Client) -> Result<Stored, CallError> {
    Ok(Stored { printers: api.objects().await?, filaments: api.objects().await?, jobs: api.objects().await? })
}

async fn ask(api: &Client, call: &Call) -> Result<Said, CallError> {
    let Call { shop, what, key } = call;
    let key = key.as_deref();
    let done = match what {
        What::AddPrinter => api.create(&printer(shop), key).await.map(drop),
        What::AddFilament(total) => api.create(&filament(shop, *total), key).await.map(drop),
        What::AddJob(number, weight) => api.create(&job(shop, *number, *weight), key).await.map(drop),
        What::Move(number, status) => api.set_status(&job_id(shop, *number), *status, key).await.map(drop),
        What::ReadPrinter => {
            return look(api, &printer_id(shop), |_: Printer| Said::Printer).await;
        }
        What::ReadFilament => {
            let said = |f: Filament| Said::Filament(f.total_weight_in_grams, f.remaining_weight_in_grams);
            return look(api, &filament_id(shop), said).await;
        }
        What::ReadJob(number) => {
            let said = |job: PrintJob| Said::Job(job.print_weight_in_grams, job.status);
            return look(api, &job_id(shop, *number), said).await;
        }
    };
    match done {
        Ok(()) => Ok(Said::Done),
        Err(error) => said(&error).ok_or(error),
    }
}

async fn look<T: Object>(api: &Client, id: &str, said: impl Fn(T) -> Said) -> Result<Said, CallError> {
    Ok(api.object::<T>(id, false).await?.answer.map_or(Said::Nothing, said))
}

fn printer(shop: &str) -> Printer {
    Printer { id: printer_id(shop), company: "Creality".into(), model: "Ender 3".into() }
}

fn filament(shop: &str, total: u32) -> Filament {
    Filament {
        id: filament_id(shop),
        material: "PLA".into(),
        color: "Blue".into(),
        total_weight_in_grams: total,
        remaining_weight_in_grams: total,
    }
}

fn job(shop: &str, number: u32, weight: u32) -> PrintJob {
    PrintJob {
        id: job_id(shop, number),
        printer_id: printer_id(shop),
        filament_id: filament_id(shop),
        filepath: "prints/sword/hilt.gcode".into(),
        print_weight_in_grams: weight,
        status: JobStatus::Queued,
    }
}

/// What the state machine said when it refused; `None` if it was somebody else who did.
fn said(error: &CallError) -> Option<Said> {
    let CallError::Rejected { problem, .. } = error else { return None };
    let number = |field: &str| problem.extra.get(field)?.as_u64()?.try_into().ok();
    Some(match problem.code.as_str() {
        "known-id" => Said::Known,
        "unknown-printer" => Said::NoPrinter,
        "unknown-filament" => Said::NoFilament,
        "not-enough-filament" => {
            Said::TooHeavy(number("remaining_weight_in_grams")?, number("reserved_weight_in_grams")?)
        }
        "unknown-object" => Said::Nothing,
        "not-next" => Said::NotNext(problem.extra.get("job_status")?.as_str()?.parse().ok()?),
        _ => return None,
    })
}

fn refusal(error: &CallError) -> Outcome<Said> {
    match error {
        CallError::Rejected { .. } => Outcome::Rejected(error.to_string()),
        CallError::Unknown(_) => Outcome::Unknown(error.to_string()),
    }
}
