//! The frame of a chart: its size, grid, axes, title, and columns to point at.

use maud::{Markup, html};

use super::num;
use super::scale::Scale;

/// Size and margins of a drawing, in its own units (pixels at full width).
#[derive(Clone, Copy, Debug)]
pub(in crate::html) struct Frame {
    pub width: f64,
    pub height: f64,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Frame {
    /// The size of a chart that stands beside another one.
    pub(in crate::html) const HALF: Self =
        Self { width: 600.0, height: 320.0, left: 80.0, right: 14.0, top: 12.0, bottom: 44.0 };

    /// From left to right.
    pub(in crate::html) fn across(&self) -> (f64, f64) {
        (self.left, self.width - self.right)
    }

    /// From bottom to top, as values grow.
    pub(in crate::html) fn upward(&self) -> (f64, f64) {
        (self.height - self.bottom, self.top)
    }
}

/// An axis: where its ticks are and what they say.
#[derive(Clone, Debug)]
pub(in crate::html) struct Axis<'a> {
    /// Its scale.
    pub scale: Scale,
    /// Values with a tick.
    pub ticks: Vec<f64>,
    /// Text of a tick.
    pub text: fn(f64) -> String,
    /// What it measures, with the unit.
    pub name: &'a str,
}

/// The drawing around `content`, with a title for those who cannot see it.
pub(in crate::html) fn svg(frame: Frame, title: &str, content: Markup) -> Markup {
    html! {
        div.scroll {
            svg.plot role="img" aria-label=(title)
                viewBox={ "0 0 " (num(frame.width)) " " (num(frame.height)) } {
                title { (title) }
                (content)
            }
        }
    }
}

/// Grid lines, tick texts and axis names. Goes below the series.
pub(in crate::html) fn axes(frame: Frame, x: &Axis, y: &Axis) -> Markup {
    let (left, right) = frame.across();
    let (floor, ceiling) = frame.upward();
    html! {
        g.grid {
            @for (tick, at) in placed(y) {
                line x1=(num(left)) x2=(num(right)) y1=(num(at)) y2=(num(at)) {}
                text x=(num(left - 7.0)) y=(num(at + 4.0)) text-anchor="end" { ((y.text)(tick)) }
            }
            @for (tick, at) in placed(x) {
                line x1=(num(at)) x2=(num(at)) y1=(num(floor)) y2=(num(ceiling)) {}
                text x=(num(at)) y=(num(floor + 17.0)) text-anchor=(anchor(at, left, right)) { ((x.text)(tick)) }
            }
            line.base x1=(num(left)) x2=(num(right)) y1=(num(floor)) y2=(num(floor)) {}
            text.name x=(num((left + right) / 2.0)) y=(num(frame.height - 6.0)) text-anchor="middle" { (x.name) }
            @let middle = num((floor + ceiling) / 2.0);
            text.name x="12" y=(middle) text-anchor="middle" transform={ "rotate(-90 12 " (middle) ")" } { (y.name) }
        }
    }
}

fn placed(axis: &Axis) -> Vec<(f64, f64)> {
    let inside = axis.ticks.iter().filter(|tick| **tick <= axis.scale.high() * (1.0 + 1e-9));
    inside.filter_map(|tick| Some((*tick, axis.scale.at(*tick)?))).collect()
}

/// The outermost texts are turned inwards, so that the edge of the drawing does not cut them.
fn anchor(at: f64, left: f64, right: f64) -> &'static str {
    if at > right - 4.0 && right > left { "end" } else { "middle" }
}

/// Columns over the whole height, one for each place on the x axis with its text. Pointing at one shows
/// it, with or without script.
pub(in crate::html) fn columns(frame: Frame, entries: &[(f64, String)]) -> Markup {
    let (floor, ceiling) = frame.upward();
    let (left, right) = frame.across();
    let height = num(floor - ceiling);
    html! {
        g.columns {
            @for (index, (at, text)) in entries.iter().enumerate() {
                @let from = index.checked_sub(1).map_or(left, |before| (entries[before].0 + at) / 2.0);
                @let to = entries.get(index + 1).map_or(right, |after| (after.0 + at) / 2.0);
                rect x=(num(from)) y=(num(ceiling)) width=(num((to - from).max(0.0))) height=(height) {
                    title { (text) }
                }
            }
        }
    }
}
