//! A node alone in each of the modes of the scaling journey: it dies and is cut off, nothing is lost or doubled,
//! and the sequential one is seen to let others wait.

use reports::model::SeedVerdict;
use std::time::Duration;
use storm::run::{Keep, Outcomes, run};
use storm::scenario::Scenario;
use world::Plan;

/// The knob's values.
const MODES: [(&str, u64); 3] = [("sequential", 1), ("threads", 2), ("async", 3)];

fn plan(mode: u64, faults: &str) -> Plan {
    let text = format!(
        "scenario = \"metricstream\"\nseed = 9\nduration_ms = 12000\n{faults}\n\
         [world]\nlatency_us_min = 200\nlatency_us_max = 3000\ndisk_us_min = 100\ndisk_us_max = 5000\n\
         short_io_percent = 0\nbuggify = false\n\
         [knobs]\nmode = {mode}\nworkers = 0\npartitions = 2\nclients = 4\noperations_per_second = 40\nexport = 1\n\
         compact_after_entries = 20\n"
    );
    Plan::from_toml(&text).unwrap()
}

fn ran(name: &str, plan: Plan) -> Outcomes {
    let outcomes = run(plan, Keep { events: true, ..Keep::default() }, String::new()).unwrap();
    let result = &outcomes.result;
    assert_eq!(result.verdict, SeedVerdict::Held, "{name}: {:#?}", result.violations);
    outcomes
}

fn answered(outcomes: &Outcomes) -> usize {
    outcomes.history.iter().filter(|line| line.contains("\"ok\"")).count()
}

#[test]
fn a_node_alone_loses_nothing_when_it_dies() {
    let faults = "[[fault]]\nkind = \"power_loss\"\nat_ms = 3000\nfor_ms = 500\nnodes = [\"control\"]\n\
                  [[fault]]\nkind = \"crash\"\nat_ms = 7000\nfor_ms = 500\nnodes = [\"control\"]\n";
    for (name, mode) in MODES {
        let outcomes = ran(name, plan(mode, faults));
        assert!(answered(&outcomes) > 150, "{name}: {} answered", answered(&outcomes));
    }
}

#[test]
fn one_after_the_other_takes_longer() {
    let slowest = |mode| {
        let outcomes = ran("calm", plan(mode, ""));
        let took = |deed: &storm::system::Deed| deed.end_ns.map(|end| end - deed.begin_ns);
        let sum: u64 = outcomes.operations.iter().filter_map(took).sum();
        Duration::from_nanos(sum / outcomes.operations.len() as u64)
    };
    let (sequential, asynchronous) = (slowest(1), slowest(3));
    assert!(sequential > asynchronous * 5 / 4, "{sequential:?} against {asynchronous:?} on average");
}

#[test]
fn a_mode_of_one_node_and_a_cluster_exclude_each_other() {
    for (mode, workers, allowed) in [(0, 0, "1 to 9"), (1, 3, "0 in modes 1 to 3")] {
        let mut plan = Scenario::named("metricstream").unwrap().plan(5);
        plan.knobs.extend([("mode".into(), mode), ("workers".into(), workers)]);
        let error = run(plan, Keep::default(), String::new()).err().unwrap().to_string();
        assert!(error.contains("knobs.workers") && error.contains(allowed), "{error}");
    }
}
