//! Every program explains itself, and refuses what it does not know.

use super::{LOADGEN, NODE};
use std::time::Duration;
use tests::process::{Finished, run};

const PATIENCE: Duration = Duration::from_secs(20);

/// The text of `--help`; it must end well, go to standard output and be short enough to read.
fn help(program: &str, subcommand: &[&str]) -> String {
    let arguments = [subcommand, &["--help"]].concat();
    let Finished { code, stdout, stderr } = run(program, &arguments, PATIENCE);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    assert!(stdout.contains("Usage: "), "{stdout}");
    assert!(stdout.lines().count() < 100, "{stdout}");
    stdout
}

fn assert_refused(program: &str, arguments: &[&str]) {
    let Finished { code, stdout, stderr } = run(program, arguments, PATIENCE);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
    let helpful = ["--help", "not within", "for example"].iter().any(|words| stderr.contains(words));
    assert!(helpful, "{arguments:?} should say where to read on, or what is allowed: {stderr}");
}

#[test]
fn node_explains_itself() {
    for subcommand in [&[][..], &["dev"], &["run"]] {
        let text = help(NODE, subcommand);
        assert!(text.contains("Examples:") && text.contains("node run --role control"), "{text}");
    }
    for word in ["--peers", "--config", "--allow-dev-token", "SEEDSTORM_TOKEN", "--peer-listen"] {
        assert!(help(NODE, &["run"]).contains(word), "{word}");
    }
    let version = run(NODE, &["--version"], PATIENCE);
    assert!(version.code == Some(0) && version.stdout.contains(env!("CARGO_PKG_VERSION")), "{version:?}");
}

#[test]
fn loadgen_explains_itself() {
    let text = help(LOADGEN, &[]);
    for word in ["Examples:", "--rps", "--target", "Exit codes:"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn what_is_unknown_is_refused() {
    for arguments in [
        &["--no-such-flag"][..],
        &["no-such-command"],
        &["dev", "--no-such-flag"],
        &["dev", "--workers", "0"],
        &["dev", "--workers", "many"],
        &["dev", "--profile", "tidal"],
        &["run", "--no-such-flag"],
        &["run"],
    ] {
        assert_refused(NODE, arguments);
    }
    for arguments in [
        &["--no-such-flag"][..],
        &["--rps", "fast"],
        &["--rps", "0"],
        &["--duration", "10"],
        &["--target", "https://secure"],
        &["--once", "--first-rps", "10"],
        &["argument"],
    ] {
        assert_refused(LOADGEN, arguments);
    }
}

#[cfg(feature = "sim")]
#[test]
fn storm_explains_itself() {
    use super::STORM;
    let text = help(STORM, &[]);
    for word in ["Examples", "cargo storm", "Exit codes:", "--seeds", "--rps", "--no-load", "--out"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    for subcommand in ["sweep", "run", "replay", "plan", "check-determinism", "bench", "list"] {
        assert!(text.contains(&format!("\n  {subcommand} ")), "{subcommand} is not in the overview: {text}");
        help(STORM, &[subcommand]);
    }
    for arguments in [
        &["--no-such-flag"][..],
        &["no-such-command"],
        &["run"],
        &["run", "--seed", "minus one"],
        &["run", "--seed", "1", "--scenario", "tempest"],
        &["sweep", "--seeds", "0"],
        &["sweep", "--jobs", "0"],
        &["replay"],
        &["replay", "--seed", "1", "--node", "worker-1"],
        &["replay", "/no/such/plan.toml"],
        &["bench", "--figures", "beauty"],
        &["bench", "--figures", "--node", "/no/such/node"],
        &["bench", "--rounds", "3"],
        &["--duration", "10"],
    ] {
        assert_refused(STORM, arguments);
    }
}
