//! Client operations: a dot for each, at its begin and its latency, by outcome.
//!
//! All dots of an outcome are one path, so that thousands of them stay a small page.

use maud::{Markup, html};

use super::layout::{LEFT, Layout, RIGHT, WIDTH};
use crate::format::{count, micros_f64};
use crate::html::chart::num;
use crate::html::chart::scale::Scale;
use crate::html::chart::thin;
use crate::model::{OperationDot, Timeline};

/// Dots that are drawn.
const MOST: usize = 3_000;

pub(super) fn strip(layout: &Layout) -> Markup {
    let (top, bottom) = layout.strip;
    let dots = thin::dots(&layout.timeline.operations, MOST);
    let y = Scale::log_over(dots.iter().map(|dot| dot.latency_ms), (bottom - 6.0, top + 6.0));
    let place = |dot: &OperationDot| Some((layout.x.at(dot.at_seconds)?, y.at(dot.latency_ms)?));
    let of = |outcome: &str, write: Option<bool>| -> Vec<(f64, f64)> {
        let chosen =
            dots.iter().filter(|dot| dot.outcome == outcome && write.is_none_or(|write| dot.write == write));
        chosen.filter_map(|dot| place(dot)).collect()
    };
    html! {
        rect.lane x=(num(LEFT)) y=(num(top)) width=(num(WIDTH - LEFT - RIGHT)) height=(num(bottom - top)) {}
        @let middle = num((top + bottom) / 2.0);
        text.name x="44" y=(middle) text-anchor="middle" transform={ "rotate(-90 44 " (middle) ")" } { "latency (log)" }
        text.node x="24" y=(middle) text-anchor="middle" transform={ "rotate(-90 24 " (middle) ")" } { "operations" }
        g.grid {
            @for tick in y.ticks(4) {
                @if let Some(at) = y.at(tick) {
                    line x1=(num(LEFT)) x2=(num(WIDTH - RIGHT)) y1=(num(at)) y2=(num(at)) {}
                    text x=(num(LEFT - 8.0)) y=(num(at + 4.0)) text-anchor="end" { (tick_text(tick)) }
                }
            }
        }
        path.dots.op-read d=(points(&of("ok", Some(false)))) {}
        path.dots.op-write d=(points(&of("ok", Some(true)))) {}
        path.dots.op-rejected d=(points(&of("rejected", None))) {}
        path.crosses.op-unknown d=(crosses(&of("unknown", None))) {}
    }
}

/// How much of the operations is drawn.
pub(super) fn remark(timeline: &Timeline) -> String {
    let all = timeline.operations.len();
    let rest = "An operation without an answer stands at the time after which it was given up.";
    if all <= MOST {
        format!("All {} operations are drawn. {rest}", count(all as u64))
    } else {
        let (all, most) = (count(all as u64), count(MOST as u64));
        format!("{most} of {all} operations are drawn; the rejected and the unknown ones come first. {rest}")
    }
}

fn tick_text(milliseconds: f64) -> String {
    if milliseconds >= 1e3 {
        format!("{} s", milliseconds / 1e3)
    } else if milliseconds >= 1.0 {
        format!("{milliseconds} ms")
    } else {
        micros_f64(milliseconds * 1e3)
    }
}

/// A path of zero-length strokes; their round ends are the dots.
fn points(places: &[(f64, f64)]) -> String {
    places.iter().map(|(x, y)| format!("M{} {}h0", num(*x), num(*y))).collect()
}

fn crosses(places: &[(f64, f64)]) -> String {
    places.iter().map(|(x, y)| format!("M{} {}l5 5m0-5l-5 5", num(*x - 2.5), num(*y - 2.5))).collect()
}
