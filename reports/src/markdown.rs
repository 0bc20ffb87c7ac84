//! `summary.md`: the short form for the step summary of a continuous integration run.
//!
//! Verdict, seeds, faults, violations with their replay command, load steps. Leaves out everything over
//! time; that is on the page. Text from the run is put where Markdown and HTML cannot act on it.

use crate::format::{count, duration, instant, list, micros, percent, plural, rate};
use crate::model::{LoadReport, LoadStep, Report, SeedResult, SimulationReport, Validity};
use crate::totals::{Campaign, error_classes, failing, goodput};
use crate::verdict::{Half, Verdict, consistency_held};

/// Failing seeds that are spelled out.
const MOST_SEEDS: usize = 20;

/// The summary, in GitHub's Markdown.
pub fn summary(report: &Report) -> String {
    let verdict = Verdict::of(report);
    let mut out = format!("# Seedstorm: {}\n\n", verdict.overall().label());
    if report.interrupted {
        out += "**The run was interrupted.** Both halves are judged on what ran.\n\n";
    }
    out += "| half | verdict | why |\n|---|---|---|\n";
    out += &half_row("simulation", &verdict.simulation);
    out += &half_row("load", &verdict.load);
    out += &format!("\n{}, exit code {}.\n", build_line(report), verdict.exit_code());
    if let Some(simulation) = &report.simulation {
        out += &simulation_section(simulation);
    }
    if let Some(load) = &report.load {
        out += &load_section(load);
    }
    out
}

fn half_row(name: &str, half: &Half) -> String {
    format!("| {name} | **{}** | {} |\n", half.verdict.label(), cell(&half.sentence))
}

fn build_line(report: &Report) -> String {
    let build = &report.build;
    let dirty = if build.dirty { " with changes" } else { "" };
    let took = duration(report.elapsed_seconds);
    let started = cell(&report.started_at);
    format!(
        "Commit {}{dirty}, {} build, {} on {}, started {started}, took {took}",
        cell(&build.commit),
        cell(&build.profile),
        plural(build.cpus as u64, "processor"),
        cell(&build.platform),
    )
}

fn simulation_section(simulation: &SimulationReport) -> String {
    let campaign = Campaign::of(simulation);
    let operations = &campaign.operations;
    let mut out = format!("\n## Simulation: {}\n\n", cell(&simulation.scenario));
    out += "| seeds asked | held | violated | harness faults | simulated | simulated s per wall s |\n";
    out += "|---:|---:|---:|---:|---:|---:|\n";
    out += &format!(
        "| {} | {} | {} | {} | {} | {} |\n\n",
        count(simulation.seeds_requested),
        count(campaign.held_count()),
        count(campaign.violated.len() as u64),
        count(campaign.harness_faults.len() as u64),
        duration(campaign.simulated_seconds),
        rate(campaign.speed(simulation)),
    );
    out += &format!(
        "Operations: {} ok, {} rejected, {} unknown. Elections: {}.\n",
        count(operations.ok),
        count(operations.rejected),
        count(operations.unknown),
        count(campaign.elections),
    );
    out += &fault_table(&campaign);
    let seeds = failing(simulation);
    if !seeds.is_empty() {
        out += "\n### Seeds that did not hold\n";
    }
    for seed in seeds.iter().take(MOST_SEEDS) {
        out += &failing_seed(seed);
    }
    let rest: Vec<u64> = seeds.iter().skip(MOST_SEEDS).map(|seed| seed.seed).collect();
    if !rest.is_empty() {
        out += &format!("\nNot spelled out: seeds {}.\n", list(&rest, 100));
    }
    out
}

fn fault_table(campaign: &Campaign) -> String {
    if campaign.faults.is_empty() {
        return "\nNo fault was injected.\n".to_owned();
    }
    let mut out = "\n| fault | armed | fired | bit | share |\n|---|---:|---:|---:|---:|\n".to_owned();
    for fault in &campaign.faults {
        let share = percent(fault.bit, fault.fired);
        out += &format!(
            "| {} | {} | {} | {} | {share} |\n",
            cell(&fault.kind),
            count(fault.armed),
            count(fault.fired),
            count(fault.bit)
        );
    }
    let missing = &campaign.missing;
    if !missing.is_empty() {
        let weight = if !missing.is_fine() { "" } else { " (too few seeds to be judged on it)" };
        out += &format!("\n**{}**{weight}\n", cell(&crate::format::capital(&missing.text(20))));
    }
    let toothless = campaign.toothless();
    if !toothless.is_empty() {
        let kinds = cell(&list(&toothless, 20));
        out +=
            &format!("\n**Fired but never bit: {kinds}.** This campaign shows nothing about these kinds.\n");
    }
    out
}

fn failing_seed(seed: &SeedResult) -> String {
    let mut text = Vec::new();
    for violation in &seed.violations {
        let at = violation.at_seconds.map(|at| format!(" at {}", instant(at))).unwrap_or_default();
        text.push(format!("{}{at}: {}", violation.judge, violation.evidence));
    }
    text.extend(seed.harness_fault.iter().map(|reason| format!("harness fault: {reason}")));
    text.extend(seed.artifacts.iter().map(|path| format!("saved: {path}")));
    format!(
        "\n**Seed {}**\n\n{}\n{}",
        seed.seed,
        fenced("text", &text.join("\n")),
        fenced("sh", &seed.replay)
    )
}

fn load_section(load: &LoadReport) -> String {
    let mut out = format!("\n## Load: {}\n\n", cell(&load.target));
    out +=
        "| target/s | sent on time | ok/s | errors | intended p50 | p99 | p99.9 | service p99 | result |\n";
    out += "|---:|---:|---:|---|---:|---:|---:|---:|---|\n";
    for step in &load.steps {
        out += &step_row(step);
    }
    if let Some(found) = &load.consistency {
        let word = if consistency_held(found) { "held" } else { "**violated**" };
        out += &format!(
            "\nConsistency {word}: {} acknowledged, {} stored, {} unknown.\n",
            count(found.acknowledged),
            count(found.stored),
            count(found.unknown)
        );
    }
    out
}

fn step_row(step: &LoadStep) -> String {
    let result = match &step.validity {
        Validity::Invalid(reason) => format!("INVALID: {reason}"),
        Validity::Valid if step.carried => "carried".to_owned(),
        Validity::Valid => format!("missed: {}", step.missed.as_deref().unwrap_or("no reason given")),
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        rate(step.target_rps),
        percent(step.sent_on_time, step.offered),
        rate(goodput(step)),
        cell(&error_classes(step)),
        micros(step.intended.p50_us),
        micros(step.intended.p99_us),
        micros(step.intended.p999_us),
        micros(step.service.p99_us),
        cell(&result),
    )
}

/// `text` as plain text in one line of running text or of a table.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' => out.push(' '),
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '~' => {
                out.push('\\');
                out.push(letter);
            }
            _ => out.push(letter),
        }
    }
    out
}

/// `text` in a code block whose fence is longer than any row of backticks in it.
fn fenced(language: &str, text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_matters() {
        let text = summary(&crate::sample::report());
        assert!(text.starts_with("# Seedstorm: VIOLATED\n"));
        assert!(text.contains("cargo storm replay --scenario cluster --seed 18"));
        assert!(text.contains("Fired but never bit: clock\\_jump"));
        assert!(text.contains("INVALID: 97.30 %"));
        assert!(text.contains("exit code 1"));
    }

    #[test]
    fn text_of_the_run_cannot_act() {
        assert_eq!(cell("a|b\n<i>`x`"), "a\\|b &lt;i&gt;\\`x\\`");
        assert_eq!(fenced("text", "a ``` b"), "````text\na ``` b\n````\n");
    }

    #[test]
    fn an_empty_report_is_said_to_be_empty() {
        let text = summary(&Report::default());
        assert!(text.starts_with("# Seedstorm: NO VERDICT\n"));
        assert!(text.contains("| load | **NO VERDICT** | Not asked for. |"));
    }

    #[test]
    fn many_failing_seeds_are_cut_and_named() {
        let mut report = crate::sample::report();
        let simulation = report.simulation.as_mut().unwrap();
        for seed in &mut simulation.seeds {
            seed.verdict = crate::model::SeedVerdict::Violated;
        }
        let text = summary(&report);
        assert_eq!(text.matches("**Seed ").count(), MOST_SEEDS);
        assert!(text.contains("Not spelled out: seeds 21, 22,"));
    }
}
