//! What the state machine promises, whatever comes in whatever order.

use super::super::command::{MAX_GRAMS, MAX_ID_BYTES};
use super::*;
use proptest::prelude::*;

struct Nothing;

impl Stored for Nothing {
    fn rows(&self, _: Bound<&[u8]>, _: Bound<&[u8]>, _: usize) -> Result<Vec<Row>, String> {
        Ok(Vec::new())
    }
}

fn printer(id: &str) -> Command {
    Command::AddPrinter(Printer { id: id.into(), company: "Creality".into(), model: "Ender 3".into() })
}

fn filament(id: &str, total: u32, remaining: u32) -> Command {
    let (material, color) = ("PLA".into(), "Blue".into());
    let (total_weight_in_grams, remaining_weight_in_grams) = (total, remaining);
    Command::AddFilament(Filament {
        id: id.into(),
        material,
        color,
        total_weight_in_grams,
        remaining_weight_in_grams,
    })
}

fn a_job(id: &str, filament: &str, weight: u32) -> PrintJob {
    PrintJob {
        id: id.into(),
        printer_id: "p1".into(),
        filament_id: filament.into(),
        filepath: "prints/sword/hilt.gcode".into(),
        print_weight_in_grams: weight,
        status: JobStatus::Queued,
    }
}

fn job(id: &str, filament: &str, weight: u32) -> Command {
    Command::AddJob(a_job(id, filament, weight))
}

fn to(id: &str, status: JobStatus) -> Command {
    Command::SetStatus { id: id.into(), status }
}

fn apply(state: &mut State, command: &Command) -> Reply {
    postcard::from_bytes(&state.apply(&encode(command), 0)).unwrap()
}

fn ask<T: DeserializeOwned>(state: &State, query: &Query) -> T {
    postcard::from_bytes(&state.query(&encode(query), &Nothing)).unwrap()
}

fn refused(state: &mut State, command: &Command) -> Refused {
    let (hash, rows) = (state.hash(), state.changed.len());
    let Reply::Refused(refused) = apply(state, command) else { panic!("{command:?} was done") };
    assert_eq!(
        (state.hash(), state.changed.len()),
        (hash, rows),
        "{command:?} was refused, and did something"
    );
    refused
}

/// A printer, and a roll of 1,000 g.
fn shop() -> State {
    let mut state = State::default();
    assert_eq!(apply(&mut state, &printer("p1")), Reply::Done);
    assert_eq!(apply(&mut state, &filament("f1", 1000, 1000)), Reply::Done);
    state
}

fn remaining(state: &State) -> u32 {
    ask::<Option<Filament>>(state, &Query::Filament("f1".into())).unwrap().remaining_weight_in_grams
}

#[test]
fn a_job_takes_its_weight_once() {
    let mut state = shop();
    assert_eq!(apply(&mut state, &job("j1", "f1", 100)), Reply::Done);
    assert_eq!(remaining(&state), 1000);
    assert_eq!(refused(&mut state, &to("j1", JobStatus::Done)), Refused::NotNext { now: JobStatus::Queued });
    assert_eq!(
        refused(&mut state, &to("j1", JobStatus::Canceled)),
        Refused::NotNext { now: JobStatus::Queued }
    );
    let running = PrintJob { status: JobStatus::Running, ..a_job("j1", "f1", 100) };
    assert_eq!(apply(&mut state, &to("j1", JobStatus::Running)), Reply::Job(running.clone()));
    assert_eq!(remaining(&state), 1000);
    let done = PrintJob { status: JobStatus::Done, ..running };
    assert_eq!(apply(&mut state, &to("j1", JobStatus::Done)), Reply::Job(done));
    assert_eq!(remaining(&state), 900);
    for status in JobStatus::ALL {
        assert_eq!(refused(&mut state, &to("j1", status)), Refused::NotNext { now: JobStatus::Done });
    }
    assert_eq!(remaining(&state), 900);
}

#[test]
fn what_is_reserved_is_nobody_elses() {
    let mut state = shop();
    apply(&mut state, &job("j1", "f1", 600));
    let heavy = refused(&mut state, &job("j2", "f1", 401));
    assert_eq!(heavy, Refused::TooHeavy { remaining: 1000, reserved: 600 });
    assert_eq!(apply(&mut state, &job("j3", "f1", 400)), Reply::Done);
    apply(&mut state, &to("j1", JobStatus::Running));
    assert_eq!(
        refused(&mut state, &job("j4", "f1", 1)),
        Refused::TooHeavy { remaining: 1000, reserved: 1000 }
    );
    apply(&mut state, &to("j1", JobStatus::Canceled));
    assert_eq!(apply(&mut state, &job("j4", "f1", 600)), Reply::Done);
    assert_eq!(remaining(&state), 1000);
}

#[test]
fn what_is_not_there_or_there_already_is_said() {
    let mut state = shop();
    assert_eq!(refused(&mut state, &printer("p1")), Refused::Known);
    assert_eq!(refused(&mut state, &filament("f1", 1, 1)), Refused::Known);
    assert_eq!(refused(&mut state, &job("j1", "f2", 1)), Refused::NoFilament);
    let nowhere = PrintJob { printer_id: "p2".into(), ..a_job("j1", "f1", 1) };
    assert_eq!(refused(&mut state, &Command::AddJob(nowhere)), Refused::NoPrinter);
    assert_eq!(refused(&mut state, &to("j1", JobStatus::Running)), Refused::NoJob);
    apply(&mut state, &job("j1", "f1", 1));
    assert_eq!(refused(&mut state, &job("j1", "f1", 5000)), Refused::Known, "before anything else");
}

#[test]
fn what_breaks_a_limit_is_refused_by_every_replica() {
    let mut state = shop();
    let running = PrintJob { status: JobStatus::Running, ..a_job("j1", "f1", 1) };
    let commands = [
        printer(""),
        printer(&"x".repeat(MAX_ID_BYTES + 1)),
        filament("f2", 0, 0),
        filament("f2", MAX_GRAMS + 1, 1),
        filament("f2", 10, 11),
        job("j1", "f1", 0),
        job("j1", "f1", MAX_GRAMS + 1),
        Command::AddJob(running),
        to("", JobStatus::Running),
    ];
    for command in commands {
        assert_eq!(refused(&mut state, &command), Refused::Invalid, "{command:?}");
    }
    let strange: Reply = postcard::from_bytes(&state.apply(b"\xff\xff", 0)).unwrap();
    assert_eq!(strange, Reply::Refused(Refused::Invalid));
    assert!(state.query(b"\xff", &Nothing).is_empty());
}

#[test]
fn pages_and_filters() {
    let mut state = shop();
    for number in 0..10 {
        apply(&mut state, &job(&format!("j{number}"), "f1", 1));
    }
    apply(&mut state, &to("j4", JobStatus::Running));
    let jobs = |after: Option<&str>, limit, status| -> Vec<String> {
        let query = Query::Jobs { page: Page { after: after.map(Into::into), limit }, status };
        ask::<Vec<PrintJob>>(&state, &query).into_iter().map(|job| job.id).collect()
    };
    assert_eq!(jobs(None, 3, None), ["j0", "j1", "j2"]);
    assert_eq!(jobs(Some("j7"), 3, None), ["j8", "j9"]);
    assert_eq!(jobs(Some("j3"), 2, Some(JobStatus::Queued)), ["j5", "j6"]);
    assert_eq!(jobs(None, 99, Some(JobStatus::Running)), ["j4"]);
}

#[test]
fn the_bytes_in_the_log_and_in_the_store_stay_what_they_are() {
    let command = encode(&job("j1", "f1", 100));
    assert_eq!(command, b"\x02\x02j1\x02p1\x02f1\x17prints/sword/hilt.gcode\x64\x00");
    assert_eq!(encode(&to("j1", JobStatus::Canceled)), b"\x03\x02j1\x03");
    let mut state = shop();
    let rows = state.take_changes();
    let keys: Vec<&[u8]> = rows.iter().map(|(key, _)| key.as_slice()).collect();
    assert_eq!(keys, [&b"ff1"[..], b"pp1", b"r"]);
    assert_eq!(rows[0].1.as_deref(), Some(&b"\x02f1\x03PLA\x04Blue\xe8\x07\xe8\x07"[..]));
}

#[test]
fn rows_that_contradict_each_other_are_damage() {
    let mut state = shop();
    apply(&mut state, &job("j1", "f1", 600));
    let rows: Vec<Row> =
        state.take_changes().into_iter().filter_map(|(key, row)| Some((key, row?))).collect();
    let restore = |rows: Vec<Row>| State::default().restore(&mut rows.into_iter());
    assert_eq!(restore(rows.clone()), Ok(()));
    for missing in [&b"ff1"[..], b"pp1"] {
        let rest = rows.iter().filter(|(key, _)| key != missing).cloned().collect();
        assert!(restore(rest).unwrap_err().contains("lost"), "{missing:?}");
    }
    let other = |key: &[u8], row: Vec<u8>| {
        let mut rows = rows.clone();
        rows.iter_mut().filter(|(k, _)| k == key).for_each(|(_, old)| old.clone_from(&row));
        rows
    };
    let Command::AddFilament(light) = filament("f1", 1000, 599) else { unreachable!() };
    assert!(restore(other(b"ff1", encode(&light))).unwrap_err().contains("reserved"));
    let Command::AddPrinter(wrong) = printer("p9") else { unreachable!() };
    assert!(restore(other(b"pp1", encode(&wrong))).unwrap_err().contains("holds"));
    assert!(restore(other(b"pp1", vec![9])).is_err());
    assert!(restore(vec![(b"x".to_vec(), vec![])]).unwrap_err().contains("unknown"));
}

/// One of a few commands on few ids, so that they meet.
fn any_command() -> impl Strategy<Value = Command> {
    let id = |kind: &'static str| (0u8..4).prop_map(move |number| format!("{kind}{number}"));
    let status = (0usize..4).prop_map(|place| JobStatus::ALL[place]);
    prop_oneof![
        1 => id("p").prop_map(|id| printer(&id)),
        1 => (id("f"), 1u32..300, 0u32..300).prop_map(|(id, total, left)| filament(&id, total, left.min(total))),
        6 => (0u8..20, id("p"), id("f"), 1u32..90).prop_map(|(number, printer_id, filament_id, weight)| {
            Command::AddJob(PrintJob { printer_id, ..a_job(&format!("j{number}"), &filament_id, weight) })
        }),
        9 => (0u8..20, status).prop_map(|(number, status)| to(&format!("j{number}"), status)),
    ]
}

proptest! {
    /// Whatever comes: weights add up, reservations are covered, and a restart at any point changes nothing.
    #[test]
    fn weights_are_conserved(commands in proptest::collection::vec(any_command(), 1..250), restart in 0usize..250) {
        let mut state = State::default();
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut began: BTreeMap<String, u32> = BTreeMap::new();
        for (step, command) in commands.iter().enumerate() {
            if let (Reply::Done, Command::AddFilament(filament)) = (apply(&mut state, command), command) {
                began.insert(filament.id.clone(), filament.remaining_weight_in_grams);
            }
            if step % 7 == 0 || step == restart {
                rows.extend(state.take_changes().into_iter().filter_map(|(key, row)| Some((key, row?))));
            }
            if step == restart {
                let mut again = State::default();
                again.restore(&mut rows.clone().into_iter()).unwrap();
                prop_assert_eq!(again.hash(), state.hash());
                prop_assert!(again.changed.is_empty());
                state = again;
            }
            for (id, began) in &began {
                let jobs = state.jobs.values().filter(|job| job.filament_id == *id);
                let sum = |wanted: fn(JobStatus) -> bool| -> u32 {
                    jobs.clone().filter(|job| wanted(job.status)).map(|job| job.print_weight_in_grams).sum()
                };
                let left = state.filaments[id].remaining_weight_in_grams;
                prop_assert_eq!(left + sum(|status| status == JobStatus::Done), *began);
                prop_assert!(sum(JobStatus::reserves) <= left);
            }
        }
    }
}
