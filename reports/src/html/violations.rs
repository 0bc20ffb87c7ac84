//! Every seed that did not hold: what was seen, and the command that shows it again.

use maud::{Markup, html};

use super::parts::{Tone, badge, command};
use crate::format::{count, instant, list};
use crate::model::{SeedResult, SeedVerdict, SimulationReport, ViolationReport};
use crate::totals::failing;

/// Seeds that are spelled out.
pub(super) const MOST_CARDS: usize = 50;

pub(super) fn panel(simulation: &SimulationReport) -> Markup {
    let seeds = failing(simulation);
    let rest: Vec<u64> = seeds.iter().skip(MOST_CARDS).map(|seed| seed.seed).collect();
    html! {
        div id="violations" {
            h3 { "Seeds that did not hold" }
            @if seeds.is_empty() { p { "None." } }
            div.cards {
                @for seed in seeds.iter().take(MOST_CARDS) { (card(seed)) }
            }
            @if !rest.is_empty() {
                p { "Not spelled out here, but in " code { "report.json" } ": seeds " (list(&rest, 200)) "." }
            }
        }
    }
}

fn card(seed: &SeedResult) -> Markup {
    let (tone, word) = match seed.verdict {
        SeedVerdict::HarnessFault => (Tone::Warn, "HARNESS FAULT"),
        _ => (Tone::Bad, "VIOLATED"),
    };
    html! {
        article class={ "panel card " (tone.class()) } id={ "seed-" (seed.seed) } {
            h4 { "Seed " (seed.seed) " " (badge(tone, word)) }
            @for violation in &seed.violations { (evidence(violation)) }
            @if let Some(reason) = &seed.harness_fault {
                p.evidence { (reason) }
                p.remark { "The harness failed. This says nothing about the cluster." }
            }
            @if seed.violations.is_empty() && seed.harness_fault.is_none() { p { "No reason was given." } }
            p.label { "Replay" }
            (command(&seed.replay))
            @if !seed.artifacts.is_empty() {
                p.label { "Saved" }
                ul.files { @for path in &seed.artifacts { li { code { (path) } } } }
            }
            p.remark {
                (count(seed.events)) " events, hash " code { (seed.event_hash) }
                @if seed.timeline.is_some() { " · " a href={ "#timeline-" (seed.seed) } { "timeline" } }
            }
        }
    }
}

fn evidence(violation: &ViolationReport) -> Markup {
    html! {
        p.judge {
            strong { (violation.judge) }
            @if let Some(at) = violation.at_seconds { " at " (instant(at)) }
        }
        p.evidence { (violation.evidence) }
    }
}
