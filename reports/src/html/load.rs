//! The load run: its verdict, key figures and rules, then the charts and tables.

use maud::{Markup, html};

use super::header::section_title;
use super::parts::{Tone, badge, tile};
use super::{consistency, knee, over_time, percentiles, steps};
use crate::format::{count, duration, micros, percent, plural, rate};
use crate::model::{LoadReport, LoadStep, Report};
use crate::totals::{errors, highest_carried, is_valid};
use crate::verdict::{Half, consistency_held, reaches};

pub(super) fn section(load: &LoadReport, half: &Half, report: &Report) -> Markup {
    html! {
        section id="load" {
            (section_title("Load", half.verdict))
            p.lead {
                strong { (load.target) } ". " (plural(load.steps.len() as u64, "step")) ", "
                (duration(load.elapsed_seconds)) ", " (report.build.profile) " build."
            }
            (figures(load))
            div.pair {
                (rules(load))
                (consistency::panel(load))
            }
            div.pair {
                (over_time::rates(load))
                (over_time::latencies(load))
                (percentiles::panel(load))
                (knee::panel(load))
            }
            (steps::panel(load))
        }
    }
}

fn figures(load: &LoadReport) -> Markup {
    let best = highest_carried(load);
    let dash = || crate::format::NONE.to_owned();
    let figure = |of: fn(&LoadStep) -> String| best.map_or_else(dash, of);
    let tone = match best {
        Some(step) if reaches(step, load) => Tone::Good,
        _ => Tone::Bad,
    };
    let offered: u64 = load.steps.iter().map(|step| step.offered).sum();
    let ok: u64 = load.steps.iter().map(|step| step.ok).sum();
    let target = format!("a second; target {}", rate(load.target_rps));
    html! {
        div.tiles {
            (tile("Highest rate carried", &figure(|step| rate(step.target_rps)), &target, tone))
            (tile("Intended p50 there", &figure(|step| micros(step.intended.p50_us)), "what a user waits", Tone::Quiet))
            (tile("Intended p99 there", &figure(|step| micros(step.intended.p99_us)), "what a user waits", Tone::Quiet))
            (tile("Service p99 there", &figure(|step| micros(step.service.p99_us)), "what the cluster took", Tone::Quiet))
            (tile("Errors there", &figure(|step| percent(errors(step), step.offered)),
                &figure(|step| format!("of {}", count(step.offered))), Tone::Quiet))
            (tile("Requests in all", &count(offered), &format!("{} ok", percent(ok, offered)), Tone::Quiet))
        }
    }
}

/// One line of the table of rules.
struct Rule {
    law: &'static str,
    asked: String,
    seen: String,
    tone: Tone,
    word: &'static str,
}

fn rules(load: &LoadReport) -> Markup {
    html! {
        div.panel {
            h3 { "Rules" }
            p.remark { "The limits of a single step are named in the step table where it broke one." }
            div.scroll {
                table {
                    thead { tr { @for name in ["Rule", "Asked", "Seen", ""] { th scope="col" { (name) } } } }
                    tbody {
                        @for rule in [target_rule(load), lower_rule(load), schedule_rule(load), storage_rule(load)] {
                            tr {
                                th scope="row" { (rule.law) }
                                td { (rule.asked) }
                                td { (rule.seen) }
                                td { (badge(rule.tone, rule.word)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn target_rule(load: &LoadReport) -> Rule {
    let best = highest_carried(load);
    let held = best.is_some_and(|step| reaches(step, load));
    Rule {
        law: "A valid step at the target rate is carried",
        asked: format!("{}/s", rate(load.target_rps)),
        seen: best.map_or_else(|| "none carried".to_owned(), |step| format!("{}/s", rate(step.target_rps))),
        tone: if held { Tone::Good } else { Tone::Bad },
        word: if held { "held" } else { "missed" },
    }
}

fn lower_rule(load: &LoadReport) -> Rule {
    let below = |step: &&LoadStep| is_valid(step) && !reaches(step, load);
    let all = load.steps.iter().filter(below).count() as u64;
    let carried = load.steps.iter().filter(below).filter(|step| step.carried).count() as u64;
    let (tone, word) = match (all, carried == all) {
        (0, _) => (Tone::Quiet, "no such step"),
        (_, true) => (Tone::Good, "held"),
        (_, false) => (Tone::Warn, "note"),
    };
    Rule { law: "So are the valid steps below it", asked: count(all), seen: count(carried), tone, word }
}

fn schedule_rule(load: &LoadReport) -> Rule {
    let valid = load.steps.iter().filter(|step| is_valid(step)).count() as u64;
    let all = load.steps.len() as u64;
    let (tone, word) = match (all, valid == all) {
        (0, _) => (Tone::Quiet, "no step"),
        (_, true) => (Tone::Good, "held"),
        (_, false) => (Tone::Warn, "note"),
    };
    Rule {
        law: "The generator kept its schedule",
        asked: plural(all, "step"),
        seen: format!("{} valid", count(valid)),
        tone,
        word,
    }
}

fn storage_rule(load: &LoadReport) -> Rule {
    let (seen, tone, word) = match &load.consistency {
        None => ("not checked".to_owned(), Tone::Quiet, "not checked"),
        Some(found) if consistency_held(found) => (count(found.stored), Tone::Good, "held"),
        Some(found) => (count(found.stored), Tone::Bad, "violated"),
    };
    let asked = load.consistency.as_ref().map_or_else(
        || crate::format::NONE.to_owned(),
        |found| {
            let most = found.acknowledged.saturating_add(found.unknown);
            format!("{} to {}", count(found.acknowledged), count(most))
        },
    );
    Rule { law: "Every acknowledged write is stored", asked, seen, tone, word }
}
