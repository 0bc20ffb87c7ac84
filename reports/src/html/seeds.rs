//! The seed grid: one mark a seed, in seed order.
//!
//! Colour and shape both tell the verdict. Seeds that failed lead to their violation below.

use maud::{Markup, html};

use super::chart::legend::{Mark, legend};
use super::parts::Tone;
use super::violations::MOST_CARDS;
use crate::format::count;
use crate::model::{SeedResult, SeedVerdict, SimulationReport};
use crate::totals::{Campaign, failing};

/// Up to here every seed carries its hash and its replay command.
const MOST_DETAILED: usize = 2_000;

pub(super) fn panel(simulation: &SimulationReport, campaign: &Campaign) -> Markup {
    let linked: Vec<u64> = failing(simulation).iter().take(MOST_CARDS).map(|seed| seed.seed).collect();
    let detailed = simulation.seeds.len() <= MOST_DETAILED;
    let summary = format!(
        "{} seeds: {} held, {} violated, {} harness faults",
        count(simulation.ran()),
        count(campaign.held_count()),
        count(campaign.violated.len() as u64),
        count(campaign.harness_faults.len() as u64)
    );
    html! {
        div.panel {
            h3 { "Seeds" }
            p.remark { "One mark a seed, in order. Point at one for its hash and replay command." }
            @if campaign.folded > 0 {
                p.remark { (count(campaign.folded)) " more seeds held; they are summed up and have no mark." }
            }
            (legend(&[(Mark::Box("good"), "held"), (Mark::Box("bad"), "violated"), (Mark::Box("warn"), "harness fault")]))
            @if simulation.seeds.is_empty() {
                p { "No seed ran." }
            } @else {
                div class={ "seeds " (size(simulation.seeds.len())) } role="group" aria-label=(summary) {
                    @for seed in &simulation.seeds { (cell(seed, detailed, linked.contains(&seed.seed))) }
                }
            }
        }
    }
}

/// Many seeds get small marks.
fn size(seeds: usize) -> &'static str {
    match seeds {
        0..=500 => "large",
        501..=2_000 => "medium",
        _ => "small",
    }
}

fn cell(seed: &SeedResult, detailed: bool, linked: bool) -> Markup {
    let (tone, word) = match seed.verdict {
        SeedVerdict::Held => (Tone::Good, "held"),
        SeedVerdict::Violated => (Tone::Bad, "violated"),
        SeedVerdict::HarnessFault => (Tone::Warn, "harness fault"),
    };
    let hint = if detailed || tone != Tone::Good {
        format!("seed {}: {word}\nhash {}\n{}", seed.seed, seed.event_hash, seed.replay)
    } else {
        format!("seed {}", seed.seed)
    };
    html! {
        @if linked {
            a class=(tone.class()) href={ "#seed-" (seed.seed) } title=(hint) aria-label={ "seed " (seed.seed) ": " (word) } {}
        } @else {
            i class=(tone.class()) title=(hint) {}
        }
    }
}
