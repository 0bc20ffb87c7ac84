//! What shows that there is no order: the few operations of the shortest failing prefix that cannot be put
//! in one, whatever the others did.
//!
//! An operation is left out if the failure stays without it. Leaving out must not accuse a legal history:
//! what only observes may be taken away, but what changes the state is only made optional (its answer is
//! forgotten, so that it may take effect at any time or never).

use super::search::{Budget, Item, Ruling, search};
use super::{Limits, Specification};
use crate::violation::time;
use std::collections::BTreeSet;

/// Operations shown at most; almost always there are two or three.
const MAX_SHOWN: usize = 8;

/// What one attempt to leave something out may cost, and all attempts together. Dearer ones keep it in.
const ATTEMPT: Limits = Limits { max_configurations: 20_000, max_steps: 400_000 };
const ALL_STEPS: u64 = 4_000_000;

/// Says which operations cannot be ordered. No order reaches the answer of `items[stuck]`; before it,
/// these were the possible states.
pub(super) fn describe<S: Specification>(
    specification: &S,
    object: &str,
    items: &[Item<'_, S>],
    stuck: usize,
    states: &BTreeSet<S::State>,
) -> String {
    let prefix = prefix(items, items[stuck].end_ns);
    let core = core(specification, &prefix);
    let mut shown: Vec<&Item<'_, S>> = core.iter().map(|place| &prefix[*place]).collect();
    shown.sort_by_key(|item| (item.begin_ns, item.id));
    let mut evidence = if object.is_empty() { String::new() } else { format!("{object:?}: ") };
    if shown.len() > MAX_SHOWN {
        evidence += &format!("no order explains {}", words(specification, &items[stuck]));
        evidence += &format!(" after the {} operations up to then", prefix.len() - 1);
    } else {
        let shown: Vec<String> = shown.iter().map(|item| words(specification, item)).collect();
        evidence += &format!("no order explains {}", shown.join(", "));
        let others = prefix.len() - shown.len();
        if others > 0 {
            evidence += &format!(", whatever became of {others} more up to then");
        }
    }
    let possible: Vec<String> =
        states.iter().take(MAX_SHOWN).map(|state| specification.state_in_words(state)).collect();
    let more = if states.len() > MAX_SHOWN {
        format!(" or {} more", states.len() - MAX_SHOWN)
    } else {
        String::new()
    };
    evidence
        + &format!("; all it could hold before the last of these answers is {}{more}", possible.join(" or "))
}

/// What had happened when that answer came. What was answered later was not answered yet.
fn prefix<'a, S: Specification>(items: &[Item<'a, S>], answered_ns: u64) -> Vec<Item<'a, S>> {
    let mut prefix = Vec::new();
    for item in items.iter().filter(|item| item.begin_ns <= answered_ns) {
        let answered = item.answer.is_some() && item.end_ns <= answered_ns;
        if answered {
            prefix.push(item.clone());
        } else {
            prefix.extend(without_answer(item));
        }
    }
    prefix
}

/// The item as if it had not been answered; `None` if it then tells nothing.
fn without_answer<'a, S: Specification>(item: &Item<'a, S>) -> Option<Item<'a, S>> {
    let mut weaker = item.clone();
    (weaker.answer, weaker.end_ns) = (None, u64::MAX);
    (!item.observes).then_some(weaker)
}

/// Places of the answered items that are needed for the failure: each part is tried in turn, first large
/// ones.
fn core<S: Specification>(specification: &S, prefix: &[Item<'_, S>]) -> Vec<usize> {
    let mut core: Vec<usize> = (0..prefix.len()).filter(|place| prefix[*place].answer.is_some()).collect();
    let mut spent = 0;
    let mut length = core.len().div_ceil(2);
    while length > 0 {
        let mut from = 0;
        while from < core.len() && spent < ALL_STEPS {
            let to = (from + length).min(core.len());
            let rest = [&core[..from], &core[to..]].concat();
            let weaker: Vec<_> = prefix
                .iter()
                .enumerate()
                .filter_map(|(place, item)| {
                    if rest.binary_search(&place).is_ok() { Some(item.clone()) } else { without_answer(item) }
                })
                .collect();
            let mut budget = Budget::new(ATTEMPT);
            let fails = matches!(search(specification, &weaker, &mut budget), Ruling::Stuck { .. });
            spent += budget.steps();
            if fails {
                core = rest;
            } else {
                from = to;
            }
        }
        length /= 2;
    }
    core
}

fn words<S: Specification>(specification: &S, item: &Item<'_, S>) -> String {
    let Item { client, id, begin_ns, end_ns, call, answer, .. } = item;
    let what = specification.call_in_words(call, *answer);
    format!("operation {id} of client {client} ({what}, {} to {})", time(*begin_ns), time(*end_ns))
}
