//! The percentile curve of each step, on the axis that gives every further nine the same room.

use maud::{Markup, html};

use super::chart::legend::{Mark, legend};
use super::chart::plot::{Axis, Frame, axes, svg};
use super::chart::scale::Scale;
use super::chart::{line, num};
use super::over_time::micros_tick;
use super::parts::figure;
use crate::format::{micros, rate};
use crate::model::{LatencySummary, LoadReport, LoadStep};
use crate::totals::is_valid;

const FRAME: Frame = Frame { right: 74.0, ..Frame::HALF };
/// The axis ends at 99.99 % or, with enough values, at 99.999 %.
const ENDS: [f64; 2] = [1e4, 1e5];
/// 0, 90, 99 % and so on, as 1 / (1 - p).
const NINES: [f64; 6] = [1.0, 10.0, 1e2, 1e3, 1e4, 1e5];

/// A step's curve: (1 / (1 - p), value).
type Curve<'a> = (&'a LoadStep, Vec<(f64, f64)>);

pub(super) fn panel(load: &LoadReport) -> Markup {
    let curves = load.steps.iter().map(|step| (step, places(&step.intended)));
    let curves: Vec<Curve> = curves.filter(|(_, curve)| !curve.is_empty()).collect();
    let farthest = curves.iter().flat_map(|(_, curve)| curve).map(|point| point.0).fold(0.0, f64::max);
    let end = if farthest > ENDS[0] * 3.0 { ENDS[1] } else { ENDS[0] };
    let curves: Vec<Curve> = curves.into_iter().map(|(step, curve)| (step, cut(&curve, end))).collect();
    let x = Scale::log(1.0, end, FRAME.across());
    let y = Scale::log_over(curves.iter().flat_map(|(_, curve)| curve).map(|point| point.1), FRAME.upward());
    let place = |point: &(f64, f64)| Some((x.at(point.0)?, y.at(point.1)?));
    let drawing = html! {
        (axes(FRAME,
            &Axis { scale: x, ticks: NINES.to_vec(), text: percentile, name: "percentile of requests" },
            &Axis { scale: y, ticks: y.ticks(6), text: micros_tick, name: "intended latency (log)" }))
        @for (index, (step, curve)) in curves.iter().enumerate() {
            path class={ "line step" @if !is_valid(step) { " dashed" } } style=(shade(index, curves.len()))
                d=(line(curve.iter().map(place))) {
                title { (hint(step)) }
            }
        }
        @for ((step, _), at) in curves.iter().zip(labels(&curves, &y)) {
            text.step-label x=(num(FRAME.across().1 + 6.0)) y=(num(at + 4.0)) { (rate(step.target_rps)) "/s" }
        }
    };
    let key =
        legend(&[(Mark::Line("step"), "a step, paler the earlier"), (Mark::Dashed("step"), "INVALID step")]);
    let remark = "How long the slowest requests waited. Each nine of the percentile has the same room.";
    let title = "Percentile curves of the intended latency, one a step";
    let drawn = if curves.is_empty() {
        html! { p { "No step was measured." } }
    } else {
        svg(FRAME, title, drawing)
    };
    figure("Latency by percentile", remark, key, drawn)
}

/// The curve as (1 / (1 - p), value); the 100th percentile has no place on this axis.
fn places(summary: &LatencySummary) -> Vec<(f64, f64)> {
    let below = summary.curve.iter().filter(|(percentile, _)| (0.0..100.0).contains(percentile));
    below.map(|(percentile, value)| (1.0 / (1.0 - percentile / 100.0), *value as f64)).collect()
}

/// The curve up to `end`, with a point on the end itself where the curve crosses it.
fn cut(curve: &[(f64, f64)], end: f64) -> Vec<(f64, f64)> {
    let Some(beyond) = curve.iter().position(|point| point.0 > end) else { return curve.to_vec() };
    let mut kept = curve[..beyond].to_vec();
    if let Some((from, low)) = kept.last().copied() {
        let (to, high) = curve[beyond];
        let share = (end / from).ln() / (to / from).ln();
        kept.push((end, low + (high - low) * share));
    }
    kept
}

/// Heights of the labels at the right edge: at the end of each curve; those that would touch are spread
/// around their middle.
fn labels(curves: &[Curve], y: &Scale) -> Vec<f64> {
    const APART: f64 = 15.0;
    let ends = curves.iter().map(|(_, curve)| curve.last().and_then(|point| y.at(point.1)).unwrap_or(0.0));
    let mut order: Vec<(usize, f64)> = ends.enumerate().collect();
    order.sort_by(|left, right| left.1.total_cmp(&right.1));
    // Groups of labels from top to bottom: how many, and the middle of their ends.
    let mut groups: Vec<(f64, f64)> = Vec::new();
    for (_, end) in &order {
        let mut group = (1.0, *end);
        while let Some(above) = groups.pop_if(|above| group.1 - above.1 < (group.0 + above.0) / 2.0 * APART) {
            let number = group.0 + above.0;
            group = (number, (group.0 * group.1 + above.0 * above.1) / number);
        }
        groups.push(group);
    }
    let places = groups.iter().flat_map(|(number, middle)| {
        let first = middle - (number - 1.0) / 2.0 * APART;
        (0..*number as usize).map(move |index| first + index as f64 * APART)
    });
    let mut heights = vec![0.0; order.len()];
    for ((index, _), place) in order.iter().zip(places) {
        heights[*index] = place;
    }
    heights
}

fn percentile(nines: f64) -> String {
    let percent = 100.0 * (1.0 - 1.0 / nines);
    let text = format!("{percent:.3}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// From a pale to a full colour, in the order of the steps.
fn shade(index: usize, steps: usize) -> String {
    let share = if steps < 2 { 1.0 } else { index as f64 / (steps - 1) as f64 };
    format!("--shade:{:.0}%", share * 100.0)
}

fn hint(step: &LoadStep) -> String {
    format!(
        "{}/s{}\np50 {}\np90 {}\np99 {}\np99.9 {}\nmax {}",
        rate(step.target_rps),
        if is_valid(step) { "" } else { ", INVALID" },
        micros(step.intended.p50_us),
        micros(step.intended.p90_us),
        micros(step.intended.p99_us),
        micros(step.intended.p999_us),
        micros(step.intended.max_us)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_touch_and_stay_near_their_curves() {
        let step = LoadStep::default();
        let curves: Vec<Curve> = [1.0, 1.01, 1.02, 900.0].map(|value| (&step, vec![(1.0, value)])).to_vec();
        let y = Scale::log(1.0, 1_000.0, (300.0, 0.0));
        let heights = labels(&curves, &y);
        assert!(heights[0] - heights[1] >= 14.99 && heights[1] - heights[2] >= 14.99, "{heights:?}");
        assert!((heights[1] - 300.0).abs() < 1.0, "{heights:?}");
        assert!((heights[3] - 4.6).abs() < 0.1, "{heights:?}");
    }

    #[test]
    fn a_curve_ends_where_the_axis_does() {
        let curve = [(1.0, 5.0), (1e3, 10.0), (1e5, 30.0)];
        assert_eq!(cut(&curve, 1e4), [(1.0, 5.0), (1e3, 10.0), (1e4, 20.0)]);
        assert_eq!(cut(&curve, 1e5), curve);
        assert_eq!(cut(&[(1e6, 5.0)], 1e5), []);
        assert_eq!(percentile(1e4), "99.99 %");
        assert_eq!(percentile(1.0), "0 %");
    }
}
