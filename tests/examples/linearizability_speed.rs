//! How long the judge of linearizability takes, by the number of clients that work on one register.
//!
//! `cargo run --release -p tests --example linearizability_speed`. Each history is legal but for its last
//! read, so that everything has to be searched; both parts are measured.

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use check::history::{Operation, Outcome};
use check::linearizability::{Limits, Register, RegisterAnswer, RegisterCall, judge};
use std::time::Instant;
use tests::random::Random;

type Registered = Operation<RegisterCall, RegisterAnswer>;

const OPERATIONS: u64 = 1000;

/// Half writes, half reads, each in effect in the middle of a time that `clients` others share; one write in
/// `unknown` is not answered.
fn history(random: &mut Random, clients: u64, unknown: u64) -> Vec<Registered> {
    let mut state = None;
    let mut operation = |id: u64| {
        let (before, after) = (random.between(0, clients * 5), random.between(0, clients * 5));
        let (call, outcome) = if random.below(2) == 0 {
            (RegisterCall::read("x"), Outcome::Ok(RegisterAnswer::Value(state)))
        } else {
            state = Some(id);
            let lost = random.between(1, unknown) == 1;
            let outcome =
                if lost { Outcome::Unknown("lost".into()) } else { Outcome::Ok(RegisterAnswer::Written) };
            (RegisterCall::write("x", id), outcome)
        };
        let effect = (id + 1000) * 10;
        let (begin_ns, end_ns) = (effect - before.min(effect), Some(effect + after));
        Operation { client: (id % clients) as u32, id, begin_ns, end_ns, call, outcome }
    };
    (0..OPERATIONS).map(&mut operation).collect()
}

fn main() {
    println!("{OPERATIONS} operations on one register, worst of 10 seeds");
    println!("clients  unanswered      legal             one lie at the end");
    for (clients, unknown) in [(5, 1000), (10, 1000), (10, 50), (10, 10), (20, 50), (40, 50)] {
        let mut worst = [(0.0_f64, 0, ""); 2];
        for seed in 0..10 {
            let mut history = history(&mut Random::new(seed), clients, unknown);
            for worst in &mut worst {
                let began = Instant::now();
                let judgement = judge(&Register::new(), &history, Limits::default());
                let took = began.elapsed().as_secs_f64();
                let undecided = if judgement.undecided.is_empty() { "" } else { " undecided" };
                if took > worst.0 {
                    *worst = (took, judgement.steps, undecided);
                }
                let begin_ns = (OPERATIONS + 2000) * 100;
                let (call, answer) = (RegisterCall::read("x"), RegisterAnswer::Value(Some(OPERATIONS)));
                let (end_ns, outcome) = (Some(begin_ns + 1), Outcome::Ok(answer));
                history.push(Operation { client: 0, id: OPERATIONS, begin_ns, end_ns, call, outcome });
            }
        }
        let text = worst
            .map(|(took, steps, undecided)| format!("{:>5.0} ms {steps:>9} steps{undecided}", took * 1e3));
        println!("{clients:>7}  1 write in {unknown:<4} {}  {}", text[0], text[1]);
    }
}
