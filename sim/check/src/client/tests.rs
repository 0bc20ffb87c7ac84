//! Tests of all client judges together: odd input and large input.

use super::fixture::{Story, legal};
use crate::final_state::FinalState;
use crate::history::{Answer, Call, Outcome};

#[test]
fn nothing_happened() {
    legal(&Story::new());
    assert_eq!(super::judge_history(&[], &FinalState::default()), []);
}

#[test]
fn numbers_that_are_not_numbers_are_told_apart_by_their_bits() {
    let story = Story::new().acked(0, 10, f64::NAN).acked(20, 30, f64::INFINITY).acked(40, 50, -0.0);
    legal(&story.acked(60, 70, 0.0).ends_with(&[f64::NAN, f64::INFINITY, -0.0, 0.0]));
}

#[test]
fn answers_that_do_not_fit_their_call_tell_nothing() {
    let read = Call::ReadValues { series: "s".to_owned(), linearizable: true };
    let story = Story::new().acked(0, 10, 1.0).ends_with(&[1.0]);
    let story = story.operation(20, 30, read, Outcome::Ok(Answer::Aggregate { count: 9, sum: 9.0 }));
    let aggregate = Call::ReadAggregate { series: "s".to_owned(), linearizable: true };
    legal(&story.operation(20, 30, aggregate, Outcome::Ok(Answer::Values(vec![7.0]))));
}

#[test]
fn times_that_make_no_sense_do_not_panic() {
    let mut story = Story::new().acked(20, 10, 1.0).reads(9, 3, &[1.0]).aggregates(5, 1, u64::MAX, 1.0);
    story.history.iter_mut().for_each(|operation| operation.end_ns = None);
    story.history[1].end_ns = Some(0);
    story.ends_with(&[1.0]).ends_with_aggregate(u64::MAX, f64::NAN).judge();
}

#[test]
fn a_hundred_thousand_operations_are_judged_quickly() {
    let mut story = Story::new();
    let mut values = Vec::new();
    for at in 0..50_000_u64 {
        let value = at as f64;
        values.push(value);
        story = story.acked(at * 10, at * 10 + 2, value);
        // The sum of 0..=at.
        story = story.aggregates(at * 10 + 4, at * 10 + 5, at + 1, (at * (at + 1) / 2) as f64);
    }
    // Reads of values are short: their length is part of the input.
    story = story.reads(1, 3, &[]).ends_with(&values);
    assert_eq!(story.judge(), []);
    // All reads at once are wrong: no judge may fall back to looking at everything for each of them.
    let mut reversed = values.clone();
    reversed.reverse();
    assert!(!story.ends_with(&reversed).judge().is_empty());
}
