//! The Prometheus text, and who gets it.

use super::exposition_syntax::{Sample, check};
use super::site::{Site, json_of, record};
use server::Profile;
use tests::client::Client;
use tests::wire::{Answer, Request};

fn asking(client: &mut Client, target: &str, accept: Option<&str>) -> Answer {
    let request = Request::new("GET", target);
    client.send(match accept {
        Some(accept) => request.with("Accept", accept),
        None => request,
    })
}

fn is_stats(answer: &Answer) -> bool {
    let json = answer.header("content-type") == Some("application/json");
    json && json_of(answer)["metrics_received"].is_u64()
}

#[track_caller]
fn samples(answer: &Answer) -> Vec<Sample> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/openmetrics-text") || kind.starts_with("text/plain"), "{kind}");
    check(&answer.text()).unwrap_or_else(|why| panic!("{why}\n{}", answer.text()))
}

#[test]
fn accept_decides_what_metrics_is() {
    let site = Site::start(Profile::Unified);
    for mut client in site.clients() {
        record(&mut client, "cpu_usage", 75.5);
        assert!(is_stats(&asking(&mut client, "/metrics", Some("application/json"))));
        let scraper = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for accept in [None, Some("*/*"), Some("text/plain"), Some(scraper)] {
            samples(&asking(&mut client, "/metrics", accept));
        }
        // Whatever anybody accepts: these two are always the same.
        for accept in [None, Some("application/json"), Some("text/plain")] {
            assert!(is_stats(&asking(&mut client, "/stats", accept)), "{accept:?}");
            samples(&asking(&mut client, "/prometheus", accept));
        }
    }
}

#[test]
fn every_metric_has_its_histogram() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let series: [(&str, &[f64]); 5] = [
        ("cpu_usage", &[75.5, 80.2, 70.1, 0.3]),
        ("signs", &[-1000.0, -3.5, -0.1, 0.0, 0.0, 0.1, 3.5]),
        ("extremes", &[f64::MAX, f64::MIN, 5e-324, -5e-324, 1e308, 1.0]),
        ("a \"quoted\" \\ name {}=,", &[1.0]),
        ("müll", &[2.0, 2.0]),
    ];
    for (name, values) in series {
        values.iter().for_each(|value| drop(record(&mut client, name, *value)));
    }
    // A scrape asks for what each replica has: wait until the one that is asked has everything.
    let total: usize = series.iter().map(|(_, values)| values.len()).sum();
    let mut found = Vec::new();
    tests::wait::until("the scrape has every value", || {
        found = samples(&client.get("/prometheus"));
        let counts = found.iter().filter(|sample| sample.name == "raftmetrics_value_count");
        counts.map(|sample| sample.value).sum::<f64>() == total as f64
    });
    for (name, values) in series {
        let own = |suffix: &str| {
            let name = name.to_owned();
            let full = format!("raftmetrics_value_{suffix}");
            let fits = move |s: &&Sample| s.name == full && s.label("metric_name") == Some(name.as_str());
            found.iter().filter(fits).cloned().collect::<Vec<_>>()
        };
        assert_eq!(own("count")[0].value, values.len() as f64, "{name}");
        let exact = json_of(&client.get(&format!("/metrics/{}/aggregate", tests::wire::encode(name))));
        assert_eq!(Some(own("sum")[0].value), exact["sum"].as_f64(), "{name}");
        for bucket in own("bucket") {
            let bound: f64 = bucket.label("le").unwrap().parse().unwrap();
            let below = values.iter().filter(|value| **value < bound).count();
            // A value on the bound of a negative bucket may count on either side.
            let not_above = values.iter().filter(|value| **value <= bound).count();
            let range = below as f64..=not_above as f64;
            assert!(range.contains(&bucket.value), "{name}: {bucket:?} should lie in {range:?}");
        }
    }
    let up: Vec<f64> =
        found.iter().filter(|s| s.name == "raftmetrics_partition_up").map(|sample| sample.value).collect();
    assert_eq!(up, [1.0; 4]);
}

#[test]
fn a_sum_that_does_not_fit_leaves_the_text_readable() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    (0..2).for_each(|_| drop(record(&mut client, "huge", f64::MAX)));
    tests::wait::until("the scrape has it", || {
        let found = samples(&client.get("/prometheus"));
        let mut sums = found.iter().filter(|sample| sample.name == "raftmetrics_value_sum");
        sums.any(|sample| sample.value == f64::INFINITY)
    });
}

#[test]
fn labels_do_not_grow_with_what_users_send() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let requests = |client: &mut Client| {
        let found = samples(&client.get("/prometheus"));
        found.iter().filter(|sample| sample.name == "seedstorm_http_requests_total").count()
    };
    client.get("/metrics/a");
    client.get("/x");
    client.send(Request::new("BREW", "/x"));
    requests(&mut client);
    let before = requests(&mut client);
    for number in 0..50 {
        client.get(&format!("/metrics/name-{number}"));
        client.get(&format!("/nowhere/{number}"));
        client.send(Request::new(&format!("BREW{number}"), "/x"));
    }
    assert_eq!(requests(&mut client), before);
}
