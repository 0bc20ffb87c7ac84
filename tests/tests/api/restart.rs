//! Everything is there again after a restart from disk.

use super::site::{Site, assert_problem, body, json_of, values};
use serde_json::Value;
use server::Profile;
use tests::client::Client;
use tests::wire::Request;

const SERIES: usize = 5;
const VALUES: usize = 100;

fn name(series: usize) -> String {
    format!("series-{series}")
}

fn value(series: usize, number: usize) -> f64 {
    (series * 1000 + number) as f64 + 0.1
}

/// Every third write carries a key.
fn write(series: usize, number: usize) -> Request {
    let request = Request::post("/metrics", body(&name(series), value(series, number)));
    if number.is_multiple_of(3) {
        request.with("Idempotency-Key", format!("{series}/{number}"))
    } else {
        request
    }
}

fn aggregates(client: &mut Client) -> Vec<Value> {
    let path = |series| format!("/metrics/{}/aggregate?raw=true", name(series));
    (0..SERIES).map(|series| json_of(&client.get(&path(series)))).collect()
}

fn check_values(client: &mut Client) {
    for series in 0..SERIES {
        let expected: Vec<f64> = (0..VALUES).map(|number| value(series, number)).collect();
        assert_eq!(values(client, &name(series)), expected);
    }
}

#[test]
fn a_stopped_cluster_comes_back_with_everything() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start_in(data.path(), Profile::Unified);
    std::thread::scope(|scope| {
        for series in 0..SERIES {
            let mut client = site.client_of(series % 4);
            scope.spawn(move || {
                for number in 0..VALUES {
                    let answer = client.send(write(series, number));
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    check_values(&mut site.client());
    let before = aggregates(&mut site.client());
    drop(site);

    for _ in 0..2 {
        let site = Site::start_in(data.path(), Profile::Unified);
        let mut client = site.client();
        check_values(&mut client);
        assert_eq!(aggregates(&mut client), before, "timestamps included");
        for (series, number) in [(0, 0), (1, 33), (4, 99)] {
            let answer = client.send(write(series, number));
            assert_eq!(answer.status, 200, "{}", answer.text());
            let other = Request::post("/metrics", body(&name(series), -1.0));
            let other = other.with("Idempotency-Key", format!("{series}/{number}"));
            assert_problem("a key of before the restart", &client.send(other), 422, "key-reused");
        }
        check_values(&mut client);
    }
}
