//! One key, one effect, whichever node is asked and how often.

use super::site::{Site, assert_problem, body, json_of, values};
use server::Profile;
use std::collections::BTreeSet;
use tests::client::Client;
use tests::wire::Request;

fn keyed(name: &str, value: f64, key: impl AsRef<[u8]>) -> Request {
    Request::post("/metrics", body(name, value)).with("Idempotency-Key", key)
}

fn count(client: &mut Client, name: &str) -> u64 {
    json_of(&client.get(&format!("/metrics/{name}/aggregate")))["count"].as_u64().unwrap()
}

#[test]
fn a_retry_gets_the_first_answer_and_counts_once() {
    let site = Site::start(Profile::Unified);
    let mut answers = BTreeSet::new();
    for mut client in site.clients().into_iter().chain(site.clients()) {
        let answer = client.send(keyed("m", 75.5, "key-1"));
        assert_eq!(answer.status, 200);
        answers.insert(answer.text());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(values(&mut site.client(), "m"), [75.5]);
}

#[test]
fn a_key_belongs_to_one_write() {
    let site = Site::start(Profile::Unified);
    assert_eq!(site.client().send(keyed("m", 1.0, "key-1")).status, 200);
    for mut client in site.clients() {
        let answer = client.send(keyed("m", 2.0, "key-1"));
        let detail = assert_problem("the same key, another value", &answer, 422, "key-reused");
        assert!(detail.contains("key"), "{detail}");
    }
    // The refusals did not take the key away from its write.
    assert_eq!(site.client().send(keyed("m", 1.0, "key-1")).status, 200);
    assert_eq!(values(&mut site.client(), "m"), [1.0]);
    // The same number in other words is the same write.
    let same = Request::post("/metrics", r#"{ "value": 1e0, "metric_name": "m" }"#);
    assert_eq!(site.client().send(same.with("Idempotency-Key", "key-1")).status, 200);
    assert_eq!(count(&mut site.client(), "m"), 1);
}

#[test]
fn a_race_of_one_key_has_one_winner() {
    let site = Site::start(Profile::Unified);
    for round in 0..10 {
        let answers: BTreeSet<(u16, String)> = std::thread::scope(|scope| {
            let send = |place: usize| {
                let mut client = site.client_of(place % 4);
                scope.spawn(move || {
                    let answer = client.send(keyed("raced", f64::from(round), format!("round-{round}")));
                    (answer.status, answer.text())
                })
            };
            let threads: Vec<_> = (0..8).map(send).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.len() == 1 && answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    }
    let expected: Vec<f64> = (0..10).map(f64::from).collect();
    assert_eq!(values(&mut site.client(), "raced"), expected);
}

#[test]
fn without_a_key_every_write_counts() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    (0..3).for_each(|_| assert_eq!(client.post("/metrics", body("m", 1.0)).status, 200));
    assert_eq!(count(&mut client, "m"), 3);
}

#[test]
fn keys_that_are_none_are_refused() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let long = "k".repeat(201);
    let wrong: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("too long", long.as_bytes()),
        ("not ASCII", "schlüssel".as_bytes()),
        ("not even UTF-8", b"\xff\xfe"),
    ];
    for (what, key) in wrong {
        let detail = assert_problem(what, &client.send(keyed("m", 1.0, key)), 400, "invalid-key");
        assert!(detail.contains("1 to 200"), "{what}: says what is allowed: {detail}");
    }
    assert_problem("nothing was recorded", &client.get("/metrics/m"), 404, "unknown-metric");
    for key in ["k".repeat(200), "k".to_owned(), r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##.to_owned()] {
        (0..2).for_each(|_| assert_eq!(client.send(keyed("m", 1.0, &key)).status, 200, "{key}"));
    }
    assert_eq!(count(&mut client, "m"), 3);
}
