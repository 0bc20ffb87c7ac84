//! The meta group's state machine.

use super::{Command, Placement, Query, Refused, Reply, Table, View};
use replica::StateMachine;
use replica::machine::{Row, RowChange, Stored};

/// The first placement.
const PLACEMENT: &[u8] = b"placement";
/// The table of members.
const TABLE: &[u8] = b"table";
/// The format that all members speak, once they do.
const FORMAT: &[u8] = b"format";
/// Who lives in which region, once somebody does. (Since format 4.)
const REGIONS: &[u8] = b"regions";

/// The format since which a meta group with too few voters takes in more.
const SINCE_FILL: u32 = 3;

/// The state.
#[derive(Default)]
pub struct State {
    view: View,
    changed: bool,
    /// There is a row of regions.
    located: bool,
}

impl State {
    fn carry_out(&mut self, command: Command) -> Reply {
        let View { genesis, table, format } = &mut self.view;
        match (command, table) {
            (Command::Place(placement), _) => {
                genesis.get_or_insert(placement);
                Reply::Done
            }
            (Command::Enroll { members, meta }, table) => {
                if let (None, Some(genesis)) = (&table, genesis) {
                    *table = Some(Table::new(members, genesis.clone(), meta));
                }
                Reply::Done
            }
            (_, None) => Reply::Refused(Refused::TooEarly),
            (Command::Speaks { format: heard }, Some(_)) => {
                *format = heard.max(*format);
                Reply::Done
            }
            (Command::Join(join), Some(table)) => match table.join(&join) {
                Ok(node) => {
                    let nodes = table.members.iter().map(|(id, member)| (*id, member.peer.clone()));
                    Reply::Joined { node, meta: table.meta_genesis.clone(), nodes: nodes.collect() }
                }
                Err(refused) => Reply::Refused(refused),
            },
            (Command::Started { node, peer, api }, Some(table)) => {
                let started = table.started(node, &peer, &api);
                if started.is_ok() && *format >= SINCE_FILL {
                    table.fill_meta();
                }
                said(started)
            }
            (Command::Leave { node }, Some(table)) => said(table.leave(node)),
            (Command::MoveHome { node }, Some(table)) => said(table.move_home(node)),
            (Command::Region { node, region }, Some(table)) => said(table.settle(node, &region)),
            (Command::Removed { node }, Some(table)) => {
                table.remove(node);
                Reply::Done
            }
        }
    }
}

fn said(result: Result<(), Refused>) -> Reply {
    result.map_or_else(Reply::Refused, |()| Reply::Done)
}

impl StateMachine for State {
    fn apply(&mut self, command: &[u8], _at_ms: u64) -> Vec<u8> {
        // What does not decode is no command of ours, for every replica alike.
        let Ok(command) = postcard::from_bytes(command) else { return Vec::new() };
        self.changed = true;
        self.carry_out(command).encode()
    }

    fn query(&self, query: &[u8], _stored: &dyn Stored) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        match postcard::from_bytes(query) {
            Ok(Query::Placement) => postcard::to_stdvec(&self.view.genesis).unwrap_or_default(),
            Ok(Query::View) => self.view.encode(),
            Err(_) => Vec::new(),
        }
    }

    fn take_changes(&mut self) -> Vec<RowChange> {
        if !std::mem::take(&mut self.changed) {
            return Vec::new();
        }
        let genesis = self.view.genesis.as_ref().map(|p| postcard::to_stdvec(p).unwrap_or_default());
        let mut rows = vec![(PLACEMENT.to_vec(), genesis)];
        if self.view.format > 0 {
            rows.push((FORMAT.to_vec(), Some(self.view.format.to_be_bytes().to_vec())));
        }
        if let Some(table) = &self.view.table {
            rows.push((TABLE.to_vec(), Some(postcard::to_stdvec(table).unwrap_or_default())));
            if self.located || !table.regions.is_empty() {
                self.located = true;
                rows.push((REGIONS.to_vec(), Some(postcard::to_stdvec(&table.regions).unwrap_or_default())));
            }
        }
        rows
    }

    fn restore(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        let mut regions = None;
        for (key, value) in rows {
            match key.as_slice() {
                PLACEMENT => {
                    let genesis: Placement =
                        postcard::from_bytes(&value).map_err(|e| format!("placement: {e}"))?;
                    self.view.genesis = Some(genesis);
                }
                TABLE => {
                    let table: Table = postcard::from_bytes(&value).map_err(|e| format!("table: {e}"))?;
                    self.view.table = Some(table);
                }
                FORMAT => {
                    let bytes = value.try_into().map_err(|value| format!("format: {value:?}"))?;
                    self.view.format = u32::from_be_bytes(bytes);
                }
                REGIONS => {
                    regions = Some(postcard::from_bytes(&value).map_err(|e| format!("regions: {e}"))?);
                }
                _ => return Err(format!("unknown row {key:?}")),
            }
        }
        self.located = regions.is_some();
        match (regions, &mut self.view.table) {
            (Some(regions), Some(table)) => table.regions = regions,
            (Some(_), None) => return Err("regions without a table".into()),
            (None, _) => {}
        }
        Ok(())
    }

    fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.view.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_placement_stands() {
        let mut state = State::default();
        let first = Placement::spread(&[2], &[1], 1);
        state.apply(&Command::Place(first.clone()).encode(), 0);
        state.apply(&Command::Place(Placement::spread(&[3], &[1], 9)).encode(), 0);
        assert_eq!(state.view.genesis, Some(first));
        let leave = state.apply(&Command::Leave { node: 2 }.encode(), 0);
        assert_eq!(Reply::decode(&leave), Some(Reply::Refused(Refused::TooEarly)));
    }

    #[test]
    fn rows_hold_everything() {
        let mut state = State::default();
        state.apply(&Command::Place(Placement::spread(&[2], &[1], 1)).encode(), 0);
        let meta = replica::GroupSpec { group: 0, voters: vec![1, 2], learners: vec![], home: 1 };
        state.apply(&Command::Enroll { members: Default::default(), meta }.encode(), 0);
        state.apply(&Command::Speaks { format: 3 }.encode(), 0);
        assert!(!state.take_changes().iter().any(|(key, _)| key == REGIONS), "older versions refuse the row");
        state.view.table.as_mut().unwrap().regions.set(2, "eu");
        state.changed = true;
        let mut again = State::default();
        let rows = state.take_changes().into_iter().filter_map(|(key, value)| Some((key, value?)));
        again.restore(&mut rows.collect::<Vec<_>>().into_iter()).unwrap();
        assert_eq!(again.view, state.view);
        assert_eq!(again.view.format, 3);
        assert!(again.view.table.is_some() && again.hash() == state.hash());
        let answer = again.query(&Query::View.encode(), &replica::machine::RowMap::default());
        assert_eq!(super::super::view(&answer).unwrap(), state.view);
        let older = postcard::to_stdvec(&state.view).unwrap();
        assert!(super::super::view(&older).unwrap().table.unwrap().regions.is_empty());
        assert!(answer.starts_with(&older), "older versions read what they know");
    }
}
