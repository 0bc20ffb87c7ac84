//! The top of the page: what was asked, both answers, and where they come from.

use maud::{Markup, html};

use super::parts::{Tone, sign};
use crate::format::{duration, plural};
use crate::model::{BuildInfo, Report};
use crate::verdict::{Half, HalfVerdict, Verdict};

pub(super) fn panel(report: &Report, verdict: &Verdict) -> Markup {
    html! {
        header {
            div.title {
                h1 { "Seedstorm" }
                p { "Does the cluster stay correct when everything goes wrong, and how much load does it carry?" }
            }
            @if report.interrupted {
                p.banner role="status" {
                    (sign(Tone::Warn)) strong { "INTERRUPTED" }
                    " The run was stopped before its end. Both halves are judged on what ran."
                }
            }
            div.verdicts {
                (half("Does it stay correct?", "simulation", &verdict.simulation))
                (half("How much load does it carry?", "load", &verdict.load))
            }
            (facts(report, verdict))
            @for remark in remarks(&report.build, report.load.is_some()) { p.remark { (remark) } }
            nav aria-label="Parts of the page" {
                @if report.simulation.is_some() {
                    a href="#simulation" { "Simulation" }
                    a href="#violations" { "Violations" }
                    a href="#timeline" { "Timeline" }
                }
                @if report.load.is_some() {
                    a href="#load" { "Load" }
                    a href="#steps" { "Steps" }
                }
                a href="#glossary" { "Glossary" }
            }
        }
    }
}

fn half(question: &str, name: &str, half: &Half) -> Markup {
    let tone = Tone::of(half.verdict);
    html! {
        section class={ "verdict " (tone.class()) } aria-label={ "Verdict of the " (name) " half" } {
            div.question { (question) }
            div.word { (sign(tone)) span { (half.verdict.label()) } }
            p { (half.sentence) }
        }
    }
}

fn facts(report: &Report, verdict: &Verdict) -> Markup {
    let build = &report.build;
    let commit = if build.dirty { format!("{} with changes", build.commit) } else { build.commit.clone() };
    let features = if build.features.is_empty() { "none".to_owned() } else { build.features.join(", ") };
    let facts = [
        ("Commit", commit),
        ("Build", build.profile.clone()),
        ("Features", features),
        ("Machine", machine(build)),
        ("Started", report.started_at.clone()),
        ("Took", duration(report.elapsed_seconds)),
        ("Exit code", verdict.exit_code().to_string()),
    ];
    html! {
        dl.facts {
            @for (name, value) in facts.into_iter().filter(|fact| !fact.1.is_empty()) { div { dt { (name) } dd { (value) } } }
        }
    }
}

fn machine(build: &BuildInfo) -> String {
    let cpus = plural(build.cpus as u64, "processor");
    if build.platform.is_empty() { cpus } else { format!("{}, {cpus}", build.platform) }
}

/// What a reader should know before trusting the figures.
fn remarks(build: &BuildInfo, load: bool) -> Vec<&'static str> {
    let mut remarks = Vec::new();
    if load && build.profile == "debug" {
        remarks.push("Load figures of a debug build say little about a release build.");
    }
    if build.dirty {
        remarks.push("The work tree had changes that are in no commit: this run may not be repeatable.");
    }
    remarks
}

/// A verdict in the head line of a section.
pub(super) fn section_title(title: &str, verdict: HalfVerdict) -> Markup {
    html! { h2 { (title) " " (super::parts::badge(Tone::of(verdict), verdict.label())) } }
}
