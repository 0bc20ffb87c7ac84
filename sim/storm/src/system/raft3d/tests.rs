//! The judges of Raft3D see what they are for.

use super::judge::{Done, Stored, judge};
use super::shop::{Call, Said, Shop, What};
use super::{filament, job, printer};
use check::Judge;
use check::history::{Operation, Outcome};
use check::linearizability::{self, Limits};
use client::raft3d::JobStatus::{Canceled, Done as Printed, Queued, Running};
use client::raft3d::{JobStatus, PrintJob};

/// Operations one after another.
fn story(steps: &[(What, Said)]) -> Vec<Done> {
    let operation = |(id, (what, said)): (u64, &(What, Said))| Operation {
        client: 1,
        id,
        begin_ns: id * 10,
        end_ns: Some(id * 10 + 5),
        call: Call { shop: "s".into(), what: what.clone(), key: None },
        outcome: Outcome::Ok(*said),
    };
    (0..).zip(steps).map(operation).collect()
}

fn a_day() -> Vec<(What, Said)> {
    vec![
        (What::AddJob(1, 10), Said::NoPrinter),
        (What::AddPrinter, Said::Done),
        (What::AddJob(1, 10), Said::NoFilament),
        (What::AddFilament(100), Said::Done),
        (What::AddFilament(300), Said::Known),
        (What::AddJob(1, 60), Said::Done),
        (What::AddJob(2, 41), Said::TooHeavy(100, 60)),
        (What::AddJob(2, 40), Said::Done),
        (What::Move(1, Printed), Said::NotNext(Queued)),
        (What::Move(1, Running), Said::Done),
        (What::Move(1, Printed), Said::Done),
        (What::Move(1, Printed), Said::NotNext(Printed)),
        (What::ReadFilament, Said::Filament(100, 40)),
        (What::Move(2, Running), Said::Done),
        (What::Move(2, Canceled), Said::Done),
        (What::ReadJob(2), Said::Job(40, Canceled)),
        (What::Move(3, Running), Said::Nothing),
    ]
}

fn stored(left: u32, statuses: [JobStatus; 2]) -> Stored {
    let mut filament = filament("s", 100);
    filament.remaining_weight_in_grams = left;
    let jobs = [(1, 60), (2, 40)].into_iter().zip(statuses);
    let jobs = jobs.map(|((number, weight), status)| PrintJob { status, ..job("s", number, weight) });
    Stored { printers: vec![printer("s")], filaments: vec![filament], jobs: jobs.collect() }
}

fn is_linearizable(history: &[Done]) -> bool {
    let judgement = linearizability::judge(&Shop, history, Limits::default());
    assert!(judgement.undecided.is_empty());
    judgement.violations.is_empty()
}

#[test]
fn a_legal_day_is_legal() {
    let history = story(&a_day());
    assert!(is_linearizable(&history));
    assert_eq!(judge(&history, &stored(40, [Printed, Canceled])), []);
}

#[test]
fn every_wrong_answer_is_noticed() {
    let wrong = [
        (0, Said::NoFilament),
        (2, Said::Done),
        (4, Said::Done),
        (6, Said::Done),
        (6, Said::TooHeavy(100, 0)),
        (8, Said::Done),
        (11, Said::Done),
        (12, Said::Filament(100, 100)),
        (12, Said::Filament(100, -20_i32 as u32)),
        (12, Said::Nothing),
        (15, Said::Job(40, Running)),
        (16, Said::Done),
    ];
    for (place, said) in wrong {
        let mut steps = a_day();
        steps[place].1 = said;
        assert!(!is_linearizable(&story(&steps)), "{:?}", steps[place]);
    }
}

#[test]
fn what_has_no_answer_may_have_happened_or_not() {
    for left in [40, 100] {
        let mut history = story(&a_day()[..11]);
        history[10].outcome = Outcome::Unknown("nobody knows".into());
        history.extend(
            story(&[(What::ReadFilament, Said::Filament(100, left))]).into_iter().map(|o| Operation {
                id: 50,
                begin_ns: 900,
                end_ns: Some(910),
                ..o
            }),
        );
        assert!(is_linearizable(&history), "{left} g left");
    }
}

#[test]
fn the_end_must_add_up() {
    let history = story(&a_day());
    let judges = |stored: &Stored| {
        let mut judges: Vec<Judge> = judge(&history, stored).into_iter().map(|found| found.judge).collect();
        judges.dedup();
        judges
    };
    assert_eq!(judges(&stored(100, [Printed, Canceled])), [Judge::Conservation], "never taken off");
    assert_eq!(judges(&stored(0, [Printed, Canceled])), [Judge::Conservation], "taken off for nothing");
    assert_eq!(judges(&stored(40, [Printed, Printed])), [Judge::Conservation, Judge::Durability]);
    assert_eq!(judges(&stored(100, [Running, Canceled])), [Judge::Durability], "went back");
    let mut lost = stored(40, [Printed, Canceled]);
    lost.jobs.pop();
    assert_eq!(judges(&lost), [Judge::Durability]);
    let mut changed = stored(40, [Printed, Canceled]);
    changed.jobs[1].print_weight_in_grams = 41;
    assert_eq!(judges(&changed), [Judge::Durability]);
    let mut strange = stored(40, [Printed, Canceled]);
    strange.printers.push(printer("other"));
    assert_eq!(judges(&strange), [Judge::Durability]);
    let mut homeless = stored(40, [Printed, Canceled]);
    homeless.filaments.clear();
    assert_eq!(judges(&homeless), [Judge::Durability]);
}
