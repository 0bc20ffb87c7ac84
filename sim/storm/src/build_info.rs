//! What program this is: commit, work tree, profile. A replay on another one may go another way.

use crate::scenario::Scenario;
use reports::model::BuildInfo;
use std::path::Path;
use std::process::Command;

/// The running program and its machine.
pub fn current() -> BuildInfo {
    BuildInfo {
        commit: git(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(|| "unknown".into()),
        dirty: git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty()),
        profile: if cfg!(debug_assertions) { "debug" } else { "release" }.into(),
        features: vec!["sim".into()],
        cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

/// Asks git about the source that cargo built this from. Cargo rebuilds before it runs, so what git says
/// now is what was built; a program that was copied elsewhere says `unknown`.
fn git(arguments: &[&str]) -> Option<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("git").arg("-C").arg(source).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The command that runs a seed again.
pub fn replay_line(scenario: &Scenario, seed: u64, build: &BuildInfo) -> String {
    let BuildInfo { commit, profile, .. } = build;
    let dirty = if build.dirty { " --dirty" } else { "" };
    let scenario: String = scenario.arguments().iter().map(|argument| format!(" {argument}")).collect();
    let cargo = if profile == "release" { "cargo storm" } else { "cargo run --features sim --bin storm --" };
    format!("{cargo} replay --seed {seed}{scenario} --commit {commit}{dirty} --profile {profile}")
}
