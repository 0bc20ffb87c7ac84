//! SQL in a process of its own: what it answers, what it refuses, and what it takes at most.

#![cfg(feature = "duckdb")]
#![allow(clippy::disallowed_methods, reason = "it takes the time of a real process")]

use engine::process::{Program, Remote};
use engine::sql::{Cell, Cut, Limits, Table};
use engine::{EngineError, Row};
use std::path::Path;
use std::time::Instant;

const LIMITS: Limits = Limits { rows: 1000, timeout_ms: 20_000 };

fn remote(folder: &Path) -> Remote {
    let path = env!("CARGO_BIN_EXE_duckdb-engine").into();
    Remote::new(Program { path, arguments: Vec::new(), folder: folder.into(), memory_mb: 256 })
}

fn rows(count: u64) -> Vec<Row> {
    (0..count).map(|n| Row { key: format!("k{}", n % 3), at_ms: n, value: n as f64 / 2.0 }).collect()
}

fn full(folder: &Path) -> Remote {
    let remote = remote(folder);
    remote.append(1, 0, rows(300)).unwrap();
    remote
}

fn ask(remote: &Remote, text: &str) -> Result<Table, EngineError> {
    remote.ask(text, LIMITS)
}

#[test]
fn questions_are_answered_with_their_types() {
    let folder = tempfile::tempdir().unwrap();
    let remote = full(folder.path());
    let table = ask(&remote, "SELECT count(*) AS n, avg(value) a, min(partition_key) FROM rows;").unwrap();
    let columns: Vec<_> = table.columns.iter().map(|c| (c.name.as_str(), c.kind.as_str())).collect();
    assert_eq!(columns, [("n", "BIGINT"), ("a", "DOUBLE"), ("min(partition_key)", "VARCHAR")]);
    assert_eq!(table.rows, [[Cell::Int(300), Cell::Double(74.75), Cell::Text("k0".into())]]);
    let table = ask(&remote, "FROM rows SELECT seq ORDER BY seq DESC LIMIT 2 -- newest").unwrap();
    assert_eq!(table.rows, [[Cell::Int(299)], [Cell::Int(298)]]);
    let all =
        "SELECT NULL, true, 1::TINYINT, sum(seq), 18446744073709551615::UBIGINT, 1.50, DATE '2026-11-21',
               [1, 2], 0.1::FLOAT, 'NaN'::DOUBLE, 170141183460469231731687303715884105727 FROM rows";
    let text = |text: &str| Cell::Text(text.into());
    let expected = [
        Cell::Null,
        Cell::Bool(true),
        Cell::Int(1),
        Cell::Int(44_850),
        Cell::UInt(u64::MAX),
        text("1.50"),
        text("2026-11-21"),
        text("[1, 2]"),
        text("0.1"),
        text("NaN"),
        text("170141183460469231731687303715884105727"),
    ];
    assert_eq!(ask(&remote, all).unwrap().rows, [expected]);
    let ordered = ask(&remote, "SELECT DISTINCT partition_key FROM rows ORDER BY 1 DESC").unwrap();
    assert_eq!(ordered.rows, [[text("k2")], [text("k1")], [text("k0")]]);
}

#[test]
fn what_is_not_a_question_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let remote = full(folder.path());
    let file = folder.path().join("secret.csv");
    let file = file.display();
    let files = [
        "SELECT * FROM read_csv('/etc/passwd')".to_owned(),
        "SELECT * FROM '/etc/passwd'".into(),
        "SELECT * FROM read_text('/etc/hostname')".into(),
        "SELECT * FROM read_blob('/etc/hostname')".into(),
        "SELECT * FROM glob('/etc/*')".into(),
        "SELECT * FROM sniff_csv('/etc/passwd')".into(),
        format!("COPY rows TO '{file}'"),
        format!("SELECT 1) TO '{file}' --"),
        "COPY rows FROM '/etc/passwd'".into(),
        "EXPORT DATABASE '/tmp/exported'".into(),
        "ATTACH '/tmp/other.duckdb'".into(),
        "INSTALL httpfs".into(),
        "LOAD httpfs".into(),
        "SELECT * FROM duckdb_extensions() WHERE install_path IN (SELECT content FROM read_text('/etc/hostname'))"
            .into(),
    ];
    let writes = [
        "INSERT INTO rows VALUES (1, 1, 'x', 1, 1)",
        "UPDATE rows SET value = 0",
        "DELETE FROM rows",
        "DROP TABLE rows",
        "CREATE TABLE mine(x INTEGER)",
        "ALTER TABLE rows ADD COLUMN x INTEGER",
        "TRUNCATE rows",
        "WITH gone AS (DELETE FROM rows RETURNING *) SELECT * FROM gone",
        "SELECT 1; DROP TABLE rows",
        "SELECT 1) AS t; COMMIT; DROP TABLE rows; SELECT * FROM (SELECT 1",
        "SELECT ';'",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "CHECKPOINT",
        "VACUUM",
        "SET threads = 8",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "PRAGMA enable_profiling",
        "CALL force_checkpoint()",
        "SELECT * FROM query('DROP TABLE rows')",
        "PREPARE q AS SELECT 1",
        "SELECT ?",
        "SELECT $1",
        "SELECT nothing FROM rows",
        "SELECT FROM",
        "/* open",
        "",
        " ; ",
    ];
    for text in files.iter().map(String::as_str).chain(writes) {
        match ask(&remote, text) {
            Err(EngineError::Refused(detail)) => assert!(!detail.is_empty()),
            other => panic!("{text}: {other:?}"),
        }
    }
    let left = ask(&remote, "SELECT count(*), count(DISTINCT seq), max(value) FROM rows").unwrap();
    assert_eq!(left.rows, [[Cell::Int(300), Cell::Int(300), Cell::Double(149.5)]]);
    assert!(!Path::new("/tmp/exported").exists());
    remote.append(1, 0, rows(301)).unwrap();
    assert_eq!(remote.applied(1).unwrap(), 301, "it still takes rows");
}

#[test]
fn answers_are_cut_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let remote = full(folder.path());
    let limits = Limits { rows: 10, ..LIMITS };
    let table = remote.ask("SELECT seq FROM rows ORDER BY seq", limits).unwrap();
    assert_eq!((table.rows.len(), table.cut), (10, Some(Cut::Rows)));
    let table = remote.ask("SELECT seq FROM rows ORDER BY seq LIMIT 10", limits).unwrap();
    assert_eq!((table.rows.len(), table.cut), (10, None));
    let table = remote.ask("SELECT * FROM range(1000000000)", limits).unwrap();
    assert_eq!((table.rows.len(), table.cut), (10, Some(Cut::Rows)));
    let table = ask(&remote, "SELECT repeat('x', 100000) FROM rows").unwrap();
    assert_eq!((table.rows.len(), table.cut), (83, Some(Cut::Bytes)));
}

#[test]
fn who_takes_too_long_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let remote = full(folder.path());
    let endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b";
    let began = Instant::now();
    let found = remote.ask(endless, Limits { timeout_ms: 300, ..LIMITS });
    assert!(matches!(found, Err(EngineError::Limit(_))), "{found:?}");
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert_eq!(ask(&remote, "SELECT 1").unwrap().rows, [[Cell::Int(1)]]);
}

#[test]
fn who_takes_too_much_memory_takes_nobody_down() {
    let folder = tempfile::tempdir().unwrap();
    let remote = full(folder.path());
    remote.checkpoint().unwrap();
    for greedy in [
        "SELECT repeat('x', 4000000000)",
        "SELECT max(length(repeat('x', 100000000 + range))) FROM range(2048)",
        "SELECT list(range) FROM range(1000000000)",
        "SELECT count(*) FROM (SELECT range, sum(range) FROM range(1000000000) GROUP BY range)",
        "WITH RECURSIVE t(s, n) AS (SELECT 'xxxxxxxx', 0 UNION ALL SELECT s || s, n + 1 FROM t WHERE n < 40)
         SELECT max(length(s)) FROM t",
    ] {
        // Some take long until they take much.
        let found = remote.ask(greedy, Limits { timeout_ms: 2000, ..LIMITS });
        assert!(matches!(found, Err(EngineError::Memory(_) | EngineError::Limit(_))), "{greedy}: {found:?}");
        let left = ask(&remote, "SELECT count(*) FROM rows").unwrap();
        assert_eq!(left.rows, [[Cell::Int(300)]], "after {greedy}");
    }
}
