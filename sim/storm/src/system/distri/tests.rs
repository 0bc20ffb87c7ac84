//! The judges of Distri see what they are for.

use super::judge::{Done, Stored, judge};
use super::shelf::{Call, Said, Shelf, What};
use check::Judge;
use check::history::{Operation, Outcome};
use check::linearizability::{self, Limits};

/// Operations one after another.
fn story(steps: &[(What, Said)]) -> Vec<Done> {
    let operation = |(id, (what, said)): (u64, &(What, Said))| Operation {
        client: 1,
        id,
        begin_ns: id * 10,
        end_ns: Some(id * 10 + 5),
        call: Call { shelf: "s".into(), what: what.clone() },
        outcome: Outcome::Ok(said.clone()),
    };
    (0..).zip(steps).map(operation).collect()
}

fn a_day() -> Vec<(What, Said)> {
    vec![
        (What::Add(0), Said::NoShelf),
        (What::Open, Said::Done),
        (What::Open, Said::Known),
        (What::Add(1), Said::Done),
        (What::Add(2), Said::Done),
        (What::Add(3), Said::Done),
        (What::Add(4), Said::Done),
        (What::Update(2, 7), Said::Done),
        (What::DeleteRange(3, 4), Said::Deleted(1)),
        (What::DeleteExact(2, 0), Said::Deleted(0)),
        (What::Update(3, 8), Said::Nothing),
        (What::ReadAll, Said::Documents(vec![(1, 0), (2, 7), (4, 0)])),
        (What::DeleteExact(1, 0), Said::Deleted(1)),
        (What::ReadFrom(3), Said::Documents(vec![(4, 0)])),
    ]
}

fn stored(documents: &[(u32, u32)]) -> Stored {
    let document = |(place, (n, v)): (usize, &(u32, u32))| (format!("id-{place}"), *n, *v);
    let documents: Vec<_> = documents.iter().enumerate().map(document).collect();
    let counted = [("s".to_owned(), documents.len() as u64)].into();
    Stored { shelves: [("s".to_owned(), documents)].into(), counted }
}

fn is_linearizable(history: &[Done]) -> bool {
    let judgement = linearizability::judge(&Shelf, history, Limits::default());
    assert!(judgement.undecided.is_empty());
    judgement.violations.is_empty()
}

#[test]
fn a_legal_day_is_legal() {
    let history = story(&a_day());
    assert!(is_linearizable(&history));
    assert_eq!(judge(&history, &stored(&[(2, 7), (4, 0)])), []);
}

#[test]
fn every_wrong_answer_is_noticed() {
    let wrong = [
        (0, Said::Done),
        (2, Said::Done),
        (8, Said::Deleted(2)),
        (8, Said::Deleted(0)),
        (9, Said::Deleted(1)),
        (10, Said::Done),
        (11, Said::Documents(vec![(1, 0), (2, 7)])),
        (11, Said::Documents(vec![(1, 0), (1, 0), (2, 7), (4, 0)])),
        (11, Said::Documents(vec![(1, 0), (2, 0), (4, 0)])),
        (13, Said::Documents(vec![(3, 0), (4, 0)])),
    ];
    for (place, said) in wrong {
        let mut steps = a_day();
        steps[place].1 = said;
        assert!(!is_linearizable(&story(&steps)), "{:?}", steps[place]);
    }
}

#[test]
fn what_has_no_answer_may_have_happened_or_not() {
    for after in [vec![(1, 0), (2, 7), (4, 0)], vec![(1, 0), (2, 7), (3, 0), (4, 0)]] {
        let mut steps = a_day();
        steps.truncate(9);
        steps.push((What::ReadAll, Said::Documents(after)));
        let mut history = story(&steps);
        history[8].outcome = Outcome::Unknown("nobody knows".into());
        history[8].end_ns = None;
        assert!(is_linearizable(&history));
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
    assert_eq!(judges(&stored(&[(2, 7)])), [Judge::Durability], "lost");
    assert_eq!(judges(&stored(&[(2, 0), (4, 0)])), [Judge::Durability], "an older version");
    assert_eq!(judges(&stored(&[(2, 7), (4, 0), (9, 0)])), [Judge::Durability], "strange");
    assert_eq!(judges(&stored(&[(2, 7), (4, 0), (4, 0)])), [Judge::ExactlyOnce], "doubled");
    let mut wrong = stored(&[(2, 7), (4, 0)]);
    wrong.counted.insert("s".into(), 3);
    assert_eq!(judges(&wrong), [Judge::Conservation]);
}

#[test]
fn what_nobody_knows_may_still_happen_later() {
    let mut history =
        story(&[(What::Open, Said::Done), (What::Close, Said::Done), (What::Add(9), Said::Done)]);
    history[1].outcome = Outcome::Unknown("no answer".into());
    assert_eq!(judge(&history, &stored(&[])), [], "it was closed after the document came");
    assert_eq!(judge(&history, &stored(&[(9, 0)])), []);
    history[1].outcome = Outcome::Rejected("not the leader".into());
    assert_eq!(judge(&history, &stored(&[]))[0].judge, Judge::Durability);
}
