//! The campaign: its figures, then the panels on seeds, faults and violations.

use maud::{Markup, html};

use super::header::section_title;
use super::parts::{Tone, tile};
use super::{faults, seeds, violations};
use crate::format::{count, duration, list, percent, plural, rate};
use crate::model::SimulationReport;
use crate::totals::Campaign;
use crate::verdict::Half;

pub(super) fn section(simulation: &SimulationReport, half: &Half) -> Markup {
    let campaign = Campaign::of(simulation);
    html! {
        section id="simulation" {
            (section_title("Simulation", half.verdict))
            p.lead {
                "Scenario " strong { (simulation.scenario) } ", "
                @if !simulation.profile.is_empty() { "faults " strong { (simulation.profile) } ", " }
                (plural(simulation.ran(), "seed")) " from " (simulation.first_seed) " on, "
                (plural(simulation.jobs as u64, "worker")) ", " (duration(simulation.elapsed_seconds)) "."
                @if simulation.ran() < simulation.seeds_requested {
                    " " (count(simulation.seeds_requested)) " seeds were asked for."
                }
            }
            (figures(simulation, &campaign))
            (seeds::panel(simulation, &campaign))
            (faults::panel(&campaign))
            (violations::panel(simulation))
        }
    }
}

fn figures(simulation: &SimulationReport, campaign: &Campaign) -> Markup {
    let ran = simulation.ran();
    let tone = |number: usize, tone: Tone| if number == 0 { Tone::Quiet } else { tone };
    let held = campaign.held_count();
    let operations = &campaign.operations;
    let all = operations.ok + operations.rejected + operations.unknown;
    html! {
        div.tiles {
            (tile("Seeds held", &count(held), &format!("of {}", count(ran)), tone(held as usize, Tone::Good)))
            (tile("Violated", &count(campaign.violated.len() as u64), &named(&campaign.violated),
                tone(campaign.violated.len(), Tone::Bad)))
            (tile("Harness faults", &count(campaign.harness_faults.len() as u64),
                &named(&campaign.harness_faults), tone(campaign.harness_faults.len(), Tone::Warn)))
            (tile("Simulated time", &duration(campaign.simulated_seconds),
                &format!("{} s a second", rate(campaign.speed(simulation).round())), Tone::Quiet))
            (tile("Operations ok", &count(operations.ok), &percent(operations.ok, all), Tone::Quiet))
            (tile("Rejected", &count(operations.rejected), &percent(operations.rejected, all), Tone::Quiet))
            (tile("Unknown", &count(operations.unknown), &percent(operations.unknown, all), Tone::Quiet))
            (tile("Elections", &count(campaign.elections), &format!("{} a seed", per(campaign.elections, ran)),
                Tone::Quiet))
        }
    }
}

/// `seeds 18, 61`, or nothing.
fn named(seeds: &[u64]) -> String {
    match seeds {
        [] => String::new(),
        [seed] => format!("seed {seed}"),
        _ => format!("seeds {}", list(seeds, 3)),
    }
}

fn per(total: u64, ran: u64) -> String {
    rate((total as f64 / ran as f64 * 10.0).round() / 10.0)
}
