//! After the load: acknowledged writes against stored ones.

use maud::{Markup, html};

use super::parts::{Tone, badge};
use crate::format::count;
use crate::model::{LoadConsistency, LoadReport};
use crate::verdict::consistency_held;

pub(super) fn panel(load: &LoadReport) -> Markup {
    html! {
        div.panel {
            h3 { "Consistency after the load" }
            p.remark { "Acknowledged ≤ stored ≤ acknowledged + unknown. A write without an answer may be stored or not." }
            @match &load.consistency {
                Some(found) => (figures(found)),
                None => p { "This run could not check it." },
            }
        }
    }
}

fn figures(found: &LoadConsistency) -> Markup {
    let most = found.acknowledged.saturating_add(found.unknown);
    let held = consistency_held(found);
    let (tone, word) = if held { (Tone::Good, "HELD") } else { (Tone::Bad, "VIOLATED") };
    html! {
        div.chain {
            (link("acknowledged", found.acknowledged))
            (relation(found.acknowledged <= found.stored))
            (link("stored", found.stored))
            (relation(found.stored <= most))
            (link("acknowledged + unknown", most))
        }
        p {
            (badge(tone, word)) " "
            (count(found.unknown)) " writes got no answer"
            @if held { "; " (count(found.stored - found.acknowledged)) " of them are stored" }
            @if found.stored < found.acknowledged {
                "; " (count(found.acknowledged - found.stored)) " acknowledged writes are lost"
            }
            @if found.stored > most { "; " (count(found.stored - most)) " stored writes were never attempted" }
            "."
        }
    }
}

fn link(name: &str, value: u64) -> Markup {
    html! { div.link { span.value { (count(value)) } span.name { (name) } } }
}

fn relation(held: bool) -> Markup {
    html! { span class={ "relation " (if held { "good" } else { "bad" }) } { (if held { "≤" } else { "≰" }) } }
}
