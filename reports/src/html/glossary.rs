//! What the words on the page mean.

use maud::{Markup, html};

const WORDS: [(&str, &str); 16] = [
    (
        "seed",
        "A number that decides every delay, fault and choice of one simulated run. The same seed and the same commit give the same event hash.",
    ),
    ("held, violated", "Every judge was content; or a judge found a broken law."),
    ("harness fault", "The harness itself failed, so the run says nothing about the cluster."),
    ("armed, fired", "A fault was planned; a fault began on at least one machine."),
    (
        "state",
        "A place or condition that the code itself names (sometimes!, reachable!) and that a campaign must meet.",
    ),
    (
        "vacuous",
        "Everything held, but a fault never bit or a state was never reached: the campaign shows nothing about that.",
    ),
    (
        "bit",
        "The fault changed something that a node could observe: it held a segment, killed a running node, lost a write. A fault that never bites tests nothing.",
    ),
    (
        "ok, rejected, unknown",
        "Answered with success; refused without effect; no answer, so that the operation may or may not have taken effect.",
    ),
    (
        "offered",
        "Requests that were due. The schedule does not wait for the cluster, so a slow cluster does not lower the rate.",
    ),
    ("intended latency", "End of the answer minus the time at which the request was due: what a user waits."),
    (
        "service latency",
        "End of the answer minus the time of sending: what the cluster took. It hides the wait of requests that could not be sent in time.",
    ),
    (
        "queue",
        "Time of sending minus the time at which the request was due: what the generator owes. Intended is queue plus service.",
    ),
    ("pacer lag", "How late the thread that starts requests woke up."),
    (
        "VALID, INVALID",
        "The generator kept its schedule; or it did not, and the step's figures say nothing about the cluster.",
    ),
    ("carried, missed", "The cluster kept every limit at this rate; or it broke the one that is named."),
    ("p50, p99, p99.9", "The value that 50, 99 or 99.9 % of requests stayed at or below."),
];

pub(super) fn section() -> Markup {
    html! {
        section id="glossary" {
            h2 { "Glossary" }
            dl.glossary {
                @for (word, meaning) in WORDS { div { dt { (word) } dd { (meaning) } } }
            }
        }
    }
}
