//! Tests of all raft judges together: a whole legal life, bounds on reports and memory.

use super::fixture::{Run, legal};
use super::ledger::WINDOW;
use crate::observation::Step::{
    Appended, Applied, BecameLeader, HardState, SnapshotInstalled, StateHash, SteppedDown,
};
use crate::violation::{Judge, MAX_VIOLATIONS_PER_JUDGE};

/// Three nodes; node 1 leads term 1 and is cut off with an uncommitted tail, node 2 leads term 2, node 1
/// comes back and replaces its tail, node 3 gets a snapshot, everyone restarts.
#[test]
fn a_legal_life() {
    let run = Run::new().node(1).start(0, 0, 0).node(2).start(0, 0, 0).node(3).start(0, 0, 0);
    let run = run.node(1).step(HardState { term: 1, vote: 1, commit: 0 });
    let run = run.node(2).step(HardState { term: 1, vote: 1, commit: 0 });
    let run = run.node(1).step(BecameLeader { term: 1 }).append(1, 1, 10).append(2, 1, 11);
    let run = run.node(2).append(1, 1, 10).append(2, 1, 11);
    let run = run.node(1).apply(1, 1, 10).apply(2, 1, 11).append(3, 1, 12).append(4, 1, 13);
    let run = run.node(2).step(HardState { term: 2, vote: 2, commit: 2 });
    let run = run.node(3).step(HardState { term: 2, vote: 2, commit: 0 });
    let run = run.node(2).step(BecameLeader { term: 2 }).apply(1, 1, 10).apply(2, 1, 11);
    let run = run.append(3, 2, 20).node(3).append(1, 1, 10).append(2, 1, 11).append(3, 2, 20);
    let run = run.node(2).apply(3, 2, 20).step(StateHash { index: 3, hash: 99 });
    let run = run.node(1).step(SteppedDown { term: 2 }).step(HardState { term: 2, vote: 0, commit: 3 });
    let run = run.append(3, 2, 20).apply(3, 2, 20).step(StateHash { index: 3, hash: 99 });
    let run = run.node(3).step(SnapshotInstalled { index: 3, term: 2 });
    let run = run.step(StateHash { index: 3, hash: 99 });
    let run = run.append(4, 2, 21).node(2).append(4, 2, 21).apply(4, 2, 21);
    let run = run.node(3).step(crate::observation::Step::Started {
        term: 2,
        vote: 2,
        commit: 3,
        applied: 3,
        last_index: 4,
    });
    let run = run.apply(4, 2, 21).step(HardState { term: 3, vote: 3, commit: 4 });
    legal(&run.step(BecameLeader { term: 3 }).append(5, 3, 30));
}

#[test]
fn reports_are_bounded_per_judge_and_start_with_the_first() {
    let mut run = Run::new();
    for term in 1..=100 {
        run = run.node(1).step(BecameLeader { term }).node(2).step(BecameLeader { term });
    }
    run = run.node(1).apply(1, 1, 1).node(2).apply(1, 1, 2);
    let judges = run.judge();
    let count = |judge| judges.violations().iter().filter(|found| found.judge == judge).count();
    assert_eq!(count(Judge::ElectionSafety), MAX_VIOLATIONS_PER_JUDGE);
    assert_eq!(count(Judge::StateMachineSafety), 1);
    assert_eq!(judges.violations()[0].at_ns, Some(2_000_000));
}

#[test]
fn what_is_far_back_is_forgotten_and_not_judged() {
    let mut run = Run::new().node(1).start(0, 0, 0).step(BecameLeader { term: 1 });
    for index in 1..=WINDOW + 10 {
        run = run.append(index, 1, index).step(Applied { index, term: 1, hash: index });
    }
    // Another entry 5 can no longer be told from the first one; entry 100 still can.
    let run = run.node(2).step(Appended { index: 5, term: 1, hash: 0 });
    legal(&run);
    let run = run.step(Appended { index: 100, term: 1, hash: 0 });
    assert_eq!(run.judge().violations().len(), 1);
}

#[test]
fn odd_input_does_not_panic() {
    let max = u64::MAX;
    let run = Run::new().apply(0, 0, 0).append(0, 0, 0).append(max, max, max).apply(max, max, max);
    let run = run.start(max, max, max).apply(max, max, max).step(BecameLeader { term: max });
    let run = run.step(SnapshotInstalled { index: max, term: 0 }).start(0, 0, 0).append(1, 1, 1);
    run.step(SnapshotInstalled { index: 0, term: 0 }).step(BecameLeader { term: 0 }).judge();
}
