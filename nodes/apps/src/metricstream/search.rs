//! Queries over HTTP: points, aggregates in steps, windows, and what series there are.
//!
//! Options are read by hand, because a tag's name is part of its option's: `tag.host=server1`.

use super::APP;
use super::accumulator::{Accumulator, Aggregate};
use super::command::{Kind, MAX_NAME_BYTES, MAX_TAGS};
use super::query::{Listed, MAX_CELLS, MAX_LISTED, MAX_POINTS, Points, Query, Select, Sum, Sums, Value};
use super::rollup::{self, PANE_MS};
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use client::APPLIED_INDEX;
use client::metricstream as wire;
use http::StatusCode;
use replica::frame::Consistency;
use std::collections::BTreeMap;

type Group = (Kind, Vec<(String, String)>);
type Cells = BTreeMap<Group, BTreeMap<u64, Accumulator>>;

/// The routes.
pub fn routes() -> Router<Cluster> {
    Router::new().route("/query", get(query)).route("/rollups", get(rollups)).route("/series", get(series))
}

/// What an address asks for.
struct Asked {
    select: Select,
    consistency: Consistency,
    step_ms: Option<u64>,
    aggregate: Option<(&'static str, Aggregate)>,
    by: Option<Vec<String>>,
    limit: u64,
    after: u64,
    window_ms: u64,
    slide_ms: Option<u64>,
}

fn wrong(text: impl Into<String>) -> ApiError {
    ApiError::invalid("invalid-query", text)
}

/// `1500`, `10s`, `5m`, `2h`, `1d`: milliseconds without a unit.
fn duration(name: &str, text: &str) -> Result<u64, ApiError> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[number.len()..];
    let factor =
        if unit.is_empty() { Some(1) } else { units.iter().find(|(n, _)| *n == unit).map(|(_, f)| *f) };
    let found =
        number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    found.filter(|found| *found > 0).ok_or_else(|| {
        wrong(format!("`{name}` is a length of time, such as 1500, 10s, 5m, 2h or 1d, not {text:?}"))
    })
}

/// Milliseconds since the Unix epoch, or `now`, or so much before it: `-15m`.
fn moment(name: &str, text: &str) -> Result<u64, ApiError> {
    if text == "now" {
        return Ok(rt::time::wall_ms());
    }
    if let Some(before) = text.strip_prefix('-') {
        return Ok(rt::time::wall_ms().saturating_sub(duration(name, before)?));
    }
    let text_of =
        || wrong(format!("`{name}` is milliseconds since the Unix epoch, now, or -15m; not {text:?}"));
    text.parse().map_err(|_| text_of())
}

/// The options of an address, decoded.
fn options(raw: Option<&str>) -> Result<Vec<(String, String)>, ApiError> {
    let raw = raw.unwrap_or_default();
    let uri = http::Uri::try_from(format!("/?{raw}")).map_err(|error| wrong(error.to_string()))?;
    let decoded: axum::extract::Query<Vec<(String, String)>> =
        axum::extract::Query::try_from_uri(&uri).map_err(|error| wrong(error.body_text()))?;
    Ok(decoded.0)
}

impl Asked {
    fn new(raw: Option<&str>, allowed: &[&str]) -> Result<Self, ApiError> {
        let mut asked = Asked {
            select: Select { to_ms: u64::MAX, ..Select::default() },
            consistency: Consistency::Linearizable,
            step_ms: None,
            aggregate: None,
            by: None,
            limit: MAX_POINTS,
            after: 0,
            window_ms: 60_000,
            slide_ms: None,
        };
        let mut seen = Vec::new();
        for (name, value) in options(raw)? {
            if seen.contains(&name) {
                return Err(wrong(format!("`{name}` comes twice")));
            }
            let known = allowed.contains(&name.as_str()) || name.starts_with("tag.");
            if !known {
                return Err(wrong(format!("there is no `{name}`; allowed are {allowed:?} and tag.NAME")));
            }
            asked.take(&name, value)?;
            seen.push(name);
        }
        if asked.select.tags.len() > MAX_TAGS {
            return Err(wrong(format!("more than {MAX_TAGS} tags")));
        }
        if asked.select.from_ms >= asked.select.to_ms {
            return Err(wrong("`from` must lie before `to`"));
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        if let Some(tag) = name.strip_prefix("tag.") {
            self.select.tags.push((tag.to_owned(), value));
            return Ok(());
        }
        match name {
            "name" if (1..=MAX_NAME_BYTES).contains(&value.len()) => self.select.name = Some(value),
            "name" => return Err(wrong(format!("`name` has 1 to {MAX_NAME_BYTES} bytes"))),
            "from" => self.select.from_ms = moment(name, &value)?,
            "to" => self.select.to_ms = moment(name, &value)?,
            "step" => self.step_ms = Some(duration(name, &value)?),
            "window" => self.window_ms = duration(name, &value)?,
            "slide" => self.slide_ms = Some(duration(name, &value)?),
            "by" => {
                self.by = Some(value.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect());
            }
            "agg" => {
                let found = Aggregate::ALL.into_iter().find(|(known, _)| *known == value);
                let all = Aggregate::ALL.map(|(known, _)| known).join(", ");
                self.aggregate = Some(found.ok_or_else(|| wrong(format!("`agg` is one of {all}")))?);
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_POINTS).contains(limit));
                self.limit = limit.ok_or_else(|| wrong(format!("`limit` lies in 1..={MAX_POINTS}")))?;
            }
            "after" => self.after = value.parse().map_err(|_| wrong("`after` is a number"))?,
            "consistency" => {
                self.consistency = match value.as_str() {
                    "linearizable" => Consistency::Linearizable,
                    "stale" => Consistency::Stale,
                    _ => return Err(wrong("`consistency` is linearizable or stale")),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&self) -> Result<String, ApiError> {
        self.select.name.clone().ok_or_else(|| wrong("`name` is missing"))
    }
}

fn too_many() -> ApiError {
    let text = format!("the answer would hold more than {MAX_CELLS} steps; choose longer ones, or less time");
    ApiError::app(StatusCode::UNPROCESSABLE_ENTITY, "too-many-steps", "Too many steps", text)
}

fn with_index(applied: u64, body: impl IntoResponse) -> Response {
    ([(APPLIED_INDEX, applied.to_string())], body).into_response()
}

/// Sums of a partition, page by page. The last page's log index and watermark come with them.
async fn gather(cluster: &Cluster, asked: &Asked, mut sum: Sum) -> Result<(Cells, u64, u64), ApiError> {
    let group = cluster.group_of(&asked.name()?)?;
    let mut cells = Cells::new();
    loop {
        let query = Query::Sums(sum.clone());
        let (page, applied): (Option<Sums>, u64) =
            cluster.query(&APP, group, &query, asked.consistency).await?;
        let page = page.ok_or_else(too_many)?;
        for (number, at_ms, stored) in page.cells {
            let key = page.groups.get(number as usize).ok_or(ApiError::Internal)?;
            let part = Accumulator::from_stored(stored).ok_or(ApiError::Internal)?;
            if !cells.contains_key(key) {
                cells.insert(key.clone(), BTreeMap::new());
            }
            let steps = cells.get_mut(key).ok_or(ApiError::Internal)?;
            steps.entry(at_ms).or_insert_with(|| Accumulator::new(sum.need)).merge(&part);
        }
        if cells.values().map(BTreeMap::len).sum::<usize>() > MAX_CELLS {
            return Err(too_many());
        }
        match page.next {
            Some(next) => sum.from = next,
            None => return Ok((cells, applied, page.watermark_ms)),
        }
    }
}

/// `GET /query`.
async fn query(State(cluster): State<Cluster>, RawQuery(raw): RawQuery) -> Result<Response, ApiError> {
    let allowed = ["name", "from", "to", "step", "agg", "by", "limit", "after", "consistency"];
    let asked = Asked::new(raw.as_deref(), &allowed)?;
    let name = asked.name()?;
    if asked.step_ms.is_none() && asked.aggregate.is_none() {
        return points(&cluster, &asked, name).await;
    }
    // A mean is what most ask for; where there is none, the number of members.
    let (aggregate_name, aggregate) = asked.aggregate.unwrap_or(("avg", Aggregate::Avg));
    let mut sum = Sum {
        select: asked.select.clone(),
        step_ms: asked.step_ms.unwrap_or(0),
        need: aggregate.need(),
        by: asked.by.clone(),
        rolled_up: false,
        from: 0,
    };
    if let (Some(step), u64::MAX) = (asked.step_ms, asked.select.to_ms) {
        // Ends with a whole step, so that the newest one is not cut by the asker's clock.
        sum.select.to_ms = u64::MAX - u64::MAX % step;
    }
    let (cells, applied, _) = gather(&cluster, &asked, sum).await?;
    let mut found = Vec::new();
    for ((kind, tags), steps) in cells {
        if !aggregate.suits(kind) {
            let text = format!("`agg={aggregate_name}` makes no sense of a {}", kind.name());
            return Err(wrong(text));
        }
        let length = asked.step_ms.unwrap_or_else(|| length_of(&asked.select, &steps));
        let value = |sum: &Accumulator| Some(aggregate.of(sum, length)).filter(|value| value.is_finite());
        let points = steps.iter().map(|(at, sum)| (*at, value(sum).map(wire::Value::Number)));
        let tags = tags.into_iter().collect();
        found.push(wire::QuerySeries { kind: kind.name().into(), tags, points: points.collect() });
    }
    let answer = wire::QueryAnswer {
        name,
        agg: Some(aggregate_name.into()),
        step_ms: asked.step_ms,
        series: found,
        next_after: None,
    };
    Ok(with_index(applied, Json(answer)))
}

/// The length of a single step: what was asked for, or from the first point to the last.
fn length_of(select: &Select, steps: &BTreeMap<u64, Accumulator>) -> u64 {
    if select.to_ms != u64::MAX {
        return select.to_ms - select.from_ms;
    }
    let last = steps.values().map(|sum| sum.last.1).max().unwrap_or(0);
    let first = steps.values().map(|sum| sum.first.1).min().unwrap_or(0);
    last.saturating_sub(first).max(1)
}

/// Points as they came.
async fn points(cluster: &Cluster, asked: &Asked, name: String) -> Result<Response, ApiError> {
    let group = cluster.group_of(&name)?;
    let (mut from, mut left) = (asked.after, asked.limit);
    let mut found: BTreeMap<u32, wire::QuerySeries> = BTreeMap::new();
    let (applied, next) = loop {
        let query = Query::Points { select: asked.select.clone(), from, limit: left };
        let (page, applied): (Points, u64) = cluster.query(&APP, group, &query, asked.consistency).await?;
        for (number, definition) in page.series {
            found.entry(number).or_insert_with(|| wire::QuerySeries {
                kind: definition.kind.name().into(),
                tags: definition.tags.into_iter().collect(),
                points: Vec::new(),
            });
        }
        left = left.saturating_sub(page.points.len() as u64);
        for (_, series, at_ms, value) in page.points {
            let value = match value {
                Value::Number(number) => wire::Value::Number(number),
                Value::Member(member) => wire::Value::Text(member),
            };
            let series = found.get_mut(&series).ok_or(ApiError::Internal)?;
            series.points.push((at_ms, Some(value)));
        }
        match page.next {
            Some(next) if left > 0 => from = next,
            next => break (applied, next),
        }
    };
    let mut series: Vec<_> = found.into_values().collect();
    series.iter_mut().for_each(|series| series.points.sort_by_key(|point| point.0));
    series.sort_by(|a, b| (&a.kind, &a.tags).cmp(&(&b.kind, &b.tags)));
    let answer = wire::QueryAnswer { name, agg: None, step_ms: None, series, next_after: next };
    Ok(with_index(applied, Json(answer)))
}

/// `GET /rollups`: tumbling windows, or sliding ones.
async fn rollups(State(cluster): State<Cluster>, RawQuery(raw): RawQuery) -> Result<Response, ApiError> {
    let asked = Asked::new(raw.as_deref(), &["name", "from", "to", "window", "slide", "by", "consistency"])?;
    let name = asked.name()?;
    let (window_ms, slide_ms) = (asked.window_ms, asked.slide_ms.unwrap_or(asked.window_ms));
    if !window_ms.is_multiple_of(PANE_MS) || !slide_ms.is_multiple_of(PANE_MS) || slide_ms > window_ms {
        let text = format!(
            "`window` and `slide` are multiples of {PANE_MS} ms, and no slide is longer than its window"
        );
        return Err(wrong(text));
    }
    let pane_ms = common(window_ms, slide_ms);
    // Whole windows: the first that begins at `from` or later, the last that begins before `to`.
    let from_ms = asked.select.from_ms.div_ceil(slide_ms).saturating_mul(slide_ms);
    let last_ms = asked.select.to_ms.saturating_sub(1) / slide_ms * slide_ms;
    let to_ms = last_ms.saturating_add(window_ms);
    let mut answer = wire::RollupAnswer { name, window_ms, slide_ms, series: Vec::new() };
    if from_ms >= to_ms || from_ms > last_ms {
        return Ok(Json(answer).into_response());
    }
    let both = super::accumulator::Need { sum: true, quantiles: false, members: true };
    let select = Select { from_ms, to_ms, ..asked.select.clone() };
    let sum = Sum { select, step_ms: pane_ms, need: both, by: asked.by.clone(), rolled_up: true, from: 0 };
    let (cells, applied, watermark_ms) = gather(&cluster, &asked, sum).await?;
    for ((kind, tags), panes) in cells {
        let need = rollup::need(kind == Kind::Set);
        let mut windows: BTreeMap<u64, Accumulator> = BTreeMap::new();
        for (at_ms, pane) in &panes {
            // All windows that this pane is part of.
            let newest = at_ms - at_ms % slide_ms;
            let starts = (0..window_ms / slide_ms).map_while(|back| newest.checked_sub(back * slide_ms));
            for start in
                starts.filter(|start| *start + window_ms > *at_ms && (from_ms..=last_ms).contains(start))
            {
                windows.entry(start).or_insert_with(|| Accumulator::new(need)).merge(pane);
                if windows.len() > MAX_CELLS {
                    return Err(too_many());
                }
            }
        }
        let windows =
            windows.iter().map(|(start, sum)| window(kind, *start, *start + window_ms, sum, watermark_ms));
        let (kind, tags) = (kind.name().into(), tags.into_iter().collect());
        answer.series.push(wire::RollupSeries { kind, tags, windows: windows.collect() });
    }
    Ok(with_index(applied, Json(answer)))
}

/// The longest length that both are multiples of.
fn common(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn window(kind: Kind, start: u64, end: u64, sum: &Accumulator, watermark_ms: u64) -> wire::Window {
    let number = |value: f64| Some(value).filter(|value| kind != Kind::Set && value.is_finite());
    wire::Window {
        start,
        end,
        count: sum.count,
        sum: number(sum.sum()),
        min: number(sum.min),
        max: number(sum.max),
        avg: number(sum.sum() / sum.count as f64),
        unique: (kind == Kind::Set).then(|| sum.members()),
        closed: watermark_ms >= end,
    }
}

/// `GET /series`.
async fn series(State(cluster): State<Cluster>, RawQuery(raw): RawQuery) -> Result<Response, ApiError> {
    let asked = Asked::new(raw.as_deref(), &["name", "consistency"])?;
    let groups = match &asked.select.name {
        Some(name) => vec![cluster.group_of(name)?],
        None => cluster.partitions(),
    };
    if groups.is_empty() {
        return Err(ApiError::NotReady);
    }
    let (mut found, mut highest) = (Vec::new(), 0);
    for group in groups {
        let query = Query::Series { select: asked.select.clone(), from: 0, limit: MAX_LISTED };
        let (listed, applied): (Vec<Listed>, u64) =
            cluster.query(&APP, group, &query, asked.consistency).await?;
        highest = highest.max(applied);
        found.extend(listed.into_iter().map(|listed| wire::SeriesEntry {
            name: listed.definition.name,
            kind: listed.definition.kind.name().into(),
            tags: listed.definition.tags.into_iter().collect(),
            count: listed.count,
        }));
    }
    found.sort_by(|a, b| (&a.name, &a.kind, &a.tags).cmp(&(&b.name, &b.kind, &b.tags)));
    Ok(with_index(highest, Json(wire::SeriesAnswer { series: found })))
}
