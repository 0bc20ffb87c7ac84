//! What the state machine does, and that its rows are all of it.

use super::*;

const ID: &str = "00000000-0000-4000-8000-000000000001";

fn apply(state: &mut State, command: &Command, at_ms: u64) -> Reply {
    postcard::from_bytes(&state.apply(&encode(command), at_ms)).unwrap()
}

fn add(n: u64, body: &str) -> Command {
    let id = format!("00000000-0000-4000-8000-{n:012x}");
    Command::Add { collection: "users".into(), id, body: body.into() }
}

fn again(state: &mut State, rows: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> State {
    for (key, row) in state.take_changes() {
        match row {
            Some(row) => rows.insert(key, row),
            None => rows.remove(&key),
        };
    }
    let mut restored = State::default();
    restored.restore(&mut rows.clone().into_iter()).unwrap();
    assert_eq!(restored.hash(), state.hash());
    assert_eq!((restored.documents, restored.bytes), (state.documents, state.bytes));
    restored
}

#[test]
fn documents_come_change_and_go() {
    let (mut state, mut rows) = (State::default(), BTreeMap::new());
    for n in 1..=4 {
        assert_eq!(apply(&mut state, &add(n, &format!("{{\"n\":{n}}}")), 0), Reply::Done);
    }
    assert_eq!(apply(&mut state, &add(1, "{}"), 0), Reply::Refused(Refused::Known));
    state = again(&mut state, &mut rows);
    let body = r#"{"n":10}"#.to_owned();
    let update = Command::Update { collection: "users".into(), id: ID.into(), body };
    assert_eq!(apply(&mut state, &update, 0), Reply::Done);
    let delete = |selector: &str| Command::Delete { collection: "users".into(), selector: selector.into() };
    assert_eq!(apply(&mut state, &delete(r#"{"n":2}"#), 0), Reply::Deleted(1));
    assert_eq!(apply(&mut state, &delete(r#"{"n":{"$gt":3}}"#), 0), Reply::Deleted(2));
    state = again(&mut state, &mut rows);
    assert_eq!(state.documents, 1);
    assert_eq!(apply(&mut state, &update, 0), Reply::Refused(Refused::NoDocument), "deleted stays deleted");
    let other = Command::Create("other".into());
    assert_eq!(apply(&mut state, &other, 0), Reply::Done);
    assert_eq!(apply(&mut state, &other, 0), Reply::Refused(Refused::Known));
    assert_eq!(apply(&mut state, &Command::Drop("other".into()), 0), Reply::Deleted(0));
    assert_eq!(apply(&mut state, &Command::Drop("users".into()), 0), Reply::Refused(Refused::Fixed));
    again(&mut state, &mut rows);
}

#[test]
fn silent_peers_expire_and_jumping_clocks_expire_nobody() {
    let mut state = State::default();
    let beat = |peer: &str| Command::Heartbeat { peer: peer.into(), address: "a:1".into() };
    apply(&mut state, &beat("a"), 1_000_000);
    apply(&mut state, &beat("b"), 1_000_000);
    // A year ahead and back again: one step at most each.
    apply(&mut state, &beat("b"), 31_536_000_000);
    apply(&mut state, &beat("b"), 1_000_001);
    assert!(state.peers.contains_key("a"));
    for second in 1..=20 {
        apply(&mut state, &beat("b"), 1_000_001 + second * 1_000);
    }
    assert_eq!(state.peers.keys().collect::<Vec<_>>(), ["b"]);
    apply(&mut state, &beat("a"), 1_030_000);
    assert!(state.peers.contains_key("a"), "who lives comes back");
    again(&mut state, &mut BTreeMap::new());
}

#[test]
fn the_first_key_stays() {
    let mut state = State::default();
    assert_eq!(apply(&mut state, &Command::ProposeKey([1; 32]), 0), Reply::Key([1; 32]));
    assert_eq!(apply(&mut state, &Command::ProposeKey([2; 32]), 0), Reply::Key([1; 32]));
}

#[test]
fn bytes_that_are_no_command_are_answered() {
    let mut state = State::default();
    for bytes in [&b""[..], b"\xff", b"\x00\xff\xff", b"\x02\x01"] {
        let reply: Reply = postcard::from_bytes(&state.apply(bytes, 0)).unwrap();
        assert_eq!(reply, Reply::Refused(Refused::Invalid));
    }
    for body in ["[]", "1", "{", r#"{"_id":"x"}"#] {
        assert_eq!(apply(&mut state, &add(1, body), 0), Reply::Refused(Refused::Invalid), "{body}");
    }
}
