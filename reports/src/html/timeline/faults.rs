//! Faults: a row a kind, and shaded bands over the lanes of the nodes that are hit.

use maud::{Markup, html};

use super::layout::{KIND, LABEL, LEFT, Lane, Layout};
use crate::format::{clip, instant};
use crate::html::chart::num;
use crate::model::FaultBand;

/// A fault that is over at once is drawn this wide.
const LEAST: f64 = 2.5;
/// Width of a letter in a label.
const LETTER: f64 = 5.9;

/// The rows by kind.
pub(super) fn rows(layout: &Layout) -> Markup {
    html! {
        @for (kind, top) in &layout.kinds {
            text.kind x=(num(LEFT - 8.0)) y=(num(top + KIND - 4.5)) text-anchor="end" {
                title { (kind) }
                (clip(kind, 18))
            }
            @for fault in layout.timeline.faults.iter().filter(|fault| fault.kind == *kind) {
                @if let Some((from, width)) = stretch(layout, fault) {
                    rect.fault-bar x=(num(from)) y=(num(top + 3.0)) width=(num(width)) height=(num(KIND - 6.0)) rx="1.5" {
                        title { (hint(fault)) }
                    }
                }
            }
        }
    }
}

/// The bands over the lanes. A kind is written where there is room for it.
pub(super) fn bands(layout: &Layout) -> Markup {
    html! {
        @for lane in &layout.lanes {
            @for (fault, from, width, label) in in_lane(layout, lane) {
                rect.fault-band x=(num(from)) y=(num(lane.top)) width=(num(width)) height=(num(lane.height)) {
                    title { (hint(fault)) }
                }
                @if let Some(label) = label {
                    text.fault-label x=(num(from + 3.0)) y=(num(lane.top + LABEL - 4.0)) { (label) }
                }
            }
        }
    }
}

/// Faults of a lane in order of time, with the label of each if it does not run into the next band.
fn in_lane<'a>(layout: &Layout<'a>, lane: &Lane) -> Vec<(&'a FaultBand, f64, f64, Option<&'a str>)> {
    let faults =
        layout.timeline.faults.iter().filter(|fault| fault.nodes.iter().any(|node| node == lane.node));
    let mut placed: Vec<(&FaultBand, f64, f64)> =
        faults.filter_map(|fault| stretch(layout, fault).map(|(from, width)| (fault, from, width))).collect();
    placed.sort_by(|left, right| left.1.total_cmp(&right.1));
    let starts: Vec<f64> = placed.iter().map(|band| band.1).collect();
    let edge = layout.frame().across().1;
    let labelled = placed.into_iter().enumerate().map(|(index, (fault, from, width))| {
        let room = starts.get(index + 1).copied().unwrap_or(edge) - from;
        let needed = fault.kind.chars().count() as f64 * LETTER + 6.0;
        (fault, from, width, (room >= needed).then_some(fault.kind.as_str()))
    });
    labelled.collect()
}

/// Left end and width of a fault on the time axis.
fn stretch(layout: &Layout, fault: &FaultBand) -> Option<(f64, f64)> {
    let from = layout.x.at(fault.from_seconds)?;
    let to = layout.x.at(fault.to_seconds).unwrap_or(from);
    Some((from, (to - from).max(LEAST)))
}

fn hint(fault: &FaultBand) -> String {
    let nodes = fault.nodes.join(", ");
    format!("{}: {}\n{} to {}", fault.kind, nodes, instant(fault.from_seconds), instant(fault.to_seconds))
}
