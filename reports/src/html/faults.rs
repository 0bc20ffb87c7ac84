//! The faults of the whole campaign: how often each kind was injected, and how often it mattered.

use maud::{Markup, html};

use super::parts::{Tone, sign};
use crate::format::{capital, count, list, percent};
use crate::totals::{Campaign, FaultTotal, StateTotal};

pub(super) fn panel(campaign: &Campaign) -> Markup {
    let toothless = campaign.toothless();
    let missing = &campaign.missing;
    html! {
        div.panel {
            h3 { "Faults over all seeds" }
            p.remark { "Armed: planned. Fired: begun. Bit: a node could observe it." }
            @if !missing.is_empty() {
                p.notice.warn {
                    (sign(Tone::Warn)) span {
                        (capital(&missing.text(20)))
                        (if !missing.is_fine() { ": the campaign is vacuous there." } else { " (too few seeds to be judged on it)." })
                    }
                }
            }
            @if missing.is_empty() && !toothless.is_empty() {
                p.notice.warn {
                    (sign(Tone::Warn)) span {
                        strong { (list(&toothless, 12)) } " fired but never bit: this campaign shows nothing about "
                        (if toothless.len() == 1 { "this kind" } else { "these kinds" }) "."
                    }
                }
            }
            @if campaign.faults.is_empty() {
                p { "No fault was injected: this campaign shows only how the cluster behaves in fair weather." }
            } @else {
                (table(&campaign.faults))
            }
        }
        @if !campaign.states.is_empty() { (states(&campaign.states)) }
    }
}

/// The states that the code names, and in how many seeds each was reached.
fn states(states: &[StateTotal]) -> Markup {
    html! {
        div.panel {
            h3 { "States that the code names" }
            p.remark { "A campaign must meet each of them at least once." }
            div.scroll {
                table {
                    thead {
                        tr {
                            th scope="col" { "State" }
                            th.number scope="col" { "Seeds" }
                            th.number scope="col" { "Times" }
                        }
                    }
                    tbody {
                        @for state in states {
                            tr.warn[state.reached == 0] {
                                th scope="row" { (state.name) }
                                td.number { (count(state.seeds)) }
                                td.number { (count(state.reached)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn table(faults: &[FaultTotal]) -> Markup {
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th scope="col" { "Kind" }
                        th.number scope="col" { "Seeds" }
                        th.number scope="col" { "Armed" }
                        th.number scope="col" { "Fired" }
                        th.number scope="col" { "Bit" }
                        th scope="col" { "Share that bit" }
                    }
                }
                tbody { @for fault in faults { (row(fault)) } }
            }
        }
    }
}

fn row(fault: &FaultTotal) -> Markup {
    let share = if fault.fired == 0 { 0.0 } else { (fault.bit as f64 / fault.fired as f64).clamp(0.0, 1.0) };
    html! {
        tr.warn[fault.toothless()] {
            th scope="row" { code { (fault.kind) } }
            td.number { (count(fault.seeds)) }
            td.number { (count(fault.armed)) }
            td.number { (count(fault.fired)) }
            td.number { (count(fault.bit)) }
            td {
                div.share {
                    span.bar aria-hidden="true" { span style={ "width:" (format!("{:.0}", share * 100.0)) "%" } {} }
                    span { (if fault.fired == 0 { "never fired".to_owned() } else { percent(fault.bit, fault.fired) }) }
                }
            }
        }
    }
}
