//! Random bytes from fixed seeds, at the API and between peers: no node falls over, and nothing that was
//! acknowledged is lost.

use super::site::{Guarded, Peers, Site, body};
use replica::Envelope;
use replica::frame::{self, Frame};
use server::Profile;
use std::time::Duration;
use tests::random::Random;
use tests::wire::{Connection, Request};

const CASES: usize = 300;

/// A request with some of its bytes changed, cut out, doubled or cut off.
fn mutated(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..random.between(1, 6) {
        let place = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[place] = random.number() as u8,
            1 => drop(bytes.remove(place)),
            2 => bytes.insert(place, bytes[random.below(bytes.len())]),
            3 => bytes[place] ^= 1 << random.below(8),
            _ => bytes.truncate(place.max(1)),
        }
        if bytes.len() < 2 {
            break;
        }
    }
    bytes
}

fn api_case(random: &mut Random) -> Vec<u8> {
    let json = body("fuzzed", 75.5).into_bytes();
    let keyed = |body: Vec<u8>| Request::post("/metrics", body).with("Idempotency-Key", "k").to_bytes();
    let count = random.between(1, 400) as usize;
    match random.below(6) {
        0 => random.bytes(count * 5),
        1 => keyed(random.bytes(count)),
        2 => keyed(mutated(random, json)),
        3 => {
            let visible = random.bytes(count).into_iter().map(|byte| char::from(b'!' + byte % 94));
            let target: String = visible.collect();
            Request::new("GET", &format!("/metrics/fuzzed?{target}")).to_bytes()
        }
        4 => mutated(random, keyed(json)),
        _ => {
            let target = "/metrics/fuzzed?limit=3&after=1&consistency=stale";
            mutated(random, Request::new("GET", target).with("Accept", "application/json").to_bytes())
        }
    }
}

#[test]
fn random_bytes_at_the_api() {
    let site = Site::start(Profile::Unified);
    let guarded = Guarded::record(&mut site.client());
    let mut random = Random::new(1);
    for case in 0..CASES {
        let bytes = api_case(&mut random);
        let mut connection = Connection::open(&site.addresses()[case % 4]).unwrap();
        // The node may end the connection at any byte.
        let _ = connection.send(&bytes);
        // Half a request gets no answer while its sender may go on.
        connection.hears_within(Duration::from_millis(20));
        connection.end_sending();
        let said =
            String::from_utf8_lossy(&connection.rest().expect("the node ends the connection")).into_owned();
        let shown = String::from_utf8_lossy(&bytes);
        assert!(said.is_empty() || said.starts_with("HTTP/1."), "case {case}: {shown:?}\n{said}");
        assert!(!said.contains("HTTP/1.1 5"), "case {case} is nobody's fault here: {shown:?}\n{said}");
    }
    guarded.check(site.clients());
}

fn hello(from: u64, to: u64) -> Frame {
    Frame::Hello { protocol: frame::PROTOCOL, cluster: 1, from, to }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// True if the node ends the connection over `bytes`.
fn is_thrown_out(address: &str, bytes: &[u8]) -> bool {
    let mut connection = Connection::open(address).unwrap();
    // The node may end the connection at any byte.
    let _ = connection.send(bytes);
    connection.rest().is_ok()
}

#[test]
fn strangers_at_the_peer_port_are_thrown_out() {
    let site = Peers::start(3, |_| {});
    let guarded = Guarded::record(&mut site.clients()[0]);
    let strangers = [
        (
            "another cluster",
            frame::encode(&Frame::Hello { protocol: frame::PROTOCOL, cluster: 2, from: 2, to: 1 }),
        ),
        ("another protocol", frame::encode(&Frame::Hello { protocol: 999, cluster: 1, from: 2, to: 1 })),
        ("another node's door", frame::encode(&hello(2, 3))),
        ("no greeting", frame::encode(&Frame::Leads { group: 1, term: u64::MAX })),
        ("alive, but who", frame::encode(&Frame::Alive)),
        ("a second greeting", [frame::encode(&hello(2, 1)), frame::encode(&hello(2, 1))].concat()),
        ("4 GiB announced", u32::MAX.to_le_bytes().to_vec()),
        ("a byte too many announced", (frame::MAX_FRAME_BYTES as u32 + 1).to_le_bytes().to_vec()),
        ("4 GiB after the greeting", [frame::encode(&hello(2, 1)), u32::MAX.to_le_bytes().to_vec()].concat()),
        ("an empty frame", framed(b"")),
        ("HTTP", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("silence", Vec::new()),
    ];
    for (what, bytes) in strangers {
        assert!(is_thrown_out(&site.peer[0], &bytes), "{what} was let stay");
    }
    guarded.check(site.clients());
}

fn peer_case(random: &mut Random, to: u64) -> Vec<u8> {
    let count = random.between(1, 600) as usize;
    let noise = random.bytes(count);
    let greeting = frame::encode(&hello(random.between(0, 4), to));
    match random.below(5) {
        0 => noise,
        1 => framed(&noise),
        // The kinds of frames, each with nonsense in it.
        2 => [greeting, framed(&[&[random.below(9) as u8], &noise[..]].concat())].concat(),
        3 => [greeting, noise].concat(),
        _ => mutated(random, greeting),
    }
}

#[test]
fn random_bytes_at_the_peer_port() {
    let site = Peers::start(3, |_| {});
    let guarded = Guarded::record(&mut site.clients()[0]);
    let mut random = Random::new(2);
    for case in 0..CASES {
        let place = case % site.peer.len();
        let bytes = peer_case(&mut random, place as u64 + 1);
        let mut connection = Connection::open(&site.peer[place]).unwrap();
        // The node may end the connection at any byte.
        let _ = connection.send(&bytes);
        connection.end_sending();
        assert!(connection.rest().is_ok(), "case {case}: the connection outlived its sender");
    }
    guarded.check(site.clients());
}

#[test]
fn commands_that_are_none_change_nothing() {
    let site = Peers::start(3, |_| {});
    let guarded = Guarded::record(&mut site.clients()[0]);
    let mut random = Random::new(3);
    for case in 0..20u64 {
        let count = random.between(0, 200) as usize;
        let payload = random.bytes(count);
        let key = (case % 3 == 0).then(|| format!("peer-{case}"));
        // Every node is asked, the leader among them; group 0 holds placement, 9 does not exist.
        for (place, address) in site.peer.iter().enumerate() {
            for group in [0, 1, 2, 3, 4, 9] {
                let envelopes = vec![Envelope { key: key.clone(), payload: payload.clone() }];
                let propose = frame::Request::Propose { group, envelopes };
                let consistency = frame::Consistency::Linearizable;
                let read = frame::Request::Read { group, query: payload.clone(), consistency };
                let greeting = hello((place as u64 + 1) % 3 + 1, place as u64 + 1);
                let frames = [
                    greeting,
                    Frame::Request { id: 1, request: propose },
                    Frame::Request { id: 2, request: read },
                ];
                let bytes: Vec<u8> = frames.iter().flat_map(frame::encode).collect();
                let mut connection = Connection::open(address).unwrap();
                connection.send(&bytes).unwrap();
                connection.end_sending();
                assert!(connection.rest().is_ok());
            }
        }
    }
    guarded.check(site.clients());
}
