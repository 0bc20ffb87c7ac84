//! Plans as files: what is written is what was run, and what cannot be carried out is refused.

use storm::artifacts;
use storm::build_info;
use storm::determinism::fingerprint;
use storm::run::{Keep, run};
use storm::scenario::{SCENARIOS, Scenario};
use world::{Fault, FaultKind, Plan, PlanError};

fn storm(seed: u64) -> Plan {
    Scenario::named("storm").unwrap().plan(seed)
}

#[test]
fn plans_survive_the_way_through_toml() {
    for scenario in SCENARIOS {
        for seed in 0..200 {
            let plan = scenario.plan(seed);
            assert_eq!(plan, scenario.plan(seed));
            assert_eq!(Plan::from_toml(&plan.to_toml()), Ok(plan));
        }
    }
}

#[test]
fn a_plan_from_toml_is_the_same_run() {
    let drawn = run(storm(1), Keep::default(), String::new()).unwrap();
    let read = Plan::from_toml(&drawn.plan.to_toml()).unwrap();
    let replayed = run(read, Keep::default(), String::new()).unwrap();
    assert_eq!(fingerprint(&drawn.result), fingerprint(&replayed.result));
    assert_eq!(drawn.history, replayed.history);
}

#[test]
fn a_saved_case_holds_the_plan_and_every_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = storm(3);
    plan.duration_ms = 2000;
    plan.faults.retain(|fault| fault.at_ms <= 2000);
    let outcomes = run(plan.clone(), Keep { events: true, ..Keep::default() }, String::new()).unwrap();
    let files = artifacts::save(folder.path(), &outcomes, &build_info::current()).unwrap();
    let read = |name: &str| {
        let path = files.iter().find(|file| file.ends_with(name)).unwrap();
        std::fs::read_to_string(path).unwrap()
    };
    assert_eq!(Plan::from_toml(&read("case.toml")), Ok(plan));
    assert_eq!(read("events.log").lines().count() as u64, outcomes.result.events);
    let history: Vec<check::history::Operation> =
        read("history.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let times = history.iter().map(|operation| (operation.begin_ns, operation.end_ns));
    assert!(times.eq(outcomes.operations.iter().map(|deed| (deed.begin_ns, deed.end_ns))));
}

#[test]
fn plans_that_cannot_be_carried_out_are_refused() {
    let refused = |change: fn(&mut Plan)| {
        let mut plan = storm(4);
        change(&mut plan);
        run(plan, Keep::default(), String::new()).err().expect("it should be refused")
    };
    let unknown_knob = refused(|plan| {
        plan.knobs.insert("wrokers".into(), 3);
    });
    assert!(matches!(unknown_knob, PlanError::UnknownKnob { name, .. } if name == "wrokers"));
    let no_partition = refused(|plan| {
        plan.knobs.insert("partitions".into(), 0);
    });
    assert!(matches!(no_partition, PlanError::Range { key, .. } if key.path == "knobs.partitions"));
    let unknown_machine = refused(|plan| {
        let kind = FaultKind::Pause { node: "worker-99".into() };
        plan.faults = vec![Fault { at_ms: 1, for_ms: 1, kind }];
    });
    assert!(matches!(unknown_machine, PlanError::UnknownMachine { number: 1, .. }));
    let too_late = refused(|plan| {
        let kind = FaultKind::Pause { node: "worker-1".into() };
        plan.faults = vec![Fault { at_ms: plan.duration_ms + 1, for_ms: 1, kind }];
    });
    assert!(matches!(too_late, PlanError::Range { found: 8001.., .. }));
}
