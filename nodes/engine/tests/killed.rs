//! A process that writes to DuckDB is killed at any moment: what it left is a prefix of what it wrote, or
//! nothing, and takes the rest.

#![cfg(feature = "duckdb")]
#![allow(clippy::disallowed_methods, reason = "it starts and kills a process")]

use engine::duck::Duck;
use engine::{Engine, Filter, Partial, Row};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const FOLDER: &str = "ENGINE_KILLED_FOLDER";
const ROWS: usize = 200;

fn rows(first: u64) -> Vec<Row> {
    let row = |seq: u64| Row { key: format!("k{}", seq % 7), at_ms: seq, value: seq as f64 * 0.1 };
    (first..).take(ROWS).map(row).collect()
}

/// The process that is killed; does nothing in an ordinary run of the tests.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut duck = Duck::open(Path::new(&folder), 256).unwrap();
    for turn in 0u64.. {
        let first = duck.applied(1).unwrap();
        duck.append(1, first, &rows(first)).unwrap();
        if turn % 5 == 4 {
            duck.checkpoint().unwrap();
        }
    }
}

#[test]
fn whatever_is_left_is_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let mut most = 0;
    for round in 0..12u64 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 + round * 61 % 400));
        assert!(writer.try_wait().unwrap().is_none(), "the writer writes until it is killed");
        writer.kill().unwrap();
        writer.wait().unwrap();

        let mut duck = Duck::open(folder.path(), 256).unwrap();
        let applied = duck.applied(1).unwrap();
        most = most.max(applied);
        assert_eq!(applied % ROWS as u64, 0, "batches are whole");
        let mut expected = Partial::default();
        (0..applied).for_each(|seq| expected.add(seq as f64 * 0.1));
        let found = duck.partial(1, &Filter::default()).unwrap();
        assert_eq!((found.count, found.sum.value()), (expected.count, expected.sum.value()));
        duck.append(1, applied, &rows(applied)).unwrap();
    }
    assert!(most > ROWS as u64, "something was written: {most} rows");
}

#[test]
fn what_cannot_be_read_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("analytics.duckdb");
    let full = |folder: &Path| {
        let mut duck = Duck::open(folder, 256).unwrap();
        let first = duck.applied(1).unwrap();
        duck.append(1, first, &rows(first)).unwrap();
        duck.checkpoint().unwrap();
    };
    full(folder.path());
    assert_eq!(Duck::open(folder.path(), 256).unwrap().applied(1).unwrap(), ROWS as u64);
    std::fs::write(&file, b"no database").unwrap();
    assert_eq!(Duck::open(folder.path(), 256).unwrap().applied(1).unwrap(), 0, "nonsense");
    full(folder.path());
    std::fs::write(folder.path().join("analytics.duckdb.wal"), b"torn").unwrap();
    assert_eq!(
        Duck::open(folder.path(), 256).unwrap().applied(1).unwrap(),
        ROWS as u64,
        "its own log is thrown away"
    );
    std::fs::write(folder.path().join("analytics.opening"), b"").unwrap();
    assert_eq!(Duck::open(folder.path(), 256).unwrap().applied(1).unwrap(), 0, "it died over this file once");
}
