//! Campaigns: a seed that hangs, dies or eats memory costs that seed alone, is named, and can be run again.

use super::STORM;
use reports::model::{Report, SeedResult, SeedVerdict};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::wait;

/// Sweeps seeds 0 to 5, of which some misbehave as `sabotage` says.
fn sweep(sabotage: &str, more: &[&str]) -> (i32, String, Report) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("sweep.json");
    let out = folder.path().join("out");
    let output = Command::new(STORM)
        .args(["sweep", "--seeds", "6", "--jobs", "2", "--faults", "calm", "--json"])
        .arg(&json)
        .arg("--out")
        .arg(&out)
        .args(more)
        .env("SEEDSTORM_SABOTAGE", sabotage)
        .output()
        .unwrap();
    let report = reports::json::from_bytes(&std::fs::read(&json).unwrap()).unwrap();
    for seed in report.simulation.iter().flat_map(|simulation| &simulation.seeds) {
        for path in &seed.artifacts {
            assert!(std::path::Path::new(path).is_file(), "seed {}: {path} is missing", seed.seed);
        }
    }
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), report)
}

fn seed(report: &Report, number: u64) -> &SeedResult {
    let seeds = &report.simulation.as_ref().unwrap().seeds;
    seeds.iter().find(|seed| seed.seed == number).unwrap()
}

#[test]
fn what_a_seed_does_wrong_costs_that_seed_alone() {
    let limits = ["--seed-wall-limit", "4s", "--seed-memory-limit-mib", "600"];
    let (code, screen, report) = sweep("hang:1,abort:3,memory:4", &limits);
    assert_eq!(code, 2, "a fault of the harness: {screen}");
    for (number, reason) in [(1, "wall time limit"), (3, "signal: 6"), (4, "memory limit")] {
        let seed = seed(&report, number);
        assert_eq!(seed.verdict, SeedVerdict::HarnessFault, "{seed:?}");
        let said = seed.harness_fault.as_deref().unwrap();
        assert!(said.contains(reason), "seed {number}: {said}");
        assert!(seed.replay.contains(&format!("replay --seed {number} --faults calm")), "{}", seed.replay);
        assert!(screen.contains(&seed.replay), "{screen}");
        assert!(seed.artifacts[0].ends_with("case.toml"), "{:?}", seed.artifacts);
    }
    let last_words = seed(&report, 3).harness_fault.as_deref().unwrap();
    assert!(last_words.contains("the last words of seed 3"), "{last_words}");
    for number in [0, 2, 5] {
        assert_eq!(seed(&report, number).verdict, SeedVerdict::Held);
    }
    let memory = report.simulation.unwrap().memory.unwrap();
    assert_eq!(memory.worker_deaths, 3);
    assert!(memory.worker_peak_bytes > 600 << 20, "{memory:?}");
    assert!(memory.own_peak_bytes < 200 << 20, "{memory:?}");
}

#[test]
fn a_campaign_by_time_ends_in_time() {
    let began = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(STORM);
    command.args(["sweep", "--for", "3s", "--faults", "calm", "--out"]).arg(folder.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!((3..60).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let screen = String::from_utf8(output.stdout).unwrap();
    assert!(screen.contains("seeds held."), "{screen}");
}

/// Processes that a thread of `parent` started.
fn children(parent: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let texts = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<String> =
        texts.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    pids.iter().filter_map(|pid| pid.parse().ok()).collect()
}

fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is gone too; somebody else has to reap it.
    stat.is_empty() || stat.contains(") Z ")
}

#[test]
fn workers_die_with_the_campaign_even_in_the_middle_of_a_seed() {
    let folder = tempfile::tempdir().unwrap();
    let mut campaign = Command::new(STORM)
        .args(["sweep", "--seeds", "4", "--jobs", "1", "--seed-wall-limit", "600s", "--out"])
        .arg(folder.path())
        .env("SEEDSTORM_SABOTAGE", "hang:0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Duration::from_secs(60);
    let mut workers = Vec::new();
    assert!(wait::holds_within(patience, || {
        workers = children(campaign.id());
        !workers.is_empty()
    }));
    campaign.kill().unwrap();
    campaign.wait().unwrap();
    assert!(wait::holds_within(patience, || workers.iter().all(|pid| is_gone(*pid))), "{workers:?}");
}
