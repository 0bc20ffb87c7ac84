//! MetricStream's message queues in the simulated world: nodes die and the broker is cut off, and every message
//! and every point counts once.

use reports::model::SeedVerdict;
use storm::run::{Keep, Outcomes, run};
use world::Plan;

fn plan(seed: u64, buggify: bool) -> Plan {
    let text = format!(
        "scenario = \"metricstream\"\nseed = {seed}\nduration_ms = 12000\n\
         [[fault]]\nkind = \"crash\"\nat_ms = 2000\nfor_ms = 500\nnodes = [\"@leader:0\"]\n\
         [[fault]]\nkind = \"isolate\"\nat_ms = 4000\nfor_ms = 1500\nnode = \"broker\"\n\
         [[fault]]\nkind = \"isolate\"\nat_ms = 7000\nfor_ms = 2500\nnode = \"@leader:0\"\n\
         [[fault]]\nkind = \"power_loss\"\nat_ms = 10000\nfor_ms = 500\nnodes = [\"worker-2\"]\n\
         [world]\nlatency_us_min = 200\nlatency_us_max = 3000\ndisk_us_min = 100\ndisk_us_max = 5000\n\
         short_io_percent = 0\nbuggify = {buggify}\n\
         [knobs]\nworkers = 3\npartitions = 3\nclients = 4\noperations_per_second = 60\nexport = 1\n\
         queue_in = 1\nqueue_out = 1\ncompact_after_entries = 20\ntrailing_entries = 2\n"
    );
    Plan::from_toml(&text).unwrap()
}

fn ran(seed: u64, buggify: bool) -> Outcomes {
    let outcomes = run(plan(seed, buggify), Keep { events: true, ..Keep::default() }, String::new()).unwrap();
    let result = &outcomes.result;
    assert_eq!(result.verdict, SeedVerdict::Held, "seed {seed}: {:#?}", result.violations);
    outcomes
}

#[test]
fn messages_and_points_count_once_whoever_dies() {
    let mut fed_twice = 0;
    for seed in 0..4 {
        let outcomes = ran(seed, seed % 2 == 1);
        let put = outcomes.history.iter().filter(|line| line.contains("\"put\"")).count();
        assert!(put > 50, "seed {seed}: only {put} messages");
        let states = &outcomes.result.reached;
        let times = |state: &str| states.get(state).copied().unwrap_or(0);
        fed_twice += times("metricstream: somebody else has fed a queue")
            + times("metricstream: somebody else has published");
    }
    assert!(fed_twice > 0, "nobody ever came second");
}
