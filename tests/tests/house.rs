//! House rules as tests: who may import whom, one door to the outside, sizes, and files that must exist.
//!
//! Reads text, not types: a rule that a text search cannot tell belongs into a lint. Each message says
//! what to do instead.

#![allow(clippy::disallowed_methods, reason = "it reads the repository")]

#[path = "house/source.rs"]
mod source;

use source::{Source, manifest_dependencies, root, rust_files};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// Package, its folder, and which of our packages it may import.
const EDGES: [(&str, &str, &[&str]); 12] = [
    ("check", "sim/check", &[]),
    ("reports", "reports", &[]),
    ("rt", "sim/rt", &[]),
    ("client", "nodes/client", &["rt"]),
    ("replica", "nodes/replica", &["rt", "client"]),
    ("engine", "nodes/engine", &[]),
    ("apps", "nodes/apps", &["rt", "client", "replica", "engine"]),
    ("server", "nodes/server", &["rt", "client", "replica", "apps"]),
    ("world", "sim/world", &["rt", "check"]),
    ("loadgen", "loadgen", &["client", "reports", "server"]),
    ("storm", "sim/storm", &ALL),
    ("tests", "tests", &ALL_AND_STORM),
];
const ALL: [&str; 9] = ["check", "reports", "rt", "client", "replica", "apps", "server", "world", "loadgen"];
const ALL_AND_STORM: [&str; 10] =
    ["check", "reports", "rt", "client", "replica", "apps", "server", "world", "loadgen", "storm"];

/// Lines past which a file must be cut in two.
const MAX_LINES: usize = 500;

/// Fails with all complaints at once.
#[track_caller]
fn assert_none(rule: &str, complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{rule}\n  {}", complaints.join("\n  "));
}

#[test]
fn packages_import_only_what_the_architecture_allows() {
    let ours: BTreeSet<&str> = EDGES.iter().map(|(name, ..)| *name).collect();
    let mut complaints = Vec::new();
    for (name, folder, allowed) in EDGES {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{folder} is not the package {name}");
        for found in manifest_dependencies(&manifest) {
            if ours.contains(found.as_str()) && !allowed.contains(&found.as_str()) {
                complaints.push(format!("{name} imports {found}; it may import {allowed:?}"));
            }
        }
    }
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = workspace.lines().filter(|line| line.starts_with("    \"") && line.ends_with("\","));
    let folders: BTreeSet<&str> = EDGES.iter().map(|(_, folder, _)| *folder).collect();
    for member in members.map(|line| line.trim().trim_matches(['"', ','])) {
        if !folders.contains(member) {
            complaints.push(format!("the member {member} is not in this test's list of edges"));
        }
    }
    assert_none("README.md, who may import whom:", complaints);
}

#[test]
fn the_plain_build_holds_no_simulation() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    for package in ["server", "loadgen"] {
        let arguments = ["tree", "--offline", "--locked", "-e", "normal", "--prefix", "none", "-p", package];
        let output = Command::new(&cargo).args(arguments).current_dir(root()).output().unwrap();
        let tree = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(tree.contains("\nrt v"), "{package} builds on the façade: {tree}");
        let found: Vec<String> =
            tree.lines().filter(|line| line.starts_with("madsim")).map(str::to_owned).collect();
        assert_none(&format!("without the feature `sim`, {package} must not contain madsim:"), found);
    }
}

/// Door around the façade, and the door to use.
const DOORS: [(&str, &str); 16] = [
    ("tokio::spawn", "rt::task::spawn"),
    ("tokio::task", "rt::task"),
    ("tokio::time", "rt::time"),
    ("tokio::net", "rt::net"),
    ("tokio::fs", "rt::disk"),
    ("tokio::select!", "rt::select!"),
    ("futures::select", "rt::select!"),
    ("std::fs", "rt::disk"),
    ("std::net::Tcp", "rt::net"),
    ("std::net::Udp", "rt::net"),
    ("std::thread", "rt::task::blocking"),
    ("SystemTime", "rt::time::wall_ms"),
    ("thread_rng", "rt::random"),
    ("rand::rng", "rt::random"),
    ("axum::serve", "rt::http::serve"),
    ("reqwest", "rt::http::Client"),
];

/// What runs before there is a node, and the runtime of a cluster in one process.
const MAINS: [&str; 12] = [
    "nodes/server/src/main.rs",
    "nodes/server/src/cli.rs",
    "nodes/server/src/config.rs",
    "nodes/server/src/embedded.rs",
    // DuckDB does its own I/O, which no door leads around; no simulation contains it.
    "nodes/engine/src/duck.rs",
    "nodes/engine/src/duck/ask.rs",
    "nodes/engine/src/process/remote.rs",
    "nodes/engine/tests/engines/points.rs",
    "nodes/engine/tests/killed.rs",
    "nodes/engine/tests/sql.rs",
    "nodes/server/tests/nats.rs",
    "nodes/server/tests/sql.rs",
];

#[test]
fn the_facade_is_the_only_door() {
    let mut complaints = Vec::new();
    let sources = rust_files(&["nodes", "sim/world", "sim/check"]);
    assert!(sources.len() > 50, "found only {} files", sources.len());
    for source in sources.iter().filter(|source| !MAINS.contains(&source.path.as_str())) {
        for (door, instead) in DOORS {
            let lines = source.lines_with(door);
            complaints.extend(lines.map(|line| format!("{line}: `{door}`; use {instead}")));
        }
        // `Instant` is free under its own name only where it is the façade's.
        if source.lines_with("std::time::Instant").next().is_some()
            || source.lines_with("Instant::now").next().is_some() && !source.imports_rt_instant()
        {
            complaints.push(format!("{}: an `Instant` of the system; use rt::time::Instant", source.path));
        }
        if source.path.starts_with("sim/check") {
            let lines = source.lines_with("HashMap").chain(source.lines_with("HashSet"));
            complaints
                .extend(lines.map(|line| format!("{line}: its order is random; use BTreeMap or BTreeSet")));
        }
    }
    assert_none("the façade is the only door to the outside (README.md, the swap):", complaints);
}

const EVERYTHING: [&str; 5] = ["nodes", "sim", "loadgen", "reports", "tests"];

#[test]
fn every_file_opens_with_what_it_is_for() {
    let sources = rust_files(&EVERYTHING);
    let missing = sources.iter().filter(|source| {
        let first = source.text.lines().find(|line| !line.trim().is_empty());
        !first.is_some_and(|line| line.starts_with("//!"))
    });
    let missing = missing.map(|source| source.path.clone()).collect();
    assert_none("every file begins with a `//!` that says what it is for:", missing);
}

#[test]
fn files_stay_short() {
    let sources = rust_files(&EVERYTHING);
    let long = sources.iter().filter(|source| !source.is_test() && source.text.lines().count() > MAX_LINES);
    let long = long.map(|source| format!("{}: {} lines", source.path, source.text.lines().count()));
    assert_none(&format!("one idea a file, {MAX_LINES} lines at most; cut it in two:"), long.collect());
}

#[test]
fn nothing_is_left_half_done() {
    // Written apart, so that this file does not find itself.
    let words = [
        (["#[", "ignore"].concat(), "a test runs, or it is not there"),
        (["to", "do!("].concat(), "write it, or leave it out"),
        (["unimpl", "emented!("].concat(), "write it, or leave it out"),
        (["db", "g!("].concat(), "use tracing"),
    ];
    let mut complaints = Vec::new();
    for source in rust_files(&EVERYTHING) {
        for (word, advice) in &words {
            complaints.extend(source.lines_with(word).map(|line| format!("{line}: `{word}`; {advice}")));
        }
    }
    assert_none("nothing is left half done:", complaints);
}

#[test]
fn unsafe_code_is_for_the_facade_alone() {
    let mut complaints = Vec::new();
    for source in rust_files(&EVERYTHING).iter().filter(|source| !source.path.starts_with("sim/rt/")) {
        for kind in [" {", " fn", " impl", " extern", " trait"] {
            complaints.extend(source.lines_with(&["un", "safe", kind].concat()));
        }
    }
    assert_none("unsafe code is allowed in sim/rt alone:", complaints);
}

#[test]
fn files_that_a_repository_needs_are_there() {
    let needed = ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md", "Cargo.lock"];
    let missing = needed.into_iter().filter(|name| !root().join(name).is_file());
    assert_none("missing in the repository's root:", missing.map(str::to_owned).collect());
}

#[test]
fn the_readme_names_only_what_exists() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let missing = source::named_paths(&readme).into_iter().filter(|path| !root().join(path).exists());
    assert_none("README.md names paths that do not exist:", missing.collect());
}

#[test]
fn the_rules_see_what_they_should() {
    let text = "//! Doc.\nuse std::fs; // tokio::spawn in a comment\nlet url = \"http://tokio::net\";\n";
    let source = Source { path: "nodes/x.rs".into(), text: text.into() };
    assert_eq!(source.lines_with("std::fs").collect::<Vec<_>>(), ["nodes/x.rs:2"]);
    assert_eq!(source.lines_with("tokio::spawn").count(), 0, "comments do not count");
    assert_eq!(source.lines_with("tokio::net").count(), 1, "an address is not a comment");

    let manifest = "[dependencies]\nrt.workspace = true # x\nserver = { path = \"\" }\n\n[dev-dependencies]\nworld.workspace = true\n\
                    [target.'cfg(unix)'.dependencies]\ncheck = \"1\"\n[dependencies.apps]\nworkspace = true\n";
    assert_eq!(manifest_dependencies(manifest), ["rt", "server", "check", "apps"]);

    let readme = "See [it](sim/rt/src/lib.rs#map), `nodes/client`, `Cargo.toml`, `GET /metrics`, `application/json`,\n\
                  [web](https://example.org/a/b), `cargo storm`, `reports/out/index.html`, `tests/tests/*.rs`, `./.ci/run`\n\
                  ```\nnodes/nowhere\n```\n";
    assert_eq!(source::named_paths(readme), ["sim/rt/src/lib.rs", "nodes/client", "Cargo.toml", ".ci/run"]);
}
