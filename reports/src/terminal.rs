//! One screen at the end of a run: both verdicts, the key figures, what failed and how to replay it, the
//! load steps, and what to type next.
//!
//! At most 100 columns and about 40 lines; long lists are cut and say so. Commands and paths are never
//! cut or wrapped, because they are there to be copied. Leaves out everything over time, and reading the
//! terminal's size or abilities: the caller says whether to colour.

use crate::format::{clip, count, duration, instant, list, plural, rate};
use crate::model::{Report, SeedResult, SeedVerdict, SimulationReport};
use crate::totals::{Campaign, failing};
use crate::verdict::{Half, HalfVerdict, Verdict};

mod paint;
mod steps;

use paint::{Colour, Paint, plain};

const WIDTH: usize = 100;
/// Failing seeds that are spelled out.
const MOST_SEEDS: usize = 3;
/// Lines of evidence for one of them.
const MOST_EVIDENCE: usize = 3;

/// What the screen needs to know besides the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Colour with ANSI escapes.
    pub colour: bool,
    /// Where the page was written.
    pub page: Option<String>,
    /// Command to type next. Without it: the replay of the first seed that failed, if any.
    pub next: Option<String>,
}

/// The screen, with a line break at its end.
pub fn screen(report: &Report, options: &Options) -> String {
    let verdict = Verdict::of(report);
    let paint = Paint { on: options.colour };
    let mut lines = heading(report, &verdict, paint);
    if let Some(simulation) = &report.simulation {
        lines.extend(simulation_lines(simulation, paint));
    }
    if let Some(load) = &report.load {
        lines.extend(steps::lines(load, paint));
    }
    lines.push(String::new());
    lines.push(last_line(report, &verdict, options, paint));
    lines.join("\n") + "\n"
}

fn heading(report: &Report, verdict: &Verdict, paint: Paint) -> Vec<String> {
    let build = &report.build;
    let features = if build.features.is_empty() {
        String::new()
    } else {
        format!(", features {}", build.features.join(" "))
    };
    let dirty = if build.dirty { " (dirty)" } else { "" };
    let line = format!(
        "commit {}{dirty}, {} build{features}, {}, {}, took {}",
        build.commit,
        build.profile,
        plural(build.cpus as u64, "cpu"),
        build.platform,
        duration(report.elapsed_seconds),
    );
    let mut lines = vec![format!("{}  {}", paint.bold("Seedstorm"), paint.dim(&clip(&line, WIDTH - 11)))];
    if report.interrupted {
        let text = "INTERRUPTED: both halves are judged on what ran.";
        lines.push(paint.colour(Colour::Yellow, text));
    }
    lines.push(String::new());
    lines.extend(verdict_lines("simulation", &verdict.simulation, paint));
    lines.extend(verdict_lines("load", &verdict.load, paint));
    lines
}

fn verdict_lines(name: &str, half: &Half, paint: Paint) -> Vec<String> {
    let label = format!("{:<13}", half.verdict.label());
    let colour = colour_of(half.verdict);
    let mut lines = Vec::new();
    for (index, text) in wrap(&half.sentence, WIDTH - 27, 3).into_iter().enumerate() {
        lines.push(match index {
            0 => format!("{name:<12}{}  {text}", paint.colour(colour, &label)),
            _ => format!("{:27}{text}", ""),
        });
    }
    lines
}

fn colour_of(verdict: HalfVerdict) -> Colour {
    match verdict {
        HalfVerdict::Held => Colour::Green,
        HalfVerdict::Violated | HalfVerdict::LoadMissed => Colour::Red,
        HalfVerdict::HarnessFault | HalfVerdict::Vacuous | HalfVerdict::LoadInvalid => Colour::Yellow,
        HalfVerdict::NotRun => Colour::Grey,
    }
}

fn simulation_lines(simulation: &SimulationReport, paint: Paint) -> Vec<String> {
    let campaign = Campaign::of(simulation);
    let operations = &campaign.operations;
    let mut lines = vec![String::new()];
    let title = format!(
        "{}, from seed {}, {}, {}",
        simulation.scenario,
        simulation.first_seed,
        plural(simulation.jobs as u64, "worker"),
        duration(simulation.elapsed_seconds)
    );
    lines.push(format!("{}  {}", paint.bold("Simulation"), clip(&plain(&title), WIDTH - 12)));
    lines.push(format!(
        "  {} simulated, {} simulated s per wall s, {}",
        duration(campaign.simulated_seconds),
        rate(campaign.speed(simulation)),
        plural(campaign.elections, "election"),
    ));
    lines.push(format!(
        "  operations: {} ok, {} rejected, {} unknown",
        count(operations.ok),
        count(operations.rejected),
        count(operations.unknown)
    ));
    lines.push(fault_line(&campaign));
    lines.extend(memory_line(simulation));
    lines.extend(state_line(&campaign));
    let toothless = campaign.toothless();
    let missing = &campaign.missing;
    if !missing.is_empty() && missing.is_fine() {
        let text = format!("too few seeds to be judged on it, yet {}", missing.text(4));
        lines.push(format!("  {}", paint.dim(&clip(&text, WIDTH - 2))));
    } else if missing.is_empty() && !toothless.is_empty() {
        let text = format!("fired but never bit, so nothing is shown about: {}", list(&toothless, 6));
        lines.push(format!("  {}", paint.colour(Colour::Yellow, &clip(&text, WIDTH - 2))));
    }
    let seeds = failing(simulation);
    for seed in seeds.iter().take(MOST_SEEDS) {
        lines.extend(failing_seed(seed, paint));
    }
    let rest: Vec<u64> = seeds.iter().skip(MOST_SEEDS).map(|seed| seed.seed).collect();
    if !rest.is_empty() {
        lines.push(clip(&format!("  did not hold either: seeds {}", list(&rest, 8)), WIDTH));
    }
    lines
}

/// Memory of the processes of a campaign, at most and at the end.
fn memory_line(simulation: &SimulationReport) -> Option<String> {
    let memory = simulation.memory.filter(|memory| memory.worker_peak_bytes > 0)?;
    let mib = |bytes: u64| count(bytes >> 20);
    let deaths = match memory.worker_deaths {
        0 => String::new(),
        deaths => format!("; {} died", plural(deaths, "worker")),
    };
    Some(format!(
        "  memory: a worker {} MiB at most, {} at the end; this process {}, {}{deaths}",
        mib(memory.worker_peak_bytes),
        mib(memory.worker_last_bytes),
        mib(memory.own_peak_bytes),
        mib(memory.own_last_bytes),
    ))
}

/// How many of the states that the code names were reached.
fn state_line(campaign: &Campaign) -> Option<String> {
    let all = campaign.states.len() as u64;
    let reached = campaign.states.iter().filter(|state| state.reached > 0).count() as u64;
    (all > 0).then(|| format!("  states: {} of {} reached", count(reached), count(all)))
}

fn fault_line(campaign: &Campaign) -> String {
    let kinds = campaign.faults.iter().filter(|fault| fault.fired > 0).count() as u64;
    let armed: u64 = campaign.faults.iter().map(|fault| fault.armed).sum();
    let fired: u64 = campaign.faults.iter().map(|fault| fault.fired).sum();
    let bit: u64 = campaign.faults.iter().map(|fault| fault.bit).sum();
    let kinds = plural(kinds, "kind");
    format!("  faults: {} armed, {} fired of {kinds}, {} bit", count(armed), count(fired), count(bit))
}

fn failing_seed(seed: &SeedResult, paint: Paint) -> Vec<String> {
    let (colour, what, evidence) = match seed.violations.first() {
        Some(first) if seed.verdict == SeedVerdict::Violated => {
            let at = first.at_seconds.map(|at| format!(" at {}", instant(at))).unwrap_or_default();
            let more = match seed.violations.len() {
                1 => String::new(),
                number => format!(" (and {} more)", number - 1),
            };
            (Colour::Red, format!("violated: {}{at}{more}", first.judge), first.evidence.as_str())
        }
        _ => {
            let (colour, word) = match seed.verdict {
                SeedVerdict::HarnessFault => (Colour::Yellow, "harness fault"),
                _ => (Colour::Red, "violated"),
            };
            (colour, word.to_owned(), seed.harness_fault.as_deref().unwrap_or("no reason given"))
        }
    };
    let title = clip(&format!("seed {} {what}", seed.seed), WIDTH - 2);
    let mut lines = vec![format!("  {}", paint.colour(colour, &title))];
    let text = wrap(evidence, WIDTH - 4, MOST_EVIDENCE);
    lines.extend(text.into_iter().map(|line| format!("    {line}")));
    lines.push(format!("    {}", paint.bold(&seed.replay)));
    lines
}

fn last_line(report: &Report, verdict: &Verdict, options: &Options, paint: Paint) -> String {
    let mut parts = vec![format!("exit code {}", verdict.exit_code())];
    parts.extend(options.page.as_ref().map(|page| format!("page: {}", plain(page))));
    let replay = report
        .simulation
        .as_ref()
        .and_then(|simulation| failing(simulation).first().map(|seed| &seed.replay));
    if let Some(command) = options.next.as_ref().or(replay) {
        parts.push(format!("next: {}", paint.bold(command)));
    }
    let text = parts.join("   ");
    // A page and a command on one line if they fit; a command is never broken.
    if paint::visible_width(&text) <= WIDTH { text } else { parts.join("\n") }
}

/// `text` in at most `most` lines of `width` columns, broken at spaces; the last one shows a cut.
fn wrap(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let taken = lines.last().map_or(0, |line| line.chars().count());
        let fits = taken == 0 || taken + 1 + word.chars().count() <= width;
        if !fits {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            *line += &plain(word);
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last += " …";
        }
    }
    lines.into_iter().map(|line| clip(&line, width)).collect()
}

#[cfg(test)]
mod tests;
