//! Hand-made histories, random ones against a search that tries every order, and what the search costs.

use super::{Judgement, Limits, Register, RegisterAnswer, RegisterCall, Specification, judge};
use crate::history::{Operation, Outcome};
use proptest::prelude::*;

type Registered = Operation<RegisterCall, RegisterAnswer>;

/// A history in the making. Times are in milliseconds; each operation is by a client of its own.
#[derive(Clone, Default)]
struct Story(Vec<Registered>);

impl Story {
    fn operation(
        mut self,
        begin: u64,
        end: u64,
        call: RegisterCall,
        outcome: Outcome<RegisterAnswer>,
    ) -> Self {
        let id = self.0.len() as u64;
        let (begin_ns, end_ns) = (begin * 1_000_000, Some(end * 1_000_000));
        self.0.push(Operation { client: id as u32, id, begin_ns, end_ns, call, outcome });
        self
    }

    fn writes(self, begin: u64, end: u64, value: u64) -> Self {
        self.operation(begin, end, RegisterCall::write("x", value), Outcome::Ok(RegisterAnswer::Written))
    }

    fn unknown(self, begin: u64, end: u64, value: u64) -> Self {
        self.operation(begin, end, RegisterCall::write("x", value), Outcome::Unknown("timeout".into()))
    }

    fn rejected(self, begin: u64, end: u64, value: u64) -> Self {
        self.operation(begin, end, RegisterCall::write("x", value), Outcome::Rejected("no".into()))
    }

    fn reads(self, begin: u64, end: u64, seen: impl Into<Option<u64>>) -> Self {
        let seen = Outcome::Ok(RegisterAnswer::Value(seen.into()));
        self.operation(begin, end, RegisterCall::read("x"), seen)
    }

    fn swaps(self, begin: u64, end: u64, expected: u64, value: u64, did: bool) -> Self {
        let call = RegisterCall::compare_and_set("x", Some(expected), value);
        self.operation(begin, end, call, Outcome::Ok(RegisterAnswer::Swapped(did)))
    }

    /// What was added last concerns the register `key` instead of `x`.
    fn of(mut self, key: &str) -> Self {
        let last = self.0.last_mut().expect("something was added");
        match &mut last.call {
            RegisterCall::Read { key: old }
            | RegisterCall::Write { key: old, .. }
            | RegisterCall::CompareAndSet { key: old, .. } => *old = key.to_owned(),
        }
        self
    }

    fn judge(&self) -> Judgement {
        judge(&Register::new(), &self.0, Limits::default())
    }
}

#[track_caller]
fn legal(story: &Story) {
    let Judgement { violations, undecided, .. } = story.judge();
    assert_eq!((violations, undecided), (Vec::new(), Vec::new()));
}

/// Asserts that there is one violation, and returns its evidence.
#[track_caller]
fn broken(story: &Story) -> String {
    let Judgement { violations, undecided, .. } = story.judge();
    assert_eq!((violations.len(), undecided.len()), (1, 0), "{violations:?} {undecided:?}");
    violations[0].evidence.clone()
}

#[test]
fn nothing_happened() {
    legal(&Story::default());
    legal(&Story::default().reads(0, 10, None));
}

#[test]
fn a_stale_read() {
    let story = Story::default().writes(0, 10, 1).writes(20, 30, 2).reads(24, 28, 2);
    let found = broken(&story.clone().reads(40, 50, 1));
    assert_eq!(
        found,
        "\"x\": no order explains operation 0 of client 0 (write 1, t=0.000 s to t=0.010 s), operation 2 of \
         client 2 (read saw 2, t=0.024 s to t=0.028 s), operation 3 of client 3 (read saw 1, t=0.040 s to \
         t=0.050 s), whatever became of 1 more up to then; all it could hold before the last of these \
         answers is 2"
    );
    legal(&story.reads(25, 50, 1));
}

#[test]
fn reads_that_go_back() {
    let story = Story::default().writes(0, 10, 1).writes(20, 100, 2).reads(30, 40, 2);
    let found = broken(&story.clone().reads(50, 60, 1));
    assert!(found.contains("operation 2") && found.contains("operation 3"), "{found}");
    // Concurrent reads may be in the other order.
    legal(&story.clone().reads(35, 60, 1));
    // What is answered later does not help, nor hurt.
    broken(&story.reads(50, 60, 1).writes(70, 80, 1).reads(90, 95, 1));
}

#[test]
fn a_lost_write() {
    broken(&Story::default().writes(0, 10, 1).reads(20, 30, None));
}

#[test]
fn a_value_that_nobody_wrote() {
    broken(&Story::default().writes(0, 10, 1).reads(20, 30, 7));
    broken(&Story::default().rejected(0, 10, 1).reads(20, 30, 1));
    // Nor before it was called.
    broken(&Story::default().reads(0, 10, 1).unknown(20, 30, 1));
}

#[test]
fn an_unknown_write_takes_effect_late_or_never_but_once() {
    let story = Story::default().writes(0, 10, 1).unknown(20, 30, 2);
    legal(&story.clone().reads(40, 50, 1).reads(60, 70, 2).reads(80, 90, 2));
    legal(&story.clone().reads(40, 50, 1).reads(60, 70, 1));
    legal(&story.clone().writes(40, 50, 3).reads(60, 70, 3).reads(80, 90, 2));
    let found = broken(&story.reads(40, 50, 2).writes(60, 70, 3).reads(80, 90, 2));
    assert!(found.contains("operation 3 of client 3 (write 3"), "{found}");
}

#[test]
fn compare_and_set() {
    let story = Story::default().writes(0, 10, 1);
    legal(&story.clone().swaps(20, 30, 1, 2, true).swaps(40, 50, 1, 3, false).reads(60, 70, 2));
    // Both cannot have found the same value.
    broken(&story.clone().swaps(20, 40, 1, 2, true).swaps(20, 40, 1, 3, true));
    broken(&story.clone().swaps(20, 30, 1, 2, false));
    broken(&story.swaps(20, 30, 1, 2, true).reads(40, 50, 1));
}

#[test]
fn registers_are_apart_and_each_is_judged() {
    let story = Story::default().writes(0, 10, 1).writes(0, 10, 2).of("y").reads(20, 30, 1);
    legal(&story.clone().reads(20, 30, 2).of("y"));
    let both = story.reads(20, 30, 1).of("y").reads(40, 50, 2);
    let objects: Vec<_> =
        both.judge().violations.iter().map(|violation| violation.evidence[..3].to_owned()).collect();
    assert_eq!(objects, ["\"x\"", "\"y\""]);
}

#[test]
fn equal_moments_are_concurrent_and_times_that_make_no_sense_do_not_panic() {
    legal(&Story::default().writes(0, 10, 1).reads(10, 20, None));
    let mut story = Story::default().writes(20, 10, 1).reads(9, 3, 1).unknown(5, 1, 3).reads(15, 16, None);
    story.judge();
    story.0.iter_mut().for_each(|operation| operation.end_ns = None);
    story.judge();
}

/// Two hundred overlapping operations do not fit; a counter with many unanswered additions has too many
/// states. Both are said, and no verdict is made up.
#[test]
fn beyond_the_limits_it_is_undecided() {
    let story = (0..200).fold(Story::default(), |story, value| story.writes(0, 1000, value));
    let Judgement { violations, undecided, .. } = story.judge();
    assert_eq!((violations.len(), undecided.len()), (0, 1));
    let text = undecided[0].to_string();
    assert_eq!(text, "linearizability of \"x\" is undecided: more than 128 operations overlap");

    let add = |id: u64, value: Option<u64>, outcome| {
        let (begin_ns, end_ns) = (id * 10, Some(id * 10 + 5));
        Operation { client: 0, id, begin_ns, end_ns, call: value, outcome }
    };
    let unanswered = |id| add(id, Some(1 << id), Outcome::Unknown("timeout".into()));
    let mut history: Vec<_> = (0..40).map(unanswered).collect();
    // No sum of them, but only looking at them all could tell.
    history.push(add(41, None, Outcome::Ok(1 << 50)));
    let limits = Limits { max_configurations: 5000, ..Limits::default() };
    let Judgement { violations, undecided, .. } = judge(&Counter, &history, limits);
    assert_eq!((violations, undecided.len()), (Vec::new(), 1));
    assert!(undecided[0].reason.contains("5000 configurations"), "{undecided:?}");
    let limits = Limits { max_steps: 1000, ..Limits::default() };
    assert!(judge(&Counter, &history, limits).undecided[0].reason.contains("1000 steps"));
}

struct Counter;

impl Specification for Counter {
    type Call = Option<u64>;
    type Answer = u64;
    type State = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, call: &Option<u64>, answer: Option<&u64>) -> Option<u64> {
        let after = state + call.unwrap_or(0);
        answer.is_none_or(|answer| *answer == after).then_some(after)
    }

    fn only_observes(&self, call: &Option<u64>, _: Option<&u64>) -> bool {
        call.is_none()
    }
}

/// Tries every order, without any cleverness.
fn brute_force(left: &[Registered], state: Option<u64>) -> bool {
    let answered = |operation: &Registered| matches!(operation.outcome, Outcome::Ok(_));
    if !left.iter().any(answered) {
        return true;
    }
    (0..left.len()).any(|place| {
        let operation = &left[place];
        // Somebody else was answered before this one was called, and so must come first.
        let overtakes = |other: &Registered| {
            answered(other) && other.end_ns.is_some_and(|end_ns| end_ns < operation.begin_ns)
        };
        if left.iter().any(overtakes) {
            return false;
        }
        let answer = match &operation.outcome {
            Outcome::Ok(answer) => Some(answer),
            Outcome::Unknown(_) => None,
            Outcome::Rejected(_) => return false,
        };
        let after = Register::new().step(&state, &operation.call, answer);
        let mut rest = left.to_vec();
        rest.remove(place);
        after.is_some_and(|after| brute_force(&rest, after))
    })
}

/// An operation of a small history, few values and much overlap.
fn operation() -> impl Strategy<Value = (u64, u64, RegisterCall, Outcome<RegisterAnswer>)> {
    let value = || 0_u64..3;
    let write = value().prop_map(|value| (RegisterCall::write("x", value), RegisterAnswer::Written));
    let held = || prop::option::of(value());
    let read = held().prop_map(|seen| (RegisterCall::read("x"), RegisterAnswer::Value(seen)));
    let swap = (held(), value(), any::<bool>()).prop_map(|(expected, value, did)| {
        (RegisterCall::compare_and_set("x", expected, value), RegisterAnswer::Swapped(did))
    });
    let outcome = prop_oneof![5 => Just(0), 4 => Just(1), 1 => Just(2)];
    (0_u64..12, 0_u64..6, prop_oneof![3 => write, 3 => read, 2 => swap], outcome).prop_map(
        |(begin, length, (call, answer), outcome)| {
            let outcome = match outcome {
                0 => Outcome::Ok(answer),
                1 => Outcome::Unknown("timeout".into()),
                _ => Outcome::Rejected("no".into()),
            };
            (begin, begin + length, call, outcome)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn small_histories_are_judged_as_by_trying_every_order(
        operations in prop::collection::vec(operation(), 0..8),
    ) {
        let story = operations.into_iter().fold(Story::default(), |story, (begin, end, call, outcome)| {
            story.operation(begin, end, call, outcome)
        });
        let Judgement { violations, undecided, .. } = story.judge();
        prop_assert_eq!(undecided, vec![]);
        prop_assert_eq!(violations.is_empty(), brute_force(&story.0, None), "{:?}", violations);
    }
}

/// What a real register does with `clients` clients that always have an operation under way: each takes
/// effect somewhere in the middle, one write in `unknown` is not answered.
fn busy(operations: u64, clients: u64, unknown: u64, random: &mut impl FnMut(u64) -> u64) -> Story {
    let mut story = Story::default();
    let mut state = None;
    // Effects happen in the order of the calls; calls and answers lie around them.
    for number in 0..operations {
        let effect = 1000 + number * 10;
        let (begin, end) = (effect - random(clients * 5), effect + random(clients * 5));
        story = match random(4) {
            0 => story.reads(begin, end, state),
            1 => {
                let expected = state.unwrap_or(0);
                let swaps = state.is_some();
                state = if swaps { Some(number) } else { state };
                story.swaps(begin, end, expected, number, swaps)
            }
            _ => {
                let lost = random(unknown) == 0;
                if !lost || random(2) == 0 {
                    state = Some(number);
                }
                if lost { story.unknown(begin, end, number) } else { story.writes(begin, end, number) }
            }
        };
    }
    story
}

/// Steps are the same on every machine. A million take a fraction of a second.
#[test]
fn a_thousand_operations_of_ten_clients_are_few_steps() {
    for seed in 0..20 {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed + 1);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) % below
        };
        let story = busy(1000, 10, 50, &mut random);
        let judgement = story.judge();
        assert_eq!((judgement.violations.len(), judgement.undecided.len()), (0, 0), "seed {seed}");
        assert!(judgement.steps < 1_000_000, "seed {seed}: {} steps", judgement.steps);
        // A lie at the end: everything before it has to be searched.
        let judgement = story.reads(20_000, 20_001, 5).judge();
        assert_eq!((judgement.violations.len(), judgement.undecided.len()), (1, 0), "seed {seed}");
        assert!(judgement.steps < 3_000_000, "seed {seed}: {} steps", judgement.steps);
        assert!(judgement.violations[0].evidence.len() < 1000, "{}", judgement.violations[0]);
    }
}
