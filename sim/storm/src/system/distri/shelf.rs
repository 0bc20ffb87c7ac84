//! What one shelf (a collection and its documents) does when its requests come one at a time. It is one
//! object: a range delete that takes one document too many is seen by everything that is asked afterwards.

use check::linearizability::Specification;
use serde::Serialize;
use std::collections::BTreeMap;

/// A request to a shelf.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// The shelf.
    pub shelf: String,
    /// What is asked.
    pub what: What,
}

/// What is asked of a shelf. A document is `{"n":number,"v":version}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum What {
    /// Creates the collection.
    Open,
    /// Deletes the collection with all its documents.
    Close,
    /// Adds the document of that number, as version 0. Nobody adds a number twice.
    Add(u32),
    /// Replaces a document that is known to have been there by another version.
    Update(u32, u32),
    /// Deletes what equals that number and version.
    DeleteExact(u32, u32),
    /// Deletes the numbers from the first to below the second.
    DeleteRange(u32, u32),
    /// All documents.
    ReadAll,
    /// The documents from that number on.
    ReadFrom(u32),
}

impl What {
    /// True if it changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(self, What::ReadAll | What::ReadFrom(_))
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Said {
    /// Done.
    Done,
    /// Refused: there is one.
    Known,
    /// Refused: there is no such collection.
    NoShelf,
    /// Refused: there is no such document.
    Nothing,
    /// So many were deleted.
    Deleted(u64),
    /// Numbers and versions, sorted.
    Documents(Vec<(u32, u32)>),
}

/// Documents by number; `None` before the collection is created.
pub type State = Option<BTreeMap<u32, u32>>;

/// Carries a request out, and answers it.
pub fn carry_out(state: &mut State, what: &What) -> Said {
    let Some(documents) = state else {
        if *what == What::Open {
            *state = Some(BTreeMap::new());
            return Said::Done;
        }
        return Said::NoShelf;
    };
    let delete = |documents: &mut BTreeMap<u32, u32>, gone: &dyn Fn(u32, u32) -> bool| {
        let before = documents.len();
        documents.retain(|number, version| !gone(*number, *version));
        Said::Deleted((before - documents.len()) as u64)
    };
    match *what {
        What::Open => Said::Known,
        What::Close => {
            *state = None;
            Said::Done
        }
        What::Add(number) => {
            documents.insert(number, 0);
            Said::Done
        }
        What::Update(number, version) => match documents.get_mut(&number) {
            Some(known) => {
                *known = version;
                Said::Done
            }
            None => Said::Nothing,
        },
        What::DeleteExact(number, version) => delete(documents, &|n, v| (n, v) == (number, version)),
        What::DeleteRange(low, high) => delete(documents, &|n, _| (low..high).contains(&n)),
        What::ReadAll => list(documents, 0),
        What::ReadFrom(low) => list(documents, low),
    }
}

fn list(documents: &BTreeMap<u32, u32>, low: u32) -> Said {
    Said::Documents(documents.range(low..).map(|(number, version)| (*number, *version)).collect())
}

/// The law of a shelf.
pub struct Shelf;

impl Specification for Shelf {
    type Call = Call;
    type Answer = Said;
    type State = State;

    fn object<'a>(&self, call: &'a Call) -> &'a str {
        &call.shelf
    }

    fn initial(&self) -> State {
        None
    }

    fn step(&self, state: &State, call: &Call, answer: Option<&Said>) -> Option<State> {
        let mut after = state.clone();
        let said = carry_out(&mut after, &call.what);
        match answer {
            Some(answer) => (*answer == said).then_some(after),
            // One that would change nothing here is as good as one that never took effect.
            None => (after != *state).then_some(after),
        }
    }

    fn only_observes(&self, call: &Call, answer: Option<&Said>) -> bool {
        let nothing_done =
            |said: &Said| matches!(said, Said::Known | Said::NoShelf | Said::Nothing | Said::Deleted(0));
        call.what.is_read() || answer.is_some_and(nothing_done)
    }

    fn call_in_words(&self, call: &Call, answer: Option<&Said>) -> String {
        let what = &call.what;
        answer.map_or_else(|| format!("{what:?}"), |answer| format!("{what:?} answered {answer:?}"))
    }
}
