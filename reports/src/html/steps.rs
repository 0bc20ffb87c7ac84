//! The step table: every figure of every step, and why a step is invalid or was missed.

use maud::{Markup, html};

use super::parts::{Tone, badge};
use crate::format::{NONE, count, cpus, duration, micros, percent, rate};
use crate::model::{LoadReport, LoadStep, Validity};
use crate::totals::{error_classes, errors, goodput, is_valid};

/// Columns of the table.
const COLUMNS: usize = 18;

pub(super) fn panel(load: &LoadReport) -> Markup {
    html! {
        div.panel id="steps" {
            h3 { "Steps" }
            p.remark { "Each step holds one constant rate" (held_for(load)) ". On time: sent within 10 ms of the due time." }
            @if load.steps.is_empty() {
                p { "No step was measured." }
            } @else {
                div.scroll {
                    table.steps {
                        (head())
                        tbody { @for step in &load.steps { (row(step)) } }
                    }
                }
            }
        }
    }
}

/// ` for 30 s`, if all steps are equally long.
fn held_for(load: &LoadReport) -> String {
    let mut lengths = load.steps.iter().map(|step| step.duration_seconds);
    match lengths.next() {
        Some(first) if lengths.all(|length| length == first) => format!(" for {}", duration(first)),
        _ => String::new(),
    }
}

fn head() -> Markup {
    let groups = [
        ("Rate", 2),
        ("Sent", 1),
        ("Answers", 3),
        ("Intended", 3),
        ("Service", 3),
        ("Generator", 2),
        ("CPUs", 2),
    ];
    let names = [
        "target/s",
        "offered",
        "on time",
        "ok",
        "ok/s",
        "errors",
        "p50",
        "p99",
        "p99.9",
        "p50",
        "p99",
        "p99.9",
        "queue p99",
        "lag p99",
        "client",
        "cluster",
    ];
    html! {
        thead {
            tr.groups {
                @for (group, width) in groups { th scope="colgroup" colspan=(width) { (group) } }
                th scope="colgroup" colspan="2" { "Judgement" }
            }
            tr {
                @for name in names { th.number scope="col" { (name) } }
                th scope="col" { "generator" }
                th scope="col" { "cluster" }
            }
        }
    }
}

fn row(step: &LoadStep) -> Markup {
    let remarks = remarks(step);
    html! {
        tr.has-remark[!remarks.is_empty()] {
            th.number scope="row" { (rate(step.target_rps)) }
            @for value in figures(step) { td.number { (value) } }
            td { (generator(step)) }
            td { (cluster(step)) }
        }
        @if !remarks.is_empty() {
            tr.remark {
                td colspan=(COLUMNS) {
                    // Held to the width of the window, however wide the table is.
                    div.remarks { @for remark in remarks { div { (remark) } } }
                }
            }
        }
    }
}

fn figures(step: &LoadStep) -> [String; 15] {
    [
        count(step.offered),
        percent(step.sent_on_time, step.offered),
        count(step.ok),
        rate(goodput(step)),
        count(errors(step)),
        micros(step.intended.p50_us),
        micros(step.intended.p99_us),
        micros(step.intended.p999_us),
        micros(step.service.p50_us),
        micros(step.service.p99_us),
        micros(step.service.p999_us),
        micros(step.queue.p99_us),
        micros(step.pacer_lag.p99_us),
        cpus(step.client_cpus),
        step.cluster_cpus.map_or_else(|| NONE.to_owned(), cpus),
    ]
}

fn generator(step: &LoadStep) -> Markup {
    if is_valid(step) { badge(Tone::Good, "VALID") } else { badge(Tone::Warn, "INVALID") }
}

fn cluster(step: &LoadStep) -> Markup {
    match (is_valid(step), step.carried) {
        (false, _) => badge(Tone::Quiet, "no verdict"),
        (true, true) => badge(Tone::Good, "carried"),
        (true, false) => badge(Tone::Bad, "missed"),
    }
}

/// Reasons and error classes, below the figures.
fn remarks(step: &LoadStep) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Validity::Invalid(reason) = &step.validity {
        remarks.push(format!("INVALID: {reason}"));
    }
    if let (true, false) = (is_valid(step), step.carried) {
        remarks.push(format!("Missed: {}", step.missed.as_deref().unwrap_or("no reason given")));
    }
    if errors(step) > 0 {
        remarks.push(format!("Errors: {}", error_classes(step)));
    }
    remarks
}
