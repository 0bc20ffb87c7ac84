//! All engines against a list of rows, and DuckDB against a list of points: what they hold, what it comes to,
//! and what they refuse.

#![allow(clippy::disallowed_methods, reason = "tests of real files")]

use engine::{Engine, EngineError, Filter, Memory, Partial, Row};
use proptest::prelude::*;

#[cfg(feature = "duckdb")]
#[path = "engines/points.rs"]
mod points;

const KEYS: [&str; 5] = ["a", "ab", "abc", "b", "ü"];

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0usize..KEYS.len(), 0u64..40, -1e9..1e9);
    let row = row.prop_map(|(key, at_ms, value)| Row { key: KEYS[key].into(), at_ms, value });
    proptest::collection::vec(row, 0..1400)
}

fn filter() -> impl Strategy<Value = Filter> {
    let time = || proptest::option::of(0u64..45);
    (0usize..7, time(), time()).prop_map(|(prefix, from_ms, to_ms)| Filter {
        prefix: ["", "a", "ab", "abc", "b", "ü", "%"][prefix].into(),
        from_ms,
        to_ms,
    })
}

/// Rows in pieces that overlap, in two partitions; then all filters.
fn agrees(engine: &mut dyn Engine, rows: &[Row], cut: usize, filters: &[Filter]) {
    for partition in [1, 7] {
        let rows = if partition == 1 { rows } else { &rows[..rows.len() / 2] };
        let cut = cut.min(rows.len());
        engine.append(partition, 0, &rows[..cut]).unwrap();
        let gap = engine.append(partition, cut as u64 + 1, rows);
        assert!(matches!(gap, Err(EngineError::Gap { .. })), "a gap is refused");
        engine.append(partition, (cut / 2) as u64, &rows[cut / 2..]).unwrap();
        engine.append(partition, 0, rows).unwrap();
        assert_eq!(engine.applied(partition).unwrap(), rows.len() as u64);
        for filter in filters {
            let mut expected = Partial::default();
            rows.iter().filter(|row| filter.wants(row)).for_each(|row| expected.add(row.value));
            let found = engine.partial(partition, filter).unwrap();
            assert_eq!(
                (found.count, found.sum.value()),
                (expected.count, expected.sum.value()),
                "{filter:?}"
            );
        }
    }
    assert_eq!(engine.applied(9).unwrap(), 0);
    assert_eq!(engine.partial(9, &Filter::default()).unwrap().count, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn columns_agree(rows in rows(), cut in 0usize..1400, filters in proptest::collection::vec(filter(), 4)) {
        agrees(&mut Memory::default(), &rows, cut, &filters);
    }

    #[cfg(feature = "duckdb")]
    #[test]
    fn duckdb_agrees(rows in rows(), cut in 0usize..1400, filters in proptest::collection::vec(filter(), 4)) {
        let folder = tempfile::tempdir().unwrap();
        agrees(&mut engine::duck::Duck::open(folder.path(), 256).unwrap(), &rows, cut, &filters);
    }

    #[cfg(feature = "duckdb")]
    #[test]
    fn duckdb_in_its_own_process_agrees(
        rows in rows(), cut in 0usize..1400, filters in proptest::collection::vec(filter(), 4)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = env!("CARGO_BIN_EXE_duckdb-engine").into();
        let program = engine::process::Program {
            path, arguments: Vec::new(), folder: folder.path().into(), memory_mb: 256
        };
        agrees(&mut engine::process::Remote::new(program), &rows, cut, &filters);
    }
}
