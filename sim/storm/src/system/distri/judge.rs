//! What must hold of Distri in the end, whatever happened: every document that was acknowledged and that
//! nobody can have deleted is there, none is there twice, none that nobody asked for, and the statistics
//! count what is there. What was seen on the way is judged by [`super::shelf`].

use super::shelf::{Call, Said, What};
use check::history::{Operation, Outcome};
use check::{Judge, MAX_VIOLATIONS_PER_JUDGE, Violation};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is stored in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Ids, numbers and versions by shelf, read page by page.
    pub shelves: BTreeMap<String, Vec<(String, u32, u32)>>,
    /// How many documents the statistics count on each shelf.
    pub counted: BTreeMap<String, u64>,
}

/// An operation of a client of shelves.
pub type Done = Operation<Call, Said>;

/// Holds what is stored to what was acknowledged.
pub fn judge(history: &[Done], stored: &Stored) -> Vec<Violation> {
    let mut violations = acknowledged(history, stored);
    violations.extend(once(stored));
    violations.extend(asked_for(history, stored));
    violations.extend(counted(stored));
    violations.truncate(MAX_VIOLATIONS_PER_JUDGE);
    violations
}

fn violation(judge: Judge, at_ns: Option<u64>, evidence: String) -> Violation {
    Violation { judge, at_ns, evidence }
}

/// True if that request may have deleted a document of that number.
fn may_delete(operation: &Done, number: u32) -> bool {
    if let Outcome::Ok(Said::Deleted(0) | Said::NoShelf) | Outcome::Rejected(_) = operation.outcome {
        return false;
    }
    match &operation.call.what {
        What::Close => true,
        What::DeleteExact(n, _) => *n == number,
        What::DeleteRange(low, high) => (*low..*high).contains(&number),
        _ => false,
    }
}

/// What was acknowledged, and that nobody can have deleted since, is there, in a version that was asked for
/// and no older than the newest that was acknowledged alone.
fn acknowledged(history: &[Done], stored: &Stored) -> Vec<Violation> {
    let mut found = Vec::new();
    for operation in history {
        let (What::Add(number), Outcome::Ok(Said::Done)) = (&operation.call.what, &operation.outcome) else {
            continue;
        };
        let of_shelf = || history.iter().filter(|other| other.call.shelf == operation.call.shelf);
        // What nobody knows the outcome of may happen at any time after.
        let known = |other: &Done| matches!(other.outcome, Outcome::Ok(_) | Outcome::Rejected(_));
        let ended = |other: &Done| known(other) && other.end_ns.is_some_and(|end| end < operation.begin_ns);
        let deleted = of_shelf().any(|other| may_delete(other, *number) && !ended(other));
        if deleted {
            continue;
        }
        let shelf = &operation.call.shelf;
        let documents = stored.shelves.get(shelf);
        let kept = documents.and_then(|all| all.iter().find(|(_, n, _)| n == number));
        let Some((_, _, version)) = kept else {
            let text = format!(
                "{shelf}: document {number}, which operation {} of client {} added, is not stored",
                operation.id, operation.client
            );
            found.push(violation(Judge::Durability, operation.end_ns, text));
            continue;
        };
        let updates = of_shelf().filter_map(|other| match other.call.what {
            What::Update(n, version) if n == *number => Some((other, version)),
            _ => None,
        });
        let acknowledged = |other: &Done| other.outcome == Outcome::Ok(Said::Done);
        let updates: Vec<(&Done, u32)> = updates.collect();
        let last = updates.iter().filter(|(other, _)| acknowledged(other)).map(|(other, _)| other.begin_ns);
        let last = last.max().unwrap_or(0);
        let late = |other: &Done| other.end_ns.is_none_or(|end| end >= last) || !acknowledged(other);
        let none = !updates.iter().any(|(other, _)| acknowledged(other));
        let fits = updates.iter().any(|(other, v)| v == version && late(other)) || (none && *version == 0);
        if !fits {
            let text = format!("{shelf}: document {number} is stored as version {version}, an older one");
            found.push(violation(Judge::Durability, operation.end_ns, text));
        }
    }
    found
}

/// No document twice, neither its number nor its id.
fn once(stored: &Stored) -> Vec<Violation> {
    let mut found = Vec::new();
    for (shelf, documents) in &stored.shelves {
        let (mut numbers, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for (id, number, _) in documents {
            if !numbers.insert(number) || !ids.insert(id) {
                let text = format!("{shelf}: document {number} is stored twice, the second time as {id}");
                found.push(violation(Judge::ExactlyOnce, None, text));
            }
        }
    }
    found
}

/// What is there was asked for.
fn asked_for(history: &[Done], stored: &Stored) -> Vec<Violation> {
    let mut asked: BTreeSet<(&str, u32, u32)> = BTreeSet::new();
    for Operation { call: Call { shelf, what }, .. } in history {
        match what {
            What::Add(number) => drop(asked.insert((shelf, *number, 0))),
            What::Update(number, version) => drop(asked.insert((shelf, *number, *version))),
            _ => {}
        }
    }
    let all = stored.shelves.iter().flat_map(|(shelf, all)| all.iter().map(move |one| (shelf, one)));
    let strange = all.filter(|(shelf, (_, number, version))| !asked.contains(&(shelf, *number, *version)));
    let text = |shelf: &String, number: u32, version: u32| {
        format!("{shelf}: nobody asked for document {number} in version {version}")
    };
    strange.map(|(shelf, (_, n, v))| violation(Judge::Durability, None, text(shelf, *n, *v))).collect()
}

/// The statistics count what pages give.
fn counted(stored: &Stored) -> Vec<Violation> {
    let mut found = Vec::new();
    for (shelf, documents) in &stored.shelves {
        let (counted, paged) = (stored.counted.get(shelf), documents.len() as u64);
        if counted != Some(&paged) {
            let text = format!("{shelf}: {paged} documents on its pages, {counted:?} in the statistics");
            found.push(violation(Judge::Conservation, None, text));
        }
    }
    found
}
