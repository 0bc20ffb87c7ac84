//! The invented campaign.

use super::dice::Dice;
use super::timeline;
use std::collections::BTreeMap;

use crate::model::{
    Expected, FaultCount, MemoryUse, OperationCounts, SeedResult, SeedVerdict, SimulationReport,
    ViolationReport,
};

/// Kind, how often it fires in a seed at most, share of these that bite.
const KINDS: [(&str, u64, f64); 11] = [
    ("clock_jump", 3, 0.0),
    ("crash", 5, 0.98),
    ("cut_one_way", 4, 0.81),
    ("cut_symmetric", 6, 0.93),
    ("disk_full", 2, 0.55),
    ("disk_stall", 4, 0.77),
    ("link_slow", 8, 0.64),
    ("pause", 4, 0.9),
    ("power_loss", 3, 0.88),
    ("sync_error", 2, 0.71),
    ("torn_write", 3, 0.34),
];

/// States of the code, and how often a seed reaches them at most.
const STATES: [(&str, u64); 3] = [
    ("a leader changed under load", 9),
    ("a retry was answered from the dedup table", 4),
    ("a snapshot was installed while entries were appended", 0),
];

pub(super) fn campaign() -> SimulationReport {
    SimulationReport {
        scenario: "cluster".to_owned(),
        first_seed: 1,
        seeds_requested: 100,
        seeds: (1..=100).map(seed).collect(),
        elapsed_seconds: 48.2,
        jobs: 8,
        profile: "swarm".to_owned(),
        folded: None,
        memory: Some(MemoryUse {
            own_peak_bytes: 41 << 20,
            own_last_bytes: 38 << 20,
            worker_peak_bytes: 149 << 20,
            worker_last_bytes: 97 << 20,
            worker_deaths: 1,
        }),
        expected: Expected {
            faults: KINDS.iter().map(|(kind, ..)| (*kind).to_owned()).collect(),
            states: STATES.iter().map(|(state, _)| (*state).to_owned()).collect(),
        },
    }
}

fn seed(seed: u64) -> SeedResult {
    let mut dice = Dice::new(seed);
    let verdict = match seed {
        18 | 61 => SeedVerdict::Violated,
        74 => SeedVerdict::HarnessFault,
        _ => SeedVerdict::Held,
    };
    let faults = KINDS
        .iter()
        .filter(|_| dice.chance(0.6))
        .map(|(kind, most, bite)| (*kind, 1 + seed % most, *bite))
        .collect::<Vec<_>>();
    let faults = faults
        .into_iter()
        .map(|(kind, fired, bite)| FaultCount {
            kind: kind.to_owned(),
            armed: fired,
            fired,
            bit: (0..fired).filter(|_| dice.chance(bite)).count() as u64,
        })
        .collect();
    let reached = STATES
        .iter()
        .map(|(state, most)| ((*state).to_owned(), dice.below(most + 1)))
        .filter(|(_, times)| *times > 0)
        .collect();
    let failed = verdict != SeedVerdict::Held;
    SeedResult {
        seed,
        verdict,
        simulated_seconds: dice.between(52.0, 64.0),
        wall_seconds: dice.between(2.9, 4.6),
        event_hash: format!("{:016x}", dice.next()),
        events: 180_000 + dice.below(90_000),
        operations: OperationCounts {
            ok: 5_200 + dice.below(900),
            rejected: 20 + dice.below(90),
            unknown: dice.below(120),
        },
        elections: 3 + dice.below(9),
        faults,
        reached,
        buggified: BTreeMap::new(),
        violations: violations(seed),
        harness_fault: (seed == 74).then(|| {
            "the judge of linearizability gave up after 60 s on key printer/7: 41 concurrent unknown writes"
                .to_owned()
        }),
        replay: format!("cargo storm replay --scenario cluster --seed {seed}"),
        artifacts: if failed { artifacts(seed) } else { Vec::new() },
        timeline: matches!(seed, 1 | 18 | 61).then(|| timeline::of(seed)),
    }
}

fn violations(seed: u64) -> Vec<ViolationReport> {
    match seed {
        18 => vec![
            ViolationReport {
                judge: "durability".to_owned(),
                at_seconds: Some(31.407),
                evidence: "Append of 4711 to series temps/3 was acknowledged at 22.118 s (group 2, index \
                           1,904, term 7) and is not in the state of any replica after heal. The law: every \
                           acknowledged write is there at the end."
                    .to_owned(),
            },
            ViolationReport {
                judge: "leader completeness".to_owned(),
                at_seconds: Some(32.02),
                evidence: "worker-3 became leader of group 2 in term 8 without entry 1,904 of term 7, which \
                           was committed."
                    .to_owned(),
            },
        ],
        61 => vec![ViolationReport {
            judge: "real-time reads".to_owned(),
            at_seconds: Some(44.95),
            evidence: "A linearizable read of document <script>alert(1)</script> & friends returned version \
                       12 although version 13 was acknowledged 180 ms before the read began."
                .to_owned(),
        }],
        _ => Vec::new(),
    }
}

fn artifacts(seed: u64) -> Vec<String> {
    ["plan.toml", "history.jsonl", "events.log"]
        .map(|name| format!("target/seedstorm/seed-{seed}/{name}"))
        .to_vec()
}
