//! Points in DuckDB against a list of them: brought in pieces that overlap, forgotten, and looked at with SQL.

use engine::EngineError;
use engine::duck::Duck;
use engine::points::{Batch, Held, Kept, Point, Series};
use engine::process::{Program, Remote};
use engine::sql::{Cell, Limits};
use proptest::prelude::*;
use std::path::Path;

const LIMITS: Limits = Limits { rows: 100_000, timeout_ms: 20_000 };
const EVERYTHING: &str = "SELECT part, seq, name, type, tags['host'], cardinality(tags), at_ms, value, member
                          FROM metrics ORDER BY part, seq";

/// What is brought: a point's series, its time and its value.
#[derive(Clone, Debug)]
struct Given {
    of: u32,
    at_ms: u64,
    value: f64,
}

fn series(number: u32) -> Series {
    let tags =
        [("host", "a"), ("dc", "it's; \u{fc} \"x\"")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let tags = tags.into_iter().take(number as usize % 3).collect();
    let kind = if number % 4 == 3 { "set" } else { "gauge" };
    Series { name: format!("m{}", number / 2), kind: kind.into(), tags }
}

/// Points with the numbers from `start` to `end`, and all series from number `first_series` that they need.
fn batch(given: &[Given], first: u64, start: u64, end: u64, first_series: u32, kept: Kept) -> Batch {
    let known = given[..end as usize].iter().map(|point| point.of + 1).max().unwrap_or(0);
    let points = &given[start as usize..end as usize];
    let sets = (0u32..).zip(points).filter(|(_, point)| series(point.of).kind == "set");
    Batch {
        first,
        start,
        first_series,
        series: (first_series..known).map(series).collect(),
        of: points.iter().map(|point| point.of).collect(),
        at_ms: points.iter().map(|point| point.at_ms).collect(),
        values: points.iter().map(|point| point.value).collect(),
        members: sets.map(|(place, point)| (place, format!("{}", point.value))).collect(),
        kept,
    }
}

fn row(part: u64, seq: u64, point: &Given) -> Vec<Cell> {
    let Series { name, kind, tags } = series(point.of);
    let is_set = kind == "set";
    let host = tags.iter().find(|(key, _)| key == "host").map(|(_, value)| Cell::Text(value.clone()));
    vec![
        Cell::Int(part as i64),
        Cell::Int(seq as i64),
        Cell::Text(name),
        Cell::Text(kind),
        host.unwrap_or(Cell::Null),
        Cell::Int(tags.len() as i64),
        Cell::Int(point.at_ms as i64),
        if is_set { Cell::Null } else { Cell::Double(point.value) },
        if is_set { Cell::Text(format!("{}", point.value)) } else { Cell::Null },
    ]
}

/// Either form of the engine, asked alike.
trait Asked {
    fn held(&mut self, partition: u64) -> Held;
    fn append(&mut self, partition: u64, batch: Batch) -> Result<Held, EngineError>;
    fn forget(&mut self, partition: u64, kept: Kept);
    fn clear(&mut self, partition: u64);
    fn last(&mut self, partition: u64) -> Option<Point>;
    fn everything(&mut self) -> Vec<Vec<Cell>>;
    /// Ended and begun again, after a checkpoint.
    fn again(&mut self);
}

struct Here<'a>(&'a Path, Option<Duck>);

impl Here<'_> {
    fn duck(&mut self) -> &mut Duck {
        self.1.get_or_insert_with(|| Duck::open(self.0, 256).unwrap())
    }
}

impl Asked for Here<'_> {
    fn held(&mut self, partition: u64) -> Held {
        self.duck().held(partition)
    }
    fn append(&mut self, partition: u64, batch: Batch) -> Result<Held, EngineError> {
        self.duck().append_points(partition, &batch)
    }
    fn forget(&mut self, partition: u64, kept: Kept) {
        self.duck().forget_points(partition, kept).unwrap();
    }
    fn clear(&mut self, partition: u64) {
        self.duck().clear_points(partition).unwrap();
    }
    fn last(&mut self, partition: u64) -> Option<Point> {
        self.duck().last_point(partition).unwrap()
    }
    fn everything(&mut self) -> Vec<Vec<Cell>> {
        self.duck().ask(EVERYTHING, LIMITS).unwrap().rows
    }
    fn again(&mut self) {
        self.duck().checkpoint().unwrap();
        self.1 = None;
    }
}

impl Asked for Remote {
    fn held(&mut self, partition: u64) -> Held {
        Remote::held(self, partition).unwrap()
    }
    fn append(&mut self, partition: u64, batch: Batch) -> Result<Held, EngineError> {
        self.append_points(partition, batch)
    }
    fn forget(&mut self, partition: u64, kept: Kept) {
        self.forget_points(partition, kept).unwrap();
    }
    fn clear(&mut self, partition: u64) {
        self.clear_points(partition).unwrap();
    }
    fn last(&mut self, partition: u64) -> Option<Point> {
        self.last_point(partition).unwrap()
    }
    fn everything(&mut self) -> Vec<Vec<Cell>> {
        self.ask(EVERYTHING, LIMITS).unwrap().rows
    }
    fn again(&mut self) {}
}

/// Pieces end at `cuts`, each a little before the last one's end; then `kept` is forgotten.
fn agrees(engine: &mut dyn Asked, given: &[Given], cuts: &[usize], kept: Kept) {
    for partition in [1, 7] {
        let mut cuts: Vec<u64> = cuts.iter().map(|cut| (*cut % (given.len() + 1)) as u64).collect();
        cuts.sort_unstable();
        cuts.push(given.len() as u64);
        for end in cuts {
            let Held { next, series, .. } = engine.held(partition);
            if end > next {
                let gap = batch(given, next + 1, next + 1, end, series, Kept::default());
                assert!(matches!(engine.append(partition, gap), Err(EngineError::Gap { .. })), "points");
                let gap = batch(given, next, next, end, series + 1, Kept::default());
                assert!(matches!(engine.append(partition, gap), Err(EngineError::Gap { .. })), "series");
            }
            let back = next - next.min(3);
            let piece = batch(given, back, back, end.max(back), series / 2, Kept::default());
            assert_eq!(engine.append(partition, piece).unwrap().next, end.max(next));
        }
        engine.again();
        assert_eq!(engine.held(partition).next, given.len() as u64);
    }
    let all = |keeps: &dyn Fn(u64, &Given) -> bool, parts: &[u64]| -> Vec<Vec<Cell>> {
        let of = |part: u64| {
            (0u64..)
                .zip(given)
                .filter(|(seq, point)| keeps(*seq, point))
                .map(move |(seq, point)| row(part, seq, point))
        };
        parts.iter().flat_map(|part| of(*part)).collect()
    };
    assert_eq!(engine.everything(), all(&|_, _| true, &[1, 7]));
    let last = engine.last(1).map(|point| (point.seq, point.at_ms));
    assert_eq!(last, given.last().map(|point| (given.len() as u64 - 1, point.at_ms)));

    // Forgotten in one partition, and brought anew to the other without what is forgotten.
    engine.forget(1, kept);
    engine.forget(1, Kept::default());
    engine.clear(7);
    assert_eq!(engine.held(7), Held::default());
    let first = kept.from.min(given.len() as u64);
    engine.append(7, batch(given, 0, first, given.len() as u64, 0, kept)).unwrap();
    let keeps = |seq: u64, point: &Given| seq >= kept.from && point.at_ms >= kept.from_ms;
    assert_eq!(engine.everything(), all(&keeps, &[1, 7]));
    engine.again();
    assert_eq!(engine.everything(), all(&keeps, &[1, 7]));
    assert_eq!((engine.held(1).next, engine.held(7).next), (given.len() as u64, given.len() as u64));
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    let point = (0u32..9, 0u64..40, -1e9..1e9).prop_map(|(of, at_ms, value)| Given { of, at_ms, value });
    proptest::collection::vec(point, 1..900)
}

fn kept() -> impl Strategy<Value = Kept> {
    (0u64..45, 0u64..300).prop_map(|(from_ms, from)| Kept { from_ms, from })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn duckdb_agrees(given in given(), cuts in proptest::collection::vec(0usize..900, 0..4), kept in kept()) {
        let folder = tempfile::tempdir().unwrap();
        agrees(&mut Here(folder.path(), None), &given, &cuts, kept);
    }

    #[test]
    fn duckdb_in_its_own_process_agrees(
        given in given(), cuts in proptest::collection::vec(0usize..900, 0..4), kept in kept()
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = env!("CARGO_BIN_EXE_duckdb-engine").into();
        let program = Program { path, arguments: Vec::new(), folder: folder.path().into(), memory_mb: 256 };
        agrees(&mut Remote::new(program), &given, &cuts, kept);
    }
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut duck = Duck::open(folder.path(), 256).unwrap();
    let given = [Given { of: 0, at_ms: 1, value: 1.0 }];
    let good = batch(&given, 0, 0, 1, 0, Kept::default());
    for wrong in [
        Batch { at_ms: Vec::new(), ..good.clone() },
        Batch { values: vec![1.0; 2], ..good.clone() },
        Batch { of: vec![1], ..good.clone() },
        Batch { series: Vec::new(), ..good.clone() },
    ] {
        assert!(matches!(duck.append_points(1, &wrong), Err(EngineError::Store(_))), "{wrong:?}");
    }
    assert_eq!(duck.held(1), Held::default());
    assert_eq!(duck.append_points(1, &good).unwrap().next, 1);
}

/// How fast points and rows go in, and are added up: for people who ask with `--nocapture`.
#[test]
fn many_points_go_in_and_come_back() {
    const POINTS: u64 = 400_000;
    const BATCH: u64 = 8192;
    let folder = tempfile::tempdir().unwrap();
    let mut duck = Duck::open(folder.path(), 256).unwrap();
    let given: Vec<Given> =
        (0..POINTS).map(|n| Given { of: (n % 1000) as u32 * 4, at_ms: n, value: n as f64 * 0.1 }).collect();
    let mut next = 0;
    let began = std::time::Instant::now();
    while next < POINTS {
        let held = duck.held(1);
        let piece = batch(&given, next, next, (next + BATCH).min(POINTS), held.series, Kept::default());
        next = duck.append_points(1, &piece).unwrap().next;
    }
    println!("{POINTS} points in {:?}", began.elapsed());
    let began = std::time::Instant::now();
    let sums =
        "SELECT count(*), count(DISTINCT name), max(value) FROM metrics WHERE tags['host'] = 'a' OR true";
    let found = duck.ask(sums, LIMITS).unwrap().rows;
    println!("a join and its sums in {:?}", began.elapsed());
    let most = (POINTS - 1) as f64 * 0.1;
    assert_eq!(found, [[Cell::Int(POINTS as i64), Cell::Int(1000), Cell::Double(most)]]);
    duck.checkpoint().unwrap();
    drop(duck);
    let began = std::time::Instant::now();
    let duck = Duck::open(folder.path(), 256).unwrap();
    println!("opened in {:?}", began.elapsed());
    assert_eq!(duck.held(1).next, POINTS);
}
