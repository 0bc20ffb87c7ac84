//! The atlas of survivable faults: which machine may lose data that it had made durable.
//!
//! A replicated log survives the loss of synced data on a minority of its members, if the damaged member
//! never votes on what it forgot and is rebuilt under a new identity. So at most one machine is damaged
//! at a time; the next one may be only when the first one's successor is a full member again. Damage may
//! lie unread for long, so a machine counts as damaged until its identity has changed. What loses
//! unsynced data only, or delays, or fails loudly without taking anything (a crash, a power loss, a full
//! disk), is survivable on every machine at once, and the atlas does not see it.
//!
//! Leaves out clusters that survive two damaged members at once: the bound is the same for all sizes.

use std::sync::Arc;

/// Tells the identity under which a machine is a full member now, all its data intact and caught up; `None`
/// if it is none.
pub type Membership = Arc<dyn Fn(&str) -> Option<u64> + Send + Sync>;

/// What is damaged at the moment.
#[derive(Clone)]
pub struct Atlas {
    membership: Membership,
    damaged: Option<Damaged>,
}

/// The machine damaged last.
#[derive(Clone)]
struct Damaged {
    machine: String,
    /// Who it was then; `None` if that cannot be told.
    was: Option<u64>,
}

impl Atlas {
    /// Nothing is damaged yet.
    pub fn new(membership: Membership) -> Self {
        Atlas { membership, damaged: None }
    }

    /// An atlas for systems that cannot replace a member: one machine a run.
    pub fn without_replacement() -> Self {
        Atlas::new(Arc::new(|_| Some(0)))
    }

    /// An atlas for a system without copies: no machine may lose what it had made durable.
    pub fn without_copies() -> Self {
        Atlas::new(Arc::new(|_| None))
    }

    /// Asks whether `machine` may be damaged now, and takes the permission if so.
    pub fn permit(&mut self, machine: &str) -> bool {
        let identity = (self.membership)(machine);
        let again = self.damaged.as_ref().is_some_and(|damaged| damaged.machine == machine);
        let free = self.damaged.as_ref().is_none_or(|damaged| {
            let now = (self.membership)(&damaged.machine);
            damaged.was.is_some() && now.is_some() && now != damaged.was
        });
        if free && identity.is_some() {
            self.damaged = Some(Damaged { machine: machine.to_owned(), was: identity });
            return true;
        }
        if again {
            // Either its old self is hit once more, or already its successor, which may carry this damage
            // unseen when it is a full member: what is known is too old to tell. So it stays the only one.
            self.damaged = Some(Damaged { machine: machine.to_owned(), was: None });
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    #[test]
    fn the_next_machine_waits_until_the_first_one_is_replaced() {
        let ids =
            Arc::new(Mutex::new(BTreeMap::from([("a".to_owned(), Some(1)), ("b".to_owned(), Some(2))])));
        let seen = ids.clone();
        let mut atlas = Atlas::new(Arc::new(move |name| seen.lock().unwrap().get(name).copied().flatten()));
        assert!(atlas.permit("a"));
        assert!(!atlas.permit("b"), "its old self still counts");
        ids.lock().unwrap().insert("a".into(), None);
        assert!(!atlas.permit("b"));
        ids.lock().unwrap().insert("a".into(), Some(7));
        assert!(atlas.permit("b"));
        assert!(!atlas.permit("a"));
    }

    #[test]
    fn a_machine_damaged_twice_before_it_was_replaced_stays_the_only_one() {
        let id = Arc::new(Mutex::new(Some(1)));
        let seen = id.clone();
        let membership = move |name: &str| if name == "a" { *seen.lock().unwrap() } else { Some(2) };
        for unknown in [Some(1), None] {
            *id.lock().unwrap() = Some(1);
            let mut atlas = Atlas::new(Arc::new(membership.clone()));
            assert!(atlas.permit("a"));
            *id.lock().unwrap() = unknown;
            assert!(atlas.permit("a"), "it is damaged already");
            *id.lock().unwrap() = Some(7);
            assert!(!atlas.permit("b"), "7 may be the one that was hit");
            assert!(atlas.permit("a"));
        }
    }

    #[test]
    fn a_successor_may_be_damaged_in_its_turn() {
        let id = Arc::new(Mutex::new(Some(1)));
        let seen = id.clone();
        let membership = move |name: &str| if name == "a" { *seen.lock().unwrap() } else { Some(2) };
        let mut atlas = Atlas::new(Arc::new(membership));
        for successor in [7, 8] {
            assert!(atlas.permit("a"));
            assert!(!atlas.permit("b"));
            *id.lock().unwrap() = Some(successor);
        }
        assert!(atlas.permit("b"));
    }

    #[test]
    fn without_copies_nothing_is_damaged() {
        assert!(!Atlas::without_copies().permit("a"));
    }

    #[test]
    fn without_replacement_it_is_one_machine_a_run() {
        let mut atlas = Atlas::without_replacement();
        assert!(atlas.permit("a") && atlas.permit("a") && !atlas.permit("b"));
    }
}
