//! A process that writes to DuckDB is killed at any moment: what it left is a prefix of what it wrote, or
//! nothing, and takes the rest.

#![cfg(feature = "duckdb")]
#![allow(clippy::disallowed_methods, reason = "it starts and kills a process")]

use engine::duck::Duck;
use engine::points::{Batch, Kept, Series};
use engine::sql::{Cell, Limits};
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

/// So many points, of one series that is new and one that is known; what is older than the last thousand is
/// forgotten.
fn points(duck: &Duck) -> Batch {
    let held = duck.held(1);
    let series = (held.next / ROWS as u64) as u32;
    let new = Series { name: format!("m{series}"), kind: "gauge".into(), tags: Vec::new() };
    let numbers = held.next..held.next + ROWS as u64;
    Batch {
        first: held.next,
        start: held.next,
        first_series: held.series,
        series: vec![new],
        of: numbers.clone().map(|seq| if seq % 2 == 0 { series } else { series / 2 }).collect(),
        at_ms: numbers.clone().collect(),
        values: numbers.map(|seq| seq as f64).collect(),
        members: Vec::new(),
        kept: Kept::default(),
    }
}

/// Points are those from some number on to the next one that is held, each once and of its series.
fn check_points(duck: &Duck) -> u64 {
    let next = duck.held(1).next;
    assert_eq!(next % ROWS as u64, 0, "batches are whole");
    assert_eq!(u64::from(duck.held(1).series), next / ROWS as u64, "with their series");
    let text = "SELECT count(*), count(DISTINCT seq), coalesce(max(seq) + 1, 0), coalesce(min(seq), 0),
                       coalesce(count_if(value <> seq OR at_ms <> seq OR name <> 'm' ||
                                if(seq % 2 = 0, seq // 200, seq // 200 // 2)), 0) FROM metrics";
    let found = duck.ask(text, Limits { rows: 1, timeout_ms: 20_000 }).unwrap().rows.remove(0);
    let [Cell::Int(count), Cell::Int(different), Cell::Int(end), Cell::Int(begin), Cell::Int(wrong)] =
        found[..]
    else {
        panic!("{found:?}")
    };
    let kept = end - begin;
    assert_eq!((count, different, end as u64, wrong), (kept, kept, next, 0));
    next
}

/// The process that is killed; does nothing in an ordinary run of the tests.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut duck = Duck::open(Path::new(&folder), 256).unwrap();
    for turn in 0u64.. {
        let first = duck.applied(1).unwrap();
        duck.append(1, first, &rows(first)).unwrap();
        duck.append_points(1, &points(&duck)).unwrap();
        if turn % 3 == 2 {
            let from_ms = duck.held(1).next.saturating_sub(1000);
            duck.forget_points(1, Kept { from_ms, from: 0 }).unwrap();
        }
        if turn % 5 == 4 {
            duck.checkpoint().unwrap();
        }
    }
}

#[test]
fn whatever_is_left_is_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let (mut most, mut most_points) = (0, 0);
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
        most_points = most_points.max(check_points(&duck));
        duck.append_points(1, &points(&duck)).unwrap();
        check_points(&duck);
    }
    assert!(most_points > 2000, "points were written, and forgotten: {most_points}");
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
        duck.append_points(1, &points(&duck)).unwrap();
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
    // Points that are not those of the ledger.
    for damage in [
        "DELETE FROM points WHERE seq = 3",
        "UPDATE points SET seq = 4 WHERE seq = 3",
        "UPDATE points SET series = 9 WHERE seq = 3",
        "INSERT INTO points SELECT * FROM points WHERE seq = 3",
        "DELETE FROM series",
        "INSERT INTO series SELECT * FROM series",
        "DELETE FROM points_ledger",
    ] {
        assert!(check_points(&Duck::open(folder.path(), 256).unwrap()) > 0, "before {damage}");
        let other = duckdb::Connection::open(&file).unwrap();
        other.execute_batch(damage).unwrap();
        other.execute_batch("CHECKPOINT").unwrap();
        drop(other);
        let duck = Duck::open(folder.path(), 256).unwrap();
        assert_eq!((duck.held(1).next, duck.applied(1).unwrap()), (0, 0), "{damage}");
        drop(duck);
        full(folder.path());
    }
    std::fs::write(folder.path().join("analytics.opening"), b"").unwrap();
    assert_eq!(Duck::open(folder.path(), 256).unwrap().applied(1).unwrap(), 0, "it died over this file once");
}
