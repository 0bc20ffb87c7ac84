//! The atlas of survivable faults: which machine may lose data that it had made durable.
//!
//! A replicated log survives the loss of synced data on a minority of its members, if the damaged member
//! never votes on what it forgot and is rebuilt under a new identity. So at most one machine is damaged
//! at a time; the next one may be only when the first one's successor is a full member again. What loses
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
    /// The machine damaged last, and who it was then.
    damaged: Option<(String, Option<u64>)>,
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

    /// Asks whether `machine` may be damaged now, and takes the permission if so.
    pub fn permit(&mut self, machine: &str) -> bool {
        let identity = (self.membership)(machine);
        let free = match &self.damaged {
            None => identity.is_some(),
            // It is the damaged one still; who it was is known from the first time.
            Some((damaged, before)) if damaged == machine => {
                self.damaged = Some((machine.to_owned(), identity.or(*before)));
                return true;
            }
            Some((damaged, before)) => {
                let successor = (self.membership)(damaged);
                identity.is_some() && successor.is_some() && successor != *before
            }
        };
        if free {
            self.damaged = Some((machine.to_owned(), identity));
        }
        free
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
        assert!(atlas.permit("a"), "it is damaged already");
        assert!(!atlas.permit("b"), "its old self still counts");
        ids.lock().unwrap().insert("a".into(), None);
        assert!(!atlas.permit("b"));
        ids.lock().unwrap().insert("a".into(), Some(7));
        assert!(atlas.permit("b"));
        assert!(!atlas.permit("a"));
    }

    #[test]
    fn without_replacement_it_is_one_machine_a_run() {
        let mut atlas = Atlas::without_replacement();
        assert!(atlas.permit("a") && atlas.permit("a") && !atlas.permit("b"));
    }
}
