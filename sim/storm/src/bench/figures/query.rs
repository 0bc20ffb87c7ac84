//! Time of linearizable queries over a million points. The slowest of three kinds is the figure.

use super::place::Place;
use super::table::{Bar, Row};
use super::{median, ours};
use anyhow::Context;
use serde_json::Value;
use std::fmt::Write;
use std::time::Instant;

const BAR_MS: f64 = 100.0;
const POINTS: u64 = 1_000_000;
const BATCH: u64 = 1000;
const HOSTS: u64 = 10;
/// The points are spread evenly over an hour.
const SPAN_MS: u64 = 3_600_000;
const REPEATS: usize = 21;

/// What is asked: windows that sums are kept of, quantiles of those, and steps so small that points are
/// read.
const QUERIES: [(&str, &str); 3] = [
    ("average by the minute", "agg=avg&step=1m"),
    ("p99 by the minute", "agg=p99&step=1m&by="),
    ("maximum by the second", "agg=max&step=1s&by="),
];

pub(super) fn measure(place: &Place) -> anyhow::Result<Row> {
    println!();
    let cluster = ours::start(place)?;
    let api = &cluster.members[1].api;
    let first = crate::job::now_ms() / SPAN_MS * SPAN_MS - SPAN_MS;
    let began = Instant::now();
    for batch in 0..POINTS / BATCH {
        place.http.post(api, "/metrics", points(first, batch)?)?;
    }
    println!("query      {} points stored in {:.1} s", table_number(POINTS), began.elapsed().as_secs_f64());
    let range = format!("/query?name=bench-query&from={first}&to={}", first + SPAN_MS);
    let counted = sum(&place.http.get(api, &format!("{range}&agg=count&step=1m&by="))?)?;
    anyhow::ensure!(counted == POINTS as f64, "of {POINTS} points the cluster counts {counted}");
    let mut slowest = 0.0_f64;
    for (name, options) in QUERIES {
        let mut times = Vec::new();
        for _ in 0..REPEATS {
            let began = Instant::now();
            place.http.get(api, &format!("{range}&{options}"))?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        let worst = times.iter().copied().fold(0.0, f64::max);
        let middle = median(times);
        println!("query      {name}: median {middle:.1} ms, worst {worst:.1} ms of {REPEATS}");
        slowest = slowest.max(middle);
    }
    Ok(Row {
        name: "query, 1,000,000 points",
        unit: "ms",
        ours: slowest,
        bar: Bar::LessThan(BAR_MS),
        etcd: None,
        peer: "DuckDB 2.0 in one process, 861,000 rows: avg 2.2 ms, one series 3.6 ms",
        spoiled: None,
    })
}

fn table_number(points: u64) -> String {
    super::table::number(points as f64)
}

fn points(first: u64, batch: u64) -> anyhow::Result<String> {
    let mut body = String::from("{\"metrics\":[");
    for number in batch * BATCH..(batch + 1) * BATCH {
        let comma = if number % BATCH == 0 { "" } else { "," };
        let at = first + number * SPAN_MS / POINTS;
        write!(
            body,
            "{comma}{{\"name\":\"bench-query\",\"value\":{}.25,\"type\":\"gauge\",\
             \"tags\":{{\"host\":\"server{}\"}},\"timestamp\":{at}}}",
            number * 7919 % 1000,
            number % HOSTS
        )?;
    }
    body.push_str("]}");
    Ok(body)
}

/// All values of an answer together.
fn sum(answer: &[u8]) -> anyhow::Result<f64> {
    let answer: Value = serde_json::from_slice(answer)?;
    let series = answer["series"].as_array().context("no series in the answer")?;
    let points = series.iter().filter_map(|series| series["points"].as_array()).flatten();
    Ok(points.filter_map(|point| point[1].as_f64()).sum())
}
