//! The load run second by second: rates, and latencies on both clocks.

use maud::{Markup, html};

use super::chart::legend::{Mark, legend};
use super::chart::plot::{Axis, Frame, axes, columns, svg};
use super::chart::scale::Scale;
use super::chart::{area, line, thin};
use super::parts::figure;
use crate::format::{count, instant, micros, micros_f64, rate};
use crate::model::{LoadReport, LoadSecond};

/// Points that are drawn.
const MOST: usize = 600;
const FRAME: Frame = Frame::HALF;

/// Offered, sent, answered, failed.
pub(super) fn rates(load: &LoadReport) -> Markup {
    let (seconds, width) = thin::seconds(&load.seconds, MOST);
    let most = seconds.iter().flat_map(|second| [second.offered, second.sent, second.ok, second.failed]);
    let y = Scale::linear_to(most.map(|value| value as f64), FRAME.upward());
    let x = time_scale(&seconds);
    let place = |of: fn(&LoadSecond) -> u64| -> Vec<Option<(f64, f64)>> {
        seconds.iter().map(|second| Some((x.at(second.at_seconds)?, y.at(of(second) as f64)?))).collect()
    };
    let offered: Vec<(f64, f64)> = place(|second| second.offered).into_iter().flatten().collect();
    let hints = hints(&seconds, &x, |second| {
        format!(
            "offered {}/s\nsent {}/s\nok {}/s\nfailed {}/s",
            count(second.offered),
            count(second.sent),
            count(second.ok),
            count(second.failed)
        )
    });
    let drawing = html! {
        path.offered d=(area(&offered, FRAME.upward().0)) {}
        (axes(FRAME, &time_axis(&x), &Axis { scale: y, ticks: y.ticks(6), text: rate, name: "requests a second" }))
        path.line.dashed.c-sent d=(line(place(|second| second.sent))) {}
        path.line.c-ok d=(line(place(|second| second.ok))) {}
        path.line.c-failed d=(line(place(|second| second.failed))) {}
        (columns(FRAME, &hints))
    };
    let key = legend(&[
        (Mark::Box("offered"), "offered"),
        (Mark::Dashed("c-sent"), "sent"),
        (Mark::Line("c-ok"), "ok"),
        (Mark::Line("c-failed"), "failed"),
    ]);
    let remark =
        format!("Grey shows what was due: where ok stays below it, work piles up.{}", thinned(width, "mean"));
    let title = "Rates over time: offered, sent, answered well and failed requests a second";
    figure("Rates over time", &remark, key, drawn(title, &seconds, drawing))
}

/// Median and 99th percentile from the due time and from sending.
pub(super) fn latencies(load: &LoadReport) -> Markup {
    let (seconds, width) = thin::seconds(&load.seconds, MOST);
    let all = seconds.iter().flat_map(|second| {
        [second.intended_p50_us, second.intended_p99_us, second.service_p50_us, second.service_p99_us]
    });
    let y = Scale::log_over(all.map(|value| value as f64), FRAME.upward());
    let x = time_scale(&seconds);
    let path = |of: fn(&LoadSecond) -> u64| {
        line(seconds.iter().map(|second| Some((x.at(second.at_seconds)?, y.at(of(second) as f64)?))))
    };
    let hints = hints(&seconds, &x, |second| {
        format!(
            "intended p99 {}\nintended p50 {}\nservice p99 {}\nservice p50 {}",
            micros(second.intended_p99_us),
            micros(second.intended_p50_us),
            micros(second.service_p99_us),
            micros(second.service_p50_us)
        )
    });
    let drawing = html! {
        (axes(FRAME, &time_axis(&x), &Axis { scale: y, ticks: y.ticks(6), text: micros_tick, name: "latency (log)" }))
        path.line.dashed.c-service d=(path(|second| second.service_p50_us)) {}
        path.line.dashed.c-intended d=(path(|second| second.intended_p50_us)) {}
        path.line.c-service d=(path(|second| second.service_p99_us)) {}
        path.line.c-intended d=(path(|second| second.intended_p99_us)) {}
        (columns(FRAME, &hints))
    };
    let key = legend(&[
        (Mark::Line("c-intended"), "intended p99"),
        (Mark::Line("c-service"), "service p99"),
        (Mark::Dashed("c-intended"), "intended p50"),
        (Mark::Dashed("c-service"), "service p50"),
    ]);
    let remark = format!(
        "Where intended leaves service behind, requests waited to be sent.{}",
        thinned(width, "worst")
    );
    let title = "Latency over time: intended and service, median and 99th percentile";
    figure("Latency over time", &remark, key, drawn(title, &seconds, drawing))
}

fn drawn(title: &str, seconds: &[LoadSecond], drawing: Markup) -> Markup {
    if seconds.is_empty() {
        return html! { p { "No second was recorded." } };
    }
    svg(FRAME, title, drawing)
}

fn time_scale(seconds: &[LoadSecond]) -> Scale {
    let places = || seconds.iter().map(|second| second.at_seconds).filter(|at| at.is_finite());
    Scale::linear(places().fold(0.0, f64::min), places().fold(0.0, f64::max), FRAME.across())
}

fn time_axis(x: &Scale) -> Axis<'static> {
    Axis { scale: *x, ticks: x.ticks(8), text: rate, name: "seconds since the load began" }
}

fn hints(seconds: &[LoadSecond], x: &Scale, text: impl Fn(&LoadSecond) -> String) -> Vec<(f64, String)> {
    let place = |second: &LoadSecond| {
        let at = x.at(second.at_seconds)?;
        Some((at, format!("at {}\n{}", instant(second.at_seconds), text(second))))
    };
    seconds.iter().filter_map(place).collect()
}

fn thinned(width: usize, how: &str) -> String {
    if width == 1 { String::new() } else { format!(" Each point is the {how} of {width} seconds.") }
}

/// A round latency, without needless digits.
pub(super) fn micros_tick(value: f64) -> String {
    if value >= 1e6 {
        format!("{} s", value / 1e6)
    } else if value >= 1e3 {
        format!("{} ms", value / 1e3)
    } else {
        micros_f64(value)
    }
}
