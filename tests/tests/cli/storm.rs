//! `storm` from the outside: plans, replays, sweeps, and the main job in small.

use super::STORM;
use reports::model::{Report, SeedVerdict};
use reports::verdict::{HalfVerdict, Verdict, consistency_held};
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tests::process::{Finished, run};

/// Every run uses all processors, and one of them measures time.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn storm(arguments: &[&str]) -> Finished {
    run(STORM, arguments, Duration::from_secs(600))
}

/// A file in `folder`; its path.
fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn scenarios_are_listed() {
    let Finished { code, stdout, .. } = storm(&["list"]);
    assert_eq!(code, Some(0));
    for name in ["storm", "calm", "bench"] {
        assert!(stdout.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}: {stdout}");
    }
}

#[test]
fn a_seed_and_its_plan_are_the_same_run() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let seed = storm(&["run", "--seed", "3"]);
    assert_eq!(seed.code, Some(0), "{seed:?}");
    assert!(seed.stdout.contains("seed 3 held"), "{}", seed.stdout);

    let plan = storm(&["plan", "--seed", "3"]);
    assert_eq!(plan.code, Some(0));
    let path = file(&folder, "case.toml", &plan.stdout);
    let replayed = storm(&["replay", &path]);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let hash = |finished: &Finished| {
        let line = finished.stdout.lines().find(|line| line.contains(" events, hash "));
        line.unwrap_or_else(|| panic!("no hash: {finished:?}")).to_owned()
    };
    assert_eq!(hash(&replayed), hash(&seed), "a plan replays its seed, event by event");
}

#[test]
fn mistakes_in_a_plan_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let plan = storm(&["plan", "--seed", "3"]).stdout;
    let change = |from: &str, to: &str| {
        let changed = plan.replacen(from, to, 1);
        assert_ne!(changed, plan, "{from} is not in the plan");
        changed
    };
    let fault = "\n[[fault]]\nat_ms = 1\nfor_ms = 5\nkind = ";
    let cases: [(String, &[&str]); 9] = [
        (change("duration_ms", "duration"), &["unknown field", "`duration`", "duration_ms", "line"]),
        (change("duration_ms = ", "duration_ms = -"), &["line", "u64"]),
        (change("workers = ", "workers = 99"), &["knobs.workers", "0 to 9"]),
        (change("workers = ", "walkers = "), &["walkers", "workers", "partitions"]),
        (change("seed = 3", "seed = "), &["line"]),
        (format!("{plan}{fault}\"earthquake\"\n"), &["earthquake", "cut_symmetric", "power_loss"]),
        (format!("{plan}{fault}\"isolate\"\nnode = \"worker-77\"\n"), &["worker-77", "control", "worker-1"]),
        (
            format!(
                "{plan}\n[[fault]]\nat_ms = 99999999\nfor_ms = 5\nkind = \"pause\"\nnode = \"control\"\n"
            ),
            &["at_ms", "99999999", "0 to "],
        ),
        (String::new(), &["missing field"]),
    ];
    for (text, expected) in cases {
        let path = file(&folder, "case.toml", &text);
        let Finished { code, stderr, .. } = storm(&["replay", &path]);
        assert_eq!(code, Some(2), "{text}\n{stderr}");
        for word in expected {
            assert!(stderr.contains(word), "should name {word:?}: {stderr}\n{text}");
        }
    }
}

#[test]
fn a_replay_of_another_program_warns() {
    let _alone = one_at_a_time();
    let arguments = ["replay", "--seed", "3", "--commit", "0000000", "--profile", "neither"];
    let Finished { code, stderr, .. } = storm(&arguments);
    assert_eq!(code, Some(0), "{stderr}");
    for words in ["warning: found at commit 0000000", "warning: found with a neither build"] {
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn a_sweep_writes_a_report() {
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("sweep.json").display().to_string();
    let out = folder.path().join("out").display().to_string();
    let finished = storm(&["sweep", "--seeds", "4", "--jobs", "2", "--json", &json, "--out", &out]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report = reports::json::from_bytes(&fs::read(&json).unwrap()).unwrap();
    let simulation = report.simulation.unwrap();
    assert_eq!((simulation.seeds_requested, simulation.jobs, simulation.scenario.as_str()), (4, 2, "storm"));
    let seeds: Vec<u64> = simulation.seeds.iter().map(|seed| seed.seed).collect();
    assert_eq!(seeds, [0, 1, 2, 3]);
    for seed in &simulation.seeds {
        assert_eq!(seed.verdict, SeedVerdict::Held, "{seed:?}");
        assert!(seed.operations.ok > 0 && seed.events > 0 && seed.simulated_seconds > 1.0, "{seed:?}");
        assert!(seed.replay.contains(&format!("--seed {}", seed.seed)), "{}", seed.replay);
    }
}

#[test]
fn one_seed_one_history_in_fresh_processes_too() {
    let _alone = one_at_a_time();
    let finished = storm(&["check-determinism", "--seeds", "3"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("3 seeds run twice, 0 differences"), "{}", finished.stdout);
}

/// Runs of the main job, until one is VALID and carried.
const TRIES: u32 = 8;

/// Runs the main job and looks at everything it leaves, whatever the load half says.
fn small_main_job() -> (Finished, Report) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let path = out.display().to_string();
    // So few requests that a busy machine can send all of them in time.
    let finished = storm(&["--seeds", "4", "--rps", "40", "--duration", "1s", "--out", &path]);
    assert!(matches!(finished.code, Some(0 | 3)), "{finished:?}");
    for name in ["index.html", "report.json", "junit.xml", "summary.md"] {
        assert!(fs::metadata(out.join(name)).is_ok_and(|file| file.len() > 0), "{name} is missing");
    }
    assert!(finished.stdout.contains("index.html"), "says where the page is: {}", finished.stdout);
    let report = reports::json::from_bytes(&fs::read(out.join("report.json")).unwrap()).unwrap();
    (finished, report)
}

#[test]
fn the_main_job_in_small() {
    let _alone = one_at_a_time();
    let (mut reasons, mut measured) = (Vec::new(), false);
    for _ in 0..TRIES {
        let (finished, report) = small_main_job();
        let verdict = Verdict::of(&report);
        assert_eq!(verdict.simulation.verdict, HalfVerdict::Held, "{}", finished.stdout);
        assert_eq!(finished.code, Some(i32::from(verdict.exit_code())), "{}", finished.stdout);
        let consistency = report.load.and_then(|load| load.consistency).expect("the load was checked");
        assert!(consistency_held(&consistency), "{consistency:?}");
        if verdict.load.verdict == HalfVerdict::Held {
            return;
        }
        // The machine is busy with something else: another try.
        reasons.push(format!("{:?}: {}", verdict.load.verdict, verdict.load.sentence));
        measured |= verdict.load.verdict != HalfVerdict::LoadInvalid;
    }
    let what = if measured {
        "40 requests a second were not carried"
    } else {
        "no try was VALID: this machine was too busy to send 40 requests a second in time, and nothing was \
         said about the cluster"
    };
    panic!("{what}, in {TRIES} tries:\n{}", reasons.join("\n"));
}
