//! Leaderships: a bar for each, in its node's lane, coloured and labelled by raft group.

use maud::{Markup, html};

use super::layout::{BAR, LABEL, Lane, Layout};
use crate::format::instant;
use crate::html::chart::num;
use crate::model::Leadership;

/// Width of a letter in a bar.
const LETTER: f64 = 6.0;

pub(super) fn bars(layout: &Layout) -> Markup {
    html! {
        @for lane in &layout.lanes {
            @for bar in layout.timeline.leaderships.iter().filter(|bar| bar.node == lane.node) {
                (drawn(layout, lane, bar))
            }
        }
    }
}

/// Class of the colour of the group with this place in the list of groups.
pub(super) fn colour(index: usize) -> &'static str {
    ["group-1", "group-2", "group-3", "group-4", "group-5", "group-6"][index % 6]
}

fn drawn(layout: &Layout, lane: &Lane, bar: &Leadership) -> Markup {
    let row = lane.groups.iter().position(|group| *group == bar.group).unwrap_or(0);
    let index = layout.groups.iter().position(|group| *group == bar.group).unwrap_or(0);
    let y = lane.top + LABEL + row as f64 * BAR;
    let from = layout.x.at(bar.from_seconds);
    let place = from.and_then(|from| Some((from, (layout.x.at(bar.to_seconds)? - from).max(1.5))));
    html! {
        @if let Some((from, width)) = place {
            rect class={ "leader " (colour(index)) } x=(num(from)) y=(num(y)) width=(num(width)) height=(num(BAR - 2.0)) rx="2" {
                title {
                    (lane.node) " leads group " (bar.group) " in term " (bar.term) "\n"
                    (instant(bar.from_seconds)) " to " (instant(bar.to_seconds))
                }
            }
            @if let Some(text) = label(bar, width) {
                text.leader-label x=(num(from + 4.0)) y=(num(y + BAR - 4.5)) { (text) }
            }
        }
    }
}

/// The longest label that fits.
fn label(bar: &Leadership, width: f64) -> Option<String> {
    let long = format!("g{} term {}", bar.group, bar.term);
    let middle = format!("g{} t{}", bar.group, bar.term);
    let short = format!("g{}", bar.group);
    [long, middle, short].into_iter().find(|text| text.chars().count() as f64 * LETTER + 8.0 <= width)
}
