//! RaftMetrics' own description, line by line.

use super::site::{Site, assert_problem, body, json_of, record, values};
use server::Profile;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// Digits where digits belong, and nothing else: `2024-11-25T20:59:23.376Z`.
fn is_rfc3339(text: &str) -> bool {
    let shape = "0000-00-00T00:00:00.000Z";
    let fits = |(found, wanted): (char, char)| match wanted {
        '0' => found.is_ascii_digit(),
        other => found == other,
    };
    text.len() == shape.len() && text.chars().zip(shape.chars()).all(fits)
}

fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    apps::http::timestamp::rfc3339(u64::try_from(since.as_millis()).unwrap())
}

/// The text after `start` and before `end`.
#[track_caller]
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.strip_prefix(start).unwrap_or_else(|| panic!("{text}\ndoes not begin with\n{start}"));
    rest.strip_suffix(end).unwrap_or_else(|| panic!("{text}\ndoes not end with {end}"))
}

#[test]
fn the_quick_start_answers_byte_for_byte() {
    let site = Site::start(Profile::RaftMetrics);
    let mut client = site.client();
    let health = client.get("/health");
    assert_eq!(health.text(), r#"{"status":"healthy","message":"control is operational"}"#);
    assert_eq!(health.header("content-type"), Some("application/json"));

    let before = now();
    let mut workers = BTreeSet::new();
    for value in ["75.5", "80.2", "70.1"] {
        let answer = client.post("/metrics", format!(r#"{{"metric_name":"cpu_usage","value":{value}}}"#));
        assert_eq!(answer.status, 200);
        let text = answer.text();
        let worker = between(&text, r#"{"success":true,"message":"Metric recorded on worker "#, r#""}"#);
        workers.insert(worker.parse::<u64>().unwrap());
    }
    assert!(workers.len() == 1 && workers.iter().all(|worker| (1..=3).contains(worker)), "{workers:?}");
    let after = now();

    let answer = client.get("/metrics/cpu_usage");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let text = answer.text();
    let start = r#"{"metric_name":"cpu_usage","values":[75.5,80.2,70.1],"timestamp":""#;
    let timestamp = between(&text, start, r#""}"#);
    assert!(is_rfc3339(timestamp), "{timestamp}");
    assert!((before.as_str()..=after.as_str()).contains(&timestamp), "{before} {timestamp} {after}");

    let text = client.get("/metrics/cpu_usage/aggregate").text();
    let start = r#"{"metric_name":"cpu_usage","count":3,"sum":225.8,"mean":75.27,"min":70.1,"max":80.2,"#;
    between(&text, start, &format!(r#","timestamp":"{timestamp}"}}"#));
}

#[test]
fn raw_gives_all_digits() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    [75.5, 80.2, 70.1].into_iter().for_each(|value| drop(record(&mut client, "cpu_usage", value)));
    let raw = json_of(&client.get("/metrics/cpu_usage/aggregate?raw=true"));
    assert_eq!(raw["mean"].as_f64(), Some(225.8 / 3.0));
    assert_eq!(raw["sum"].as_f64(), Some(225.8));
    let rounded = json_of(&client.get("/metrics/cpu_usage/aggregate?raw=false"));
    assert_eq!(rounded["mean"].as_f64(), Some(75.27));
    for quantile in ["p50", "p95", "p99"] {
        let found = raw[quantile].as_f64().unwrap();
        assert!((70.1..=80.2).contains(&found), "{quantile} is {found}");
    }
}

#[test]
fn the_timestamp_is_that_of_the_last_write() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    record(&mut client, "m", 1.0);
    let first = json_of(&client.get("/metrics/m"))["timestamp"].as_str().unwrap().to_owned();
    let moved = tests::wait::holds_within(tests::wait::LONG, || now() > first);
    assert!(moved, "the clock stands still at {first}");
    assert_eq!(json_of(&client.get("/metrics/m"))["timestamp"], *first, "reading changes nothing");
    record(&mut client, "m", 2.0);
    let second = json_of(&client.get("/metrics/m"))["timestamp"].as_str().unwrap().to_owned();
    assert!(second > first && second <= now(), "{first} then {second}");
}

#[test]
fn one_metric_one_worker_whichever_node_is_asked() {
    let site = Site::start(Profile::Unified);
    let mut clients = site.clients();
    let mut homes = BTreeSet::new();
    for number in 0..12 {
        let name = format!("metric-{number}");
        let messages: BTreeSet<String> =
            clients.iter_mut().chain([&mut site.client()]).map(|c| record(c, &name, 1.0)).collect();
        assert_eq!(messages.len(), 1, "{name}: {messages:?}");
        homes.extend(messages);
    }
    assert!(homes.len() > 1, "all metrics on one worker: {homes:?}");
    let names: Vec<String> =
        clients.iter_mut().map(|c| json_of(&c.get("/health"))["message"].to_string()).collect();
    let expected = ["control", "worker-1", "worker-2", "worker-3"].map(|n| format!("\"{n} is operational\""));
    assert_eq!(names, expected);
}

#[test]
fn names_may_hold_anything_but_control_characters() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let longest = "ä".repeat(128);
    for name in
        ["a b", "müll/λ 100%", "..", ".", "aggregate", "a/aggregate", "?x=1#y", "\"\\", "%41", &longest]
    {
        record(&mut client, name, 7.25);
        assert_eq!(values(&mut client, name), [7.25], "{name}");
        let path = format!("/metrics/{}/aggregate", tests::wire::encode(name));
        assert_eq!(json_of(&client.get(&path))["metric_name"], name);
    }
    let unknown = client.get("/metrics/never-recorded");
    let detail = assert_problem("an unknown name", &unknown, 404, "unknown-metric");
    assert!(detail.contains("never-recorded"), "{detail}");
    assert_problem("its aggregate", &client.get("/metrics/nobody/aggregate"), 404, "unknown-metric");
}

#[test]
fn curl_without_a_content_type_works() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    // What `curl -d` says of its body, what a program says that knows better, and nothing at all.
    for kind in ["application/x-www-form-urlencoded", "application/json; charset=utf-8", "Application/JSON"] {
        let request = tests::wire::Request::new("POST", "/metrics").with("Content-Type", kind);
        assert_eq!(client.send(request.with_body(body("m", 1.0))).status, 200, "{kind}");
    }
    let plain = tests::wire::Request::new("POST", "/metrics").with_body(body("m", 1.0));
    assert_eq!(client.send(plain).status, 200);
    assert_eq!(values(&mut client, "m").len(), 4);
}
