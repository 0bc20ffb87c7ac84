//! What happened when in single seeds: faults, leaders and client operations on one time axis, with the
//! first violation marked.
//!
//! Drawn for the seeds that failed and for one that held, to compare. Leaves out messages and disk
//! operations; the event log of a seed has them.

mod faults;
mod layout;
mod leaders;
mod operations;

use maud::{Markup, html};

use super::chart::legend::{Mark, legend};
use super::chart::num;
use super::chart::plot::svg;
use super::parts::{Tone, badge};
use crate::format::{clip, count, instant};
use crate::model::{SeedResult, SeedVerdict, SimulationReport, Timeline};
use crate::totals::failing;
use layout::{LEFT, Layout, RIGHT, WIDTH};

/// Failing seeds that are drawn.
const MOST_DRAWN: usize = 5;

pub(super) fn section(simulation: &SimulationReport) -> Markup {
    let failing: Vec<&SeedResult> =
        failing(simulation).into_iter().filter(|seed| seed.timeline.is_some()).collect();
    let held =
        simulation.seeds.iter().find(|seed| seed.verdict == SeedVerdict::Held && seed.timeline.is_some());
    let drawn: Vec<&SeedResult> = failing.iter().copied().take(MOST_DRAWN).chain(held).collect();
    html! {
        section id="timeline" {
            h2 { "Timeline" }
            @if drawn.is_empty() { p { "No seed of this run kept its timeline." } }
            @for (index, seed) in drawn.iter().enumerate() {
                @if let Some(timeline) = &seed.timeline { (entry(seed, timeline, index == 0)) }
            }
            @if failing.len() > MOST_DRAWN {
                p.remark {
                    (count((failing.len() - MOST_DRAWN) as u64))
                    " more failing seeds have a timeline; it is in " code { "report.json" } "."
                }
            }
        }
    }
}

fn entry(seed: &SeedResult, timeline: &Timeline, open: bool) -> Markup {
    let (tone, word) = match seed.verdict {
        SeedVerdict::Held => (Tone::Good, "HELD"),
        SeedVerdict::Violated => (Tone::Bad, "VIOLATED"),
        SeedVerdict::HarnessFault => (Tone::Warn, "HARNESS FAULT"),
    };
    html! {
        details.panel open[open] {
            summary {
                "Seed " (seed.seed) " " (badge(tone, word))
                @if let Some(first) = seed.violations.first() { span.remark { " " (clip(&first.judge, 60)) } }
            }
            div id={ "timeline-" (seed.seed) } {
                (key(timeline))
                (drawing(seed, timeline))
                p.remark { (operations::remark(timeline)) }
            }
        }
    }
}

fn key(timeline: &Timeline) -> Markup {
    let names: Vec<(usize, String)> = layout::groups(timeline)
        .iter()
        .enumerate()
        .map(|(index, group)| (index, format!("leads group {group}")))
        .collect();
    let mut entries: Vec<(Mark, &str)> = vec![(Mark::Box("fault"), "fault")];
    entries.extend(
        names.iter().take(8).map(|(index, name)| (Mark::Box(leaders::colour(*index)), name.as_str())),
    );
    entries.extend([
        (Mark::Dot("op-write"), "write ok"),
        (Mark::Dot("op-read"), "read ok"),
        (Mark::Dot("op-rejected"), "rejected"),
        (Mark::Cross("op-unknown"), "unknown"),
    ]);
    legend(&entries)
}

fn drawing(seed: &SeedResult, timeline: &Timeline) -> Markup {
    let layout = Layout::of(timeline);
    let title = format!(
        "Timeline of seed {}: {} nodes, {} faults, {} leaderships, {} operations in {}",
        seed.seed,
        timeline.nodes.len(),
        timeline.faults.len(),
        timeline.leaderships.len(),
        count(timeline.operations.len() as u64),
        instant(timeline.end_seconds)
    );
    let content = html! {
        (lanes(&layout))
        (time_axis(&layout))
        (faults::rows(&layout))
        (faults::bands(&layout))
        (leaders::bars(&layout))
        (operations::strip(&layout))
        (violation(seed, &layout))
    };
    html! { div.wide { (svg(layout.frame(), &title, content)) } }
}

/// The ground of each lane and its node's name.
fn lanes(layout: &Layout) -> Markup {
    let width = num(WIDTH - LEFT - RIGHT);
    html! {
        @for (index, lane) in layout.lanes.iter().enumerate() {
            rect class=(if index % 2 == 0 { "lane" } else { "lane odd" })
                x=(num(LEFT)) y=(num(lane.top)) width=(width) height=(num(lane.height)) {}
            text.node x=(num(LEFT - 8.0)) y=(num(lane.top + lane.height / 2.0 + 4.0)) text-anchor="end" {
                title { (lane.node) }
                (clip(lane.node, 17))
            }
        }
    }
}

fn time_axis(layout: &Layout) -> Markup {
    let (top, bottom) = (layout.top(), layout.strip.1);
    html! {
        g.grid {
            @for tick in layout.x.ticks(12) {
                @if let Some(at) = layout.x.at(tick) {
                    line x1=(num(at)) x2=(num(at)) y1=(num(top)) y2=(num(bottom)) {}
                    text x=(num(at)) y=(num(bottom + 16.0)) text-anchor="middle" { (crate::format::rate(tick)) }
                }
            }
            text.name x=(num((LEFT + WIDTH - RIGHT) / 2.0)) y=(num(bottom + 33.0)) text-anchor="middle" {
                "simulated time, s"
            }
        }
    }
}

/// A line through everything at the first violation whose time is known.
fn violation(seed: &SeedResult, layout: &Layout) -> Markup {
    let first = seed.violations.iter().find_map(|found| Some((found, found.at_seconds?)));
    let place = first.and_then(|(found, at)| Some((found, at, layout.x.at(at)?)));
    html! {
        @if let Some((found, at, place)) = place {
            @let left_of_line = place > WIDTH * 0.6;
            g.violation {
                line x1=(num(place)) x2=(num(place)) y1="6" y2=(num(layout.strip.1)) {}
                path d={ "M" (num(place - 5.0)) " 4h10l-5 8z" } {}
                text x=(num(if left_of_line { place - 9.0 } else { place + 9.0 })) y="13"
                    text-anchor=(if left_of_line { "end" } else { "start" }) {
                    "violation: " (clip(&found.judge, 40)) " at " (instant(at))
                }
            }
        }
    }
}
