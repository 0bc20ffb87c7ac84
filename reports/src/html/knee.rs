//! Where the cluster bends: latency and good answers against the offered rate.
//!
//! Two drawings over one axis, because a second y axis would make the crossing of two lines look like a
//! fact. The knee is stated by rule (the highest rate that is valid and carried), not found by eye.

use maud::{Markup, html};

use super::chart::legend::{Mark, legend};
use super::chart::plot::{Axis, Frame, axes, columns, svg};
use super::chart::scale::Scale;
use super::chart::{line, num};
use super::over_time::micros_tick;
use super::parts::figure;
use crate::format::{micros, percent, rate};
use crate::model::{LoadReport, LoadStep};
use crate::totals::{highest_carried, is_valid};

/// Latency above.
const UPPER: Frame = Frame { bottom: 138.0, ..Frame::HALF };
/// Good answers below.
const LOWER: Frame = Frame { top: 212.0, ..Frame::HALF };

pub(super) fn panel(load: &LoadReport) -> Markup {
    let mut steps: Vec<&LoadStep> = load.steps.iter().filter(|step| step.target_rps > 0.0).collect();
    steps.sort_by(|left, right| left.target_rps.total_cmp(&right.target_rps));
    let x = Scale::log_over(steps.iter().map(|step| step.target_rps), UPPER.across());
    let drawing = html! {
        (upper(&steps, &x))
        (lower(&steps, &x))
        @if let Some(at) = highest_carried(load).and_then(|step| x.at(step.target_rps)) {
            g.knee {
                line x1=(num(at)) x2=(num(at)) y1=(num(UPPER.top)) y2=(num(LOWER.upward().0)) {}
                text x=(num(at - 5.0)) y=(num(UPPER.top + 11.0)) text-anchor="end" { "highest carried" }
            }
        }
        (columns(Frame { top: UPPER.top, ..LOWER }, &hints(&steps, &x)))
    };
    let key = legend(&[
        (Mark::Line("c-p999"), "intended p99.9"),
        (Mark::Line("c-p99"), "p99"),
        (Mark::Line("c-p50"), "p50"),
        (Mark::Line("c-good"), "answered well"),
    ]);
    let remark = "Hollow: the step is INVALID, its figures are left out of the lines.";
    let title = "Latency and share of good answers against the offered rate";
    let drawn = if steps.is_empty() {
        html! { p { "No step was measured." } }
    } else {
        svg(UPPER, title, drawing)
    };
    figure("Knee", remark, key, drawn)
}

fn upper(steps: &[&LoadStep], x: &Scale) -> Markup {
    let all =
        steps.iter().flat_map(|step| [step.intended.p50_us, step.intended.p99_us, step.intended.p999_us]);
    let y = Scale::log_over(all.map(|value| value as f64), UPPER.upward());
    html! {
        (axes(UPPER,
            &Axis { scale: *x, ticks: Vec::new(), text: rate, name: "" },
            &Axis { scale: y, ticks: y.ticks(5), text: micros_tick, name: "latency (log)" }))
        (series(steps, "c-p50", |step| place(x, &y, step, step.intended.p50_us as f64)))
        (series(steps, "c-p99", |step| place(x, &y, step, step.intended.p99_us as f64)))
        (series(steps, "c-p999", |step| place(x, &y, step, step.intended.p999_us as f64)))
    }
}

fn lower(steps: &[&LoadStep], x: &Scale) -> Markup {
    let shares = || steps.iter().map(|step| good_share(step)).filter(|share| share.is_finite());
    // From a round share below the least one, so that one lost percent can be seen.
    let least = shares().fold(100.0, f64::min);
    let low = if least >= 90.0 {
        90.0
    } else if least >= 50.0 {
        50.0
    } else {
        0.0
    };
    let y = Scale::linear(low, 100.0, LOWER.upward());
    html! {
        (axes(LOWER,
            &Axis { scale: *x, ticks: rates(steps), text: rate, name: "offered requests a second (log)" },
            &Axis { scale: y, ticks: y.ticks(2), text: |tick| format!("{tick} %"), name: "good" }))
        (series(steps, "c-good", |step| place(x, &y, step, good_share(step))))
    }
}

fn place(x: &Scale, y: &Scale, step: &LoadStep, value: f64) -> Option<(f64, f64)> {
    Some((x.at(step.target_rps)?, y.at(value)?))
}

/// A line through the valid steps and a mark at every step.
fn series(steps: &[&LoadStep], class: &str, place: impl Fn(&LoadStep) -> Option<(f64, f64)>) -> Markup {
    let valid = steps.iter().filter(|step| is_valid(step));
    html! {
        path class={ "line " (class) } d=(line(valid.map(|step| place(step)).filter(Option::is_some))) {}
        @for step in steps {
            @if let Some((x, y)) = place(step) {
                circle class={ "mark " (class) @if !is_valid(step) { " hollow" } } cx=(num(x)) cy=(num(y)) r="3.4" {}
            }
        }
    }
}

/// Rates of the steps as ticks, as long as there are few of them.
fn rates(steps: &[&LoadStep]) -> Vec<f64> {
    let every = steps.len().div_ceil(7).max(1);
    // Counted from the end: the highest rate is the one that matters.
    steps.iter().rev().step_by(every).map(|step| step.target_rps).collect()
}

/// Good answers in percent of what was offered.
fn good_share(step: &LoadStep) -> f64 {
    step.ok as f64 / step.offered as f64 * 100.0
}

fn hints(steps: &[&LoadStep], x: &Scale) -> Vec<(f64, String)> {
    let hint = |step: &&LoadStep| {
        let at = x.at(step.target_rps)?;
        let state = match (is_valid(step), step.carried) {
            (false, _) => "INVALID",
            (true, true) => "carried",
            (true, false) => "missed",
        };
        let text = format!(
            "{}/s, {state}\nintended p99.9 {}\nintended p99 {}\nintended p50 {}\nanswered well {}",
            rate(step.target_rps),
            micros(step.intended.p999_us),
            micros(step.intended.p99_us),
            micros(step.intended.p50_us),
            percent(step.ok, step.offered)
        );
        Some((at, text))
    };
    steps.iter().filter_map(hint).collect()
}
