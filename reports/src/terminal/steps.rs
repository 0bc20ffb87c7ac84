//! The table of load steps.

use super::WIDTH;
use super::paint::{Colour, Paint, plain};
use crate::format::{clip, count, duration, micros, percent, rate};
use crate::model::{LoadConsistency, LoadReport, LoadStep, Validity};
use crate::totals::{errors, goodput};
use crate::verdict::consistency_held;

/// Steps that are shown; of more, the highest rates.
const MOST_STEPS: usize = 10;
/// Columns of the figures before the result.
const FIGURES: usize = 75;

pub(super) fn lines(load: &LoadReport, paint: Paint) -> Vec<String> {
    let title = format!("{}, {}", load.target, duration(load.elapsed_seconds));
    let mut lines =
        vec![String::new(), format!("{}  {}", paint.bold("Load"), clip(&plain(&title), WIDTH - 6))];
    if !load.steps.is_empty() {
        lines.push(paint.dim(&format!("{:>33}{:>27}{:>15}", "", "intended latency", "service")));
        lines.push(paint.dim(&row(["target/s", "on time", "ok/s", "errors", "p50", "p99", "p99.9", "p99"])));
    }
    let left_out = load.steps.len().saturating_sub(MOST_STEPS);
    for step in load.steps.iter().skip(left_out) {
        lines.push(step_line(step, paint));
    }
    if left_out > 0 {
        lines.push(format!("  {left_out} earlier steps are on the page"));
    }
    lines.extend(load.consistency.as_ref().map(|found| consistency_line(found, paint)));
    lines
}

fn row(cells: [&str; 8]) -> String {
    let [target, on_time, ok, errors, p50, p99, p999, service] = cells;
    format!("{target:>9}{on_time:>10}{ok:>9}{errors:>9}{p50:>10}{p99:>9}{p999:>9}{service:>10}")
}

fn step_line(step: &LoadStep, paint: Paint) -> String {
    let cells = [
        rate(step.target_rps),
        percent(step.sent_on_time, step.offered),
        rate(goodput(step)),
        count(errors(step)),
        micros(step.intended.p50_us),
        micros(step.intended.p99_us),
        micros(step.intended.p999_us),
        micros(step.service.p99_us),
    ];
    let figures = row(cells.each_ref().map(String::as_str));
    let (colour, result) = match &step.validity {
        Validity::Invalid(_) => (Colour::Yellow, "INVALID (generator)"),
        Validity::Valid if step.carried => (Colour::Green, "carried"),
        Validity::Valid => (Colour::Red, "missed"),
    };
    // Absurdly large figures push the result to the right; the line still ends where it should.
    let room = WIDTH.saturating_sub(figures.chars().count().max(FIGURES) + 2);
    format!("{}  {}", clip(&figures, WIDTH - 2), paint.colour(colour, &clip(result, room)))
}

fn consistency_line(found: &LoadConsistency, paint: Paint) -> String {
    let figures = format!(
        "{} acknowledged, {} stored, {} unknown",
        count(found.acknowledged),
        count(found.stored),
        count(found.unknown)
    );
    if consistency_held(found) {
        format!("  writes: {} {figures}", paint.colour(Colour::Green, "all acknowledged ones are stored:"))
    } else {
        format!("  writes: {} {figures}", paint.colour(Colour::Red, "VIOLATED:"))
    }
}
