//! A group's state machine: those of all apps that live in it, side by side.
//!
//! The founder's commands, queries and rows carry no mark, because the first version had only them. Those
//! of every other app begin with the app's number (see [`crate::app::mark`]).

use crate::app::{Home, mark, marked};
use crate::{APPS, META_GROUP, meta};
use replica::machine::{Row, RowChange, Stored};
use replica::{GroupId, StateMachine};
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;

/// The machines of a group by their apps' numbers; 0 is the founder.
pub struct Host(BTreeMap<u8, Box<dyn StateMachine>>);

impl Host {
    /// The empty machines of `group`.
    pub fn new(group: GroupId) -> Self {
        let home = if group == META_GROUP { Home::Meta } else { Home::Partitions };
        let apps = APPS.iter().filter(|app| app.home == home);
        let mut machines: BTreeMap<u8, _> = apps.map(|app| (app.number, (app.machine)())).collect();
        if home == Home::Meta {
            machines.insert(0, Box::new(meta::State::default()));
        }
        Host(machines)
    }
}

impl StateMachine for Host {
    fn apply(&mut self, command: &[u8], at_ms: u64) -> Vec<u8> {
        let (number, command) = marked(command);
        // What belongs to no app here is nobody's on every replica alike.
        self.0.get_mut(&number).map(|machine| machine.apply(command, at_ms)).unwrap_or_default()
    }

    fn query(&self, query: &[u8], stored: &dyn Stored) -> Vec<u8> {
        let (number, query) = marked(query);
        let stored = Part { number, stored };
        self.0.get(&number).map(|machine| machine.query(query, &stored)).unwrap_or_default()
    }

    fn take_changes(&mut self) -> Vec<RowChange> {
        let mut changes = Vec::new();
        for (number, machine) in &mut self.0 {
            let changed = machine.take_changes().into_iter();
            changes.extend(changed.map(|(key, value)| (mark(*number, key), value)));
        }
        changes
    }

    fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        let mut rows = rows.peekable();
        // Rows come in the order of their keys, so those of an app come together, in the order of the apps.
        for (number, machine) in &mut self.0 {
            machine.restore(&mut RowsOf { number: *number, rows: &mut rows })?;
        }
        match rows.next() {
            Some((key, _)) => Err(format!("row {key:?} belongs to no app of this version")),
            None => Ok(()),
        }
    }

    fn hash(&self) -> u64 {
        let machines = self.0.iter();
        machines.fold(0, |hash, (number, machine)| hash ^ machine.hash().rotate_left(u32::from(*number)))
    }
}

/// The next rows, as long as they are the app's.
struct RowsOf<'a, I: Iterator<Item = Row>> {
    number: u8,
    rows: &'a mut Peekable<I>,
}

impl<I: Iterator<Item = Row>> Iterator for RowsOf<'_, I> {
    type Item = Row;
    fn next(&mut self) -> Option<Row> {
        let (mut key, value) = self.rows.next_if(|(key, _)| marked(key).0 == self.number)?;
        if self.number != 0 {
            key.remove(0);
        }
        Some((key, value))
    }
}

/// An app's part of a group's rows.
struct Part<'a> {
    number: u8,
    stored: &'a dyn Stored,
}

impl Stored for Part<'_> {
    fn rows(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, String> {
        let number = self.number;
        let own = |bound: Bound<&[u8]>, open: u8| match bound {
            Bound::Included(key) => Bound::Included(mark(number, key.to_vec())),
            Bound::Excluded(key) => Bound::Excluded(mark(number, key.to_vec())),
            // The founder's part ends where the first mark may come, every other one a number later, and
            // the last one never.
            Bound::Unbounded if open == 1 => {
                (0x80 | number).checked_add(1).map_or(Bound::Unbounded, |end| Bound::Excluded(vec![end]))
            }
            Bound::Unbounded if number == 0 => Bound::Unbounded,
            Bound::Unbounded => Bound::Included(vec![0x80 | number]),
        };
        let (from, to) = (own(from, 0), own(to, 1));
        let rows = self.stored.rows(as_bytes(&from), as_bytes(&to), limit)?;
        Ok(rows.into_iter().map(|(key, value)| (marked(&key).1.to_vec(), value)).collect())
    }
}

fn as_bytes(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use replica::machine::{RowChange, RowMap};

    /// Keeps what it is told, under the same key.
    #[derive(Default)]
    struct Keeper(BTreeMap<Vec<u8>, Vec<u8>>, Vec<RowChange>);

    impl StateMachine for Keeper {
        fn apply(&mut self, command: &[u8], _at_ms: u64) -> Vec<u8> {
            self.0.insert(command.to_vec(), command.to_vec());
            self.1.push((command.to_vec(), Some(command.to_vec())));
            command.to_vec()
        }
        fn query(&self, query: &[u8], stored: &dyn Stored) -> Vec<u8> {
            let all = stored.rows(Bound::Unbounded, Bound::Unbounded, 100).unwrap();
            let from = stored.rows(Bound::Excluded(query), Bound::Unbounded, 100).unwrap();
            vec![all.len() as u8, from.len() as u8]
        }
        fn take_changes(&mut self) -> Vec<RowChange> {
            std::mem::take(&mut self.1)
        }
        fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
            self.0.extend(rows);
            Ok(())
        }
        fn hash(&self) -> u64 {
            self.0.len() as u64
        }
    }

    fn host() -> Host {
        let keeper = || Box::new(Keeper::default()) as Box<dyn StateMachine>;
        Host([(0, keeper()), (1, keeper()), (127, keeper())].into())
    }

    #[test]
    fn apps_do_not_see_each_other() {
        let mut host = host();
        for number in [0, 1, 127] {
            for name in [b"a", b"b"] {
                assert_eq!(host.apply(&mark(number, name.to_vec()), 0), name);
            }
        }
        host.apply(&mark(1, b"c".to_vec()), 0);
        assert!(host.apply(&mark(9, b"d".to_vec()), 0).is_empty(), "nobody's command");
        let changes = host.take_changes().into_iter();
        let rows = RowMap(changes.map(|(key, value)| (key, value.unwrap())).collect());
        for (number, all) in [(0, 2), (1, 3), (127, 2)] {
            assert_eq!(host.query(&mark(number, b"a".to_vec()), &rows), [all, all - 1], "app {number}");
        }
        let mut again = self::host();
        again.restore(&mut rows.0.clone().into_iter()).unwrap();
        assert_eq!(again.hash(), host.hash());
        assert_eq!(again.take_changes(), []);
    }

    #[test]
    fn rows_of_unknown_apps_are_damage() {
        let rows = vec![(mark(7, b"x".to_vec()), vec![])];
        assert!(host().restore(&mut rows.into_iter()).unwrap_err().contains("no app"));
    }
}
