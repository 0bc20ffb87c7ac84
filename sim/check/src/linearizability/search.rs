//! The search for an order, in *levels*: one for each answer, in the order of the answers.
//!
//! Level i is passed when the operation that answer i belongs to has taken effect. Only operations called
//! before that answer can have come before it. An operation takes effect as late as it can: when its own
//! level is reached, or when another one needs it first. Four things keep the number of configurations small:
//!
//! - no configuration is entered twice;
//! - what only observes takes effect as soon as its answer fits, which can never be wrong;
//! - of two configurations that differ only in unanswered operations, the one that used fewer of them can do
//!   all that the other can, so that the other is dropped;
//! - depth first, in the order of the answers: if there is an order, most often it is near that one.
//!
//! If there is none, the deepest level reached ends the shortest prefix of the history that fails.

use super::{Limits, Specification};
use std::collections::{BTreeMap, BTreeSet};

/// Answered operations under way at one moment, at most: they are kept as bits.
const MAX_PENDING: u32 = u128::BITS;

/// An operation that may have taken effect.
pub(super) struct Item<'a, S: Specification> {
    pub(super) client: u32,
    pub(super) id: u64,
    pub(super) begin_ns: u64,
    /// `u64::MAX` without an answer.
    pub(super) end_ns: u64,
    pub(super) call: &'a S::Call,
    pub(super) answer: Option<&'a S::Answer>,
    /// It changes no state.
    pub(super) observes: bool,
}

impl<S: Specification> Clone for Item<'_, S> {
    fn clone(&self) -> Self {
        Item { ..*self }
    }
}

/// What a search found.
pub(super) enum Ruling<T> {
    /// There is an order.
    Ordered,
    /// There is none: no order of all that came before explains the answer of `item` (its place in the
    /// list).
    Stuck { item: usize, states: BTreeSet<T> },
    /// The limits were reached first.
    Undecided(String),
}

/// What a search may still spend.
pub(super) struct Budget {
    limits: Limits,
    configurations: usize,
    steps: u64,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Budget { limits, configurations: 0, steps: 0 }
    }

    /// Steps spent so far.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    fn exceeded(&self) -> Option<String> {
        let Limits { max_configurations, max_steps } = self.limits;
        let what = if self.configurations > max_configurations {
            format!("{max_configurations} configurations")
        } else if self.steps > max_steps {
            format!("{max_steps} steps")
        } else {
            return None;
        };
        Some(format!("its search was given up after {what}: too many operations overlap, or are unanswered"))
    }
}

/// An answer, and what may come before it.
struct Level {
    item: usize,
    slot: u32,
    /// Answered operations called before this answer and not answered before it, each with the bit that is
    /// its own while it is under way.
    pending: Vec<(u32, usize)>,
    /// How many of the unanswered operations were called before this answer.
    unanswered: usize,
}

/// Unanswered operations that took effect, as bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Used(Vec<u64>);

impl Used {
    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn with(&self, number: usize) -> Used {
        let mut words = self.0.clone();
        words.resize(words.len().max(number / 64 + 1), 0);
        words[number / 64] |= 1 << (number % 64);
        Used(words)
    }

    fn is_within(&self, other: &Used) -> bool {
        let word = |place| other.0.get(place).copied().unwrap_or(0);
        self.0.iter().enumerate().all(|(place, mine)| mine & !word(place) == 0)
    }
}

struct Configuration<T> {
    level: usize,
    /// By slot: operations under way that took effect.
    done: u128,
    used: Used,
    state: T,
}

/// The configurations of a level. Of `Used`, only those that do not contain another one.
type Entered<T> = BTreeMap<(u128, T), Vec<Used>>;

struct Search<'s, 'a, S: Specification> {
    specification: &'s S,
    items: &'s [Item<'a, S>],
    levels: Vec<Level>,
    /// Places of the unanswered operations, in the order of their calls.
    unanswered: Vec<usize>,
    /// By level.
    entered: Vec<Entered<S::State>>,
    open: Vec<Configuration<S::State>>,
    deepest: usize,
}

/// Looks for an order of `items`.
pub(super) fn search<S: Specification>(
    specification: &S,
    items: &[Item<'_, S>],
    budget: &mut Budget,
) -> Ruling<S::State> {
    let mut unanswered: Vec<usize> =
        (0..items.len()).filter(|place| items[*place].answer.is_none()).collect();
    unanswered.sort_by_key(|place| (items[*place].begin_ns, items[*place].id));
    let Some(levels) = levels(items, &unanswered) else {
        return Ruling::Undecided(format!("more than {MAX_PENDING} operations overlap"));
    };
    let entered = levels.iter().map(|_| BTreeMap::new()).collect();
    let mut search =
        Search { specification, items, levels, unanswered, entered, open: Vec::new(), deepest: 0 };
    search.run(budget)
}

/// `None` if too many operations overlap.
fn levels<S: Specification>(items: &[Item<'_, S>], unanswered: &[usize]) -> Option<Vec<Level>> {
    let answered = |place: &usize| items[*place].answer.is_some();
    let mut by_call: Vec<usize> = (0..items.len()).filter(answered).collect();
    let mut by_answer = by_call.clone();
    by_call.sort_by_key(|place| (items[*place].begin_ns, items[*place].id));
    by_answer.sort_by_key(|place| (items[*place].end_ns, items[*place].begin_ns, items[*place].id));
    let mut calls = by_call.into_iter().peekable();
    let mut called_unanswered = 0;
    let mut free = u128::MAX;
    let mut pending: Vec<(u32, usize)> = Vec::new();
    let mut levels = Vec::with_capacity(by_answer.len());
    for item in by_answer {
        // An answer that lies before its own call is taken as if it came with it. Moments that are equal
        // are concurrent.
        let answered_ns = items[item].end_ns.max(items[item].begin_ns);
        while let Some(called) = calls.next_if(|place| items[*place].begin_ns <= answered_ns) {
            let slot = free.trailing_zeros();
            free &= free.checked_sub(1)?;
            pending.push((slot, called));
        }
        let later = &unanswered[called_unanswered..];
        called_unanswered += later.iter().take_while(|place| items[**place].begin_ns <= answered_ns).count();
        // It was called at or before its answer, so it is among them.
        let (slot, _) = pending.iter().copied().find(|(_, place)| *place == item)?;
        levels.push(Level { item, slot, pending: pending.clone(), unanswered: called_unanswered });
        pending.retain(|(_, place)| *place != item);
        free |= 1 << slot;
    }
    Some(levels)
}

impl<S: Specification> Search<'_, '_, S> {
    fn run(&mut self, budget: &mut Budget) -> Ruling<S::State> {
        let state = self.specification.initial();
        if self.enter(Configuration { level: 0, done: 0, used: Used::default(), state }, budget) {
            return Ruling::Ordered;
        }
        while let Some(configuration) = self.open.pop() {
            if self.explore(&configuration, budget) {
                return Ruling::Ordered;
            }
            if let Some(reason) = budget.exceeded() {
                return Ruling::Undecided(reason);
            }
        }
        // The states that were possible before the answer that nothing explains.
        let states = self.entered[self.deepest].keys().map(|(_, state)| state.clone()).collect();
        Ruling::Stuck { item: self.levels[self.deepest].item, states }
    }

    /// Tries everything that may take effect next. True if the last level was passed.
    fn explore(&mut self, from: &Configuration<S::State>, budget: &mut Budget) -> bool {
        let level = &self.levels[from.level];
        // Last in is first out: unanswered operations come last, the one that is due first.
        let mut next: Vec<(u128, Used, usize)> = Vec::new();
        for number in (0..level.unanswered).filter(|number| !from.used.has(*number)) {
            next.push((from.done, from.used.with(number), self.unanswered[number]));
        }
        let due_last = level.pending.iter().rev().filter(|(slot, _)| *slot != level.slot);
        for (slot, place) in due_last.chain([&(level.slot, level.item)]) {
            if from.done >> slot & 1 == 0 && !self.items[*place].observes {
                next.push((from.done | 1 << slot, from.used.clone(), *place));
            }
        }
        for (done, used, place) in next {
            let item = &self.items[place];
            budget.steps += 1;
            if let Some(state) = self.specification.step(&from.state, item.call, item.answer)
                && self.enter(Configuration { level: from.level, done, used, state }, budget)
            {
                return true;
            }
        }
        false
    }

    /// Passes all levels that it can, and keeps the configuration if it is a new one. True if the last
    /// level was passed.
    fn enter(&mut self, mut configuration: Configuration<S::State>, budget: &mut Budget) -> bool {
        loop {
            let Some(level) = self.levels.get(configuration.level) else { return true };
            for (slot, place) in &level.pending {
                let item = &self.items[*place];
                if item.observes && configuration.done >> slot & 1 == 0 {
                    budget.steps += 1;
                    let fits = self.specification.step(&configuration.state, item.call, item.answer);
                    configuration.done |= u128::from(fits.is_some()) << slot;
                }
            }
            if configuration.done >> level.slot & 1 == 0 {
                break;
            }
            configuration.done &= !(1 << level.slot);
            configuration.level += 1;
        }
        self.deepest = self.deepest.max(configuration.level);
        let key = (configuration.done, configuration.state.clone());
        let known = self.entered[configuration.level].entry(key).or_default();
        budget.steps += known.len() as u64 / 64;
        if known.iter().any(|used| used.is_within(&configuration.used)) {
            return false;
        }
        known.retain(|used| !configuration.used.is_within(used));
        known.push(configuration.used.clone());
        budget.configurations += 1;
        self.open.push(configuration);
        false
    }
}
