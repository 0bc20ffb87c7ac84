//! Consistency, paging, and the index that an answer has seen.

use super::site::{Site, assert_problem, json_of, record, values};
use server::Profile;
use tests::client::Client;
use tests::wait;
use tests::wire::Answer;

fn applied(answer: &Answer) -> u64 {
    let index = answer.header("x-applied-index");
    index.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no applied index: {answer:?}"))
}

#[test]
fn a_read_sees_every_write_before_it_from_any_node() {
    let site = Site::start(Profile::Unified);
    let mut clients = site.clients();
    let mut last_index = 0;
    for number in 0..40usize {
        record(&mut clients[number % 4], "m", number as f64);
        let answer = clients[(number * 3 + 1) % 4].get("/metrics/m/aggregate");
        assert_eq!(json_of(&answer)["count"], number + 1, "write {number} was acknowledged before the read");
        assert!(applied(&answer) > last_index, "every write takes an entry of the log");
        last_index = applied(&answer);
        let answer = clients[(number + 2) % 4].get("/metrics/m?consistency=linearizable");
        assert_eq!(json_of(&answer)["values"].as_array().unwrap().len(), number + 1);
        assert!(applied(&answer) >= last_index);
    }
}

#[test]
fn stale_reads_lag_but_never_lie() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let written: Vec<f64> = (0..20).map(f64::from).collect();
    for (count, value) in written.iter().enumerate() {
        record(&mut client, "m", *value);
        for mut other in site.clients() {
            let answer = other.get("/metrics/m?consistency=stale");
            // A node that has not heard of the metric yet says so.
            if answer.status == 404 {
                assert_problem("not heard of yet", &answer, 404, "unknown-metric");
                continue;
            }
            applied(&answer);
            let json = json_of(&answer);
            let found: Vec<f64> =
                json["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
            assert_eq!(found, written[..found.len()], "a prefix of what was written");
            assert!(found.len() <= count + 1);
        }
    }
    for mut other in site.clients() {
        wait::until("every node has everything", || {
            let answer = other.get("/metrics/m/aggregate?consistency=stale");
            answer.status == 200 && json_of(&answer)["count"] == 20
        });
    }
}

#[test]
fn queries_that_make_no_sense_are_refused_with_what_is_allowed() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    record(&mut client, "m", 1.0);
    for query in [
        "consistency=strong",
        "consistency=",
        "consistency=Stale",
        "limit=x",
        "limit=-1",
        "limit=1.5",
        "after=-1",
        "after=99999999999999999999",
        "raw=maybe",
        "unknown=1",
        "limit=1&limit=2",
        "consistency=stale&consistency=stale",
    ] {
        for path in ["/metrics/m", "/metrics/m/aggregate"] {
            let target = format!("{path}?{query}");
            let detail = assert_problem(&target, &client.get(&target), 400, "invalid-query");
            for word in ["linearizable", "stale", "after=", "limit=", "raw="] {
                assert!(detail.contains(word), "{target}: {word} is allowed and not named: {detail}");
            }
        }
    }
    for query in ["limit=0", "limit=10001", "limit=18446744073709551615"] {
        let target = format!("/metrics/m?{query}");
        let detail = assert_problem(&target, &client.get(&target), 400, "invalid-query");
        assert!(detail.contains("1..=10000"), "{detail}");
    }
}

fn page(client: &mut Client, query: &str) -> (Vec<f64>, Option<u64>) {
    let json = json_of(&client.get(&format!("/metrics/m?{query}")));
    let values = json["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    (values, json.get("next_after").map(|next| next.as_u64().unwrap()))
}

#[test]
fn pages_put_together_are_the_whole() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let written: Vec<f64> = (0..25).map(|n| f64::from(n) / 4.0).collect();
    written.iter().for_each(|value| drop(record(&mut client, "m", *value)));
    assert_eq!(values(&mut client, "m"), written);
    for limit in [1, 7, 10, 24, 25, 10_000] {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let (values, next) = page(&mut client, &format!("limit={limit}&after={after}"));
            assert!(values.len() <= limit);
            all.extend(values);
            match next {
                Some(next) => after = next,
                None => break,
            }
            assert_eq!(after as usize, all.len());
        }
        assert_eq!(all, written, "limit {limit}");
    }
    assert_eq!(page(&mut client, "after=20"), (written[20..].to_vec(), None));
    assert_eq!(page(&mut client, "after=25"), (vec![], None));
    assert_eq!(page(&mut client, &format!("after={}", u64::MAX)), (vec![], None));
}
