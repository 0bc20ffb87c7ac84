//! The page: one file that holds everything, to be opened from a disk or from the artifacts of a build.
//!
//! Nothing is loaded from anywhere, and the page forbids it to itself. It reads completely without script;
//! the script adds only quicker hints and a button to copy a command. Light or dark, as the reader's
//! system asks.
//!
//! | module | panel |
//! |---|---|
//! | `header` | both verdicts, build, interruption |
//! | `simulation`, `seeds`, `faults`, `violations` | the campaign |
//! | `timeline` | what happened when, for single seeds |
//! | `load`, `over_time`, `percentiles`, `knee`, `steps`, `consistency` | the load run |
//! | `glossary` | what the words mean |
//! | `chart`, `parts` | what the panels are drawn with |

mod consistency;
mod faults;
mod glossary;
mod header;
mod knee;
mod load;
mod over_time;
mod percentiles;
mod seeds;
mod simulation;
mod steps;
mod timeline;
mod violations;

mod chart;
mod parts;

use maud::{DOCTYPE, PreEscaped, html};

use crate::model::Report;
use crate::verdict::Verdict;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Forbids the page to load anything.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The page as one HTML file.
pub fn page(report: &Report) -> String {
    let verdict = Verdict::of(report);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "Seedstorm: " (verdict.overall().label().to_lowercase()) }
                // Both are part of this crate and free of `</style>` and `</script>`.
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header::panel(report, &verdict))
                main {
                    @if let Some(simulation) = &report.simulation {
                        (simulation::section(simulation, &verdict.simulation))
                        (timeline::section(simulation))
                    }
                    @if let Some(load) = &report.load {
                        (load::section(load, &verdict.load, report))
                    }
                    (glossary::section())
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

#[cfg(test)]
mod tests;
