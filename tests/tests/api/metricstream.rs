//! MetricStream: its quick start byte for byte, batches, limits, queries and windows.

use super::site::{Peers, Site, assert_problem, json_of};
use serde_json::{Value, json};
use server::{Mode, Profile};
use tests::client::Client;
use tests::wire::{Answer, Request};

const BATCH: &str =
    r#"{"metrics":[{"name":"cpu_usage","value":75.5,"type":"gauge","tags":{"host":"server1"}}]}"#;

fn posted(client: &mut Client, body: impl Into<Vec<u8>>) -> Answer {
    client.post("/metrics", body)
}

fn stats(client: &mut Client) -> Value {
    let answer = client.get("/stats");
    assert_eq!(answer.status, 200, "{}", answer.text());
    json_of(&answer)
}

#[track_caller]
fn found(client: &mut Client, target: &str) -> Value {
    let answer = client.get(target);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    assert!(answer.header("x-applied-index").is_some(), "{target}");
    json_of(&answer)
}

#[test]
fn the_quick_start_answers_byte_for_byte() {
    let site = Site::start(Profile::MetricStream);
    let mut client = site.client();
    for _ in 0..9 {
        let three = r#"{"metrics":[{"name":"cpu_usage","value":75.5,"type":"gauge","tags":{"host":"server1"}},{"name":"requests","value":1,"type":"counter"},{"name":"users","value":"ann","type":"set"}]}"#;
        let answer = client.send(Request::post("/metrics", three).with("Authorization", "my_client_id"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.text(), r#"{"success":true,"accepted":3,"rejected":0,"errors":[]}"#);
    }
    let expected =
        r#"{"metrics_received":27,"batches_processed":9,"validation_errors":0,"rate_limited_requests":0}"#;
    for mut client in site.clients() {
        let plain = client.get("/metrics");
        assert_eq!((plain.status, plain.header("content-type")), (200, Some("application/json")));
        assert_eq!(plain.text(), expected, "in this profile, JSON is what one gets who does not care");
        assert_eq!(client.get("/stats").text(), expected);
        let text = client.send(Request::new("GET", "/metrics").with("Accept", "text/plain"));
        assert!(text.text().contains("metricstream_metrics_received"), "{}", text.text());
    }
}

#[test]
fn in_every_profile_a_batch_is_a_batch_and_one_metric_is_one() {
    for profile in [Profile::Unified, Profile::RaftMetrics, Profile::MetricStream] {
        let site = Site::start(profile);
        let mut client = site.client();
        assert_eq!(
            posted(&mut client, BATCH).text(),
            r#"{"success":true,"accepted":1,"rejected":0,"errors":[]}"#
        );
        let one = posted(&mut client, r#"{"metric_name":"cpu_usage","value":75.5}"#);
        assert!(
            one.text().starts_with(r#"{"success":true,"message":"Metric recorded on worker "#),
            "{}",
            one.text()
        );
        assert_eq!(stats(&mut client)["metrics_received"], 1, "one system's metrics are not the other's");
        assert_eq!(json_of(&client.get("/metrics/cpu_usage/aggregate"))["count"], 1);
        assert_eq!(found(&mut client, "/query?name=cpu_usage&agg=count")["series"][0]["points"][0][1], 1.0);
    }
}

#[test]
fn what_is_wrong_is_counted_and_named() {
    let site = Site::start(Profile::MetricStream);
    let mut client = site.client();
    let mixed = r#"{"metrics":[{"name":"a","value":1},{"name":"","value":1},{"name":"b","value":"x"},{"name":"c","value":3}]}"#;
    let answer = posted(&mut client, mixed);
    assert_eq!(answer.status, 200);
    let json = json_of(&answer);
    assert_eq!((&json["accepted"], &json["rejected"]), (&json!(2), &json!(2)));
    assert_eq!((&json["errors"][0]["index"], &json["errors"][1]["index"]), (&json!(1), &json!(2)));

    let all_wrong = posted(&mut client, r#"{"metrics":[{"name":"a"},{"value":1}]}"#);
    assert_problem("all wrong", &all_wrong, 422, "invalid-batch");
    let json = json_of(&all_wrong);
    assert_eq!(
        (&json["accepted"], &json["rejected"], &json["success"]),
        (&json!(0), &json!(2), &json!(false))
    );

    let many = format!(r#"{{"metrics":[{}]}}"#, vec![r#"{"name":"m","value":1}"#; 10_001].join(","));
    for (body, status, code) in [
        (r#"{"metrics":[]}"#.to_owned(), 400, "invalid-value"),
        (r#"{"metrics":5}"#.into(), 400, "invalid-value"),
        (r#"{"metrics":[{"name":"a","value":1}],"metrics":[]}"#.into(), 400, "invalid-value"),
        (r#"{"metrics":[],"metric_name":"a"}"#.into(), 400, "invalid-value"),
        (r#"{"metrics":[{"name":"a","value":1}"#.into(), 400, "invalid-json"),
        ("{}".into(), 400, "invalid-value"),
        ("".into(), 400, "invalid-json"),
        (many, 400, "invalid-value"),
    ] {
        let answer = posted(&mut client, body.clone());
        assert_problem(&body[..body.len().min(60)], &answer, status, code);
    }

    let text = Request::new("POST", "/metrics").with_body(BATCH).with("Content-Type", "text/csv");
    assert_problem("csv", &client.send(text), 415, "content-type");
    let huge = vec![b' '; (2 << 20) + 1];
    assert_problem("huge", &Client::new(&site.addresses()[0]).post("/metrics", huge), 413, "body-too-large");
    let expected = json!({"metrics_received":2,"batches_processed":1,"validation_errors":2 + 2 + 9,"rate_limited_requests":0});
    assert_eq!(stats(&mut client), expected);
    let empty = r#"{"metrics":[{"name":"a","value":1}]}"#;
    let bad_key = client.send(Request::post("/metrics", empty).with("Idempotency-Key", "x".repeat(201)));
    assert_problem("key", &bad_key, 400, "invalid-key");
}

#[test]
fn a_retried_batch_is_stored_once_on_all_partitions() {
    let site = Site::start(Profile::Unified);
    let mut metrics: Vec<Value> = (0..40).map(|n| json!({"name": format!("m{n}"), "value": n})).collect();
    metrics.push(json!({"name": "", "value": 0}));
    let body = json!({ "metrics": metrics }).to_string();
    for mut client in site.clients() {
        let answer = client.send(Request::post("/metrics", body.clone()).with("Idempotency-Key", "batch-1"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = json_of(&answer);
        assert_eq!((&json["accepted"], &json["rejected"]), (&json!(40), &json!(1)));
    }
    let mut client = site.client();
    let expected =
        json!({"metrics_received":40,"batches_processed":1,"validation_errors":1,"rate_limited_requests":0});
    assert_eq!(stats(&mut client), expected);
    // Another batch under the same key: nothing of it is stored, wherever its metrics live.
    for n in 0..20 {
        let other = json!({"metrics": [{"name": format!("other{n}"), "value": 1}]}).to_string();
        let answer = client.send(Request::post("/metrics", other).with("Idempotency-Key", "batch-1"));
        assert_problem("reused", &answer, 422, "key-reused");
    }
    assert_eq!(stats(&mut client), expected);
    let listed = found(&mut client, "/series");
    let counts: Vec<&Value> = listed["series"].as_array().unwrap().iter().map(|s| &s["count"]).collect();
    assert_eq!(counts, vec![&json!(1); 40]);
}

/// Nodes with a limit of three requests a second.
fn limited(rate: &str, profile: Profile) -> Peers {
    let table = json!({ "rate_limit": rate });
    Peers::start(1, |options| {
        options.profile = profile;
        options.settings.insert("metricstream".into(), table.clone());
    })
}

fn named(client: &mut Client, header: &str, name: &str) -> Answer {
    client.send(Request::post("/metrics", BATCH).with(header, name))
}

#[test]
fn each_client_has_its_own_limit_before_its_body_is_read() {
    let site = limited("3/h", Profile::MetricStream);
    let mut client = site.clients().remove(0);
    for name in ["ann", "bob"] {
        for _ in 0..3 {
            assert_eq!(named(&mut client, "Authorization", name).status, 200);
        }
        let over = named(&mut client, "Authorization", name);
        assert_problem("over the limit", &over, 429, "rate-limit");
        let wait: u64 = over.header("retry-after").unwrap().parse().unwrap();
        assert!((3000..=3600).contains(&wait), "{wait}");
    }
    // A token is no client's name: this is the address's share, whatever the token.
    for token in ["Bearer x", "bearer y", "Bearer z"] {
        assert_eq!(named(&mut client, "Authorization", token).status, 200);
    }
    assert_eq!(named(&mut client, "X-Client-Id", "eve").status, 429, "no name by this header, here");
    // Refused by its head: a body that never comes is not waited for.
    let mut raw = tests::wire::Connection::open(&site.api[0]).unwrap();
    raw.send(b"POST /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: ann\r\nContent-Length: 900\r\n\r\n")
        .unwrap();
    assert_eq!(raw.answer().unwrap().unwrap().status, 429);
    // Reading is not limited.
    let expected =
        json!({"metrics_received":9,"batches_processed":9,"validation_errors":0,"rate_limited_requests":4});
    assert_eq!(stats(&mut client), expected);
}

#[test]
fn a_window_slides() {
    let site = limited("5/s", Profile::MetricStream);
    let mut client = site.clients().remove(0);
    let (mut admitted, mut refused) = (Vec::new(), 0u64);
    let begin = std::time::Instant::now();
    while begin.elapsed().as_millis() < 2500 {
        let before = std::time::Instant::now();
        match named(&mut client, "Authorization", "ann").status {
            200 => admitted.push((before, std::time::Instant::now())),
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!((10..=15).contains(&admitted.len()), "{}", admitted.len());
    for six in admitted.windows(6) {
        assert!(six[5].1 - six[0].0 >= std::time::Duration::from_secs(1), "more than five in a second");
    }
    assert_eq!(stats(&mut client)["rate_limited_requests"], refused);
}

#[test]
fn other_profiles_know_clients_by_another_header() {
    let site = limited("1/h", Profile::Unified);
    let mut client = site.clients().remove(0);
    for name in ["ann", "bob"] {
        assert_eq!(named(&mut client, "X-Client-Id", name).status, 200);
        assert_eq!(named(&mut client, "X-Client-Id", name).status, 429);
    }
    assert_eq!(named(&mut client, "Authorization", "x").status, 200, "the address's own");
    assert_eq!(named(&mut client, "Authorization", "y").status, 429);
}

/// Some points with known times.
fn filled(site: &Site) -> Client {
    let mut client = site.client();
    let mut metrics = Vec::new();
    for n in 0..60u64 {
        for host in ["a", "b"] {
            let value = if host == "a" { n as f64 / 10.0 } else { 100.0 };
            let tags = json!({"host": host, "dc": "east"});
            metrics.push(json!({"name":"load","value":value,"tags":tags,"timestamp":1_000_000 + n * 1000}));
        }
        metrics.push(json!({"name":"users","type":"set","value":format!("u{}", n % 5),"timestamp":1_000_000 + n * 1000}));
        metrics.push(json!({"name":"hits","type":"counter","value":2,"timestamp":1_000_000 + n * 1000}));
    }
    let answer = posted(&mut client, json!({ "metrics": metrics }).to_string());
    assert_eq!(json_of(&answer)["accepted"], 240, "{}", answer.text());
    client
}

#[test]
fn queries_select_step_and_sum_up() {
    let site = Site::start(Profile::Unified);
    let mut client = filled(&site);
    let one = found(&mut client, "/query?name=load&tag.host=a&from=1000000&to=1060000&step=20s&agg=sum");
    assert_eq!(one["series"].as_array().unwrap().len(), 1);
    assert_eq!(one["series"][0]["tags"], json!({"dc":"east","host":"a"}));
    assert_eq!(one["series"][0]["points"], json!([[1_000_000, 19.0], [1_020_000, 59.0], [1_040_000, 99.0]]));
    let both = found(&mut client, "/query?name=load&agg=max&step=60s&by=dc&from=1000000");
    assert_eq!(both["series"].as_array().unwrap().len(), 1, "{both}");
    assert_eq!(both["series"][0]["tags"], json!({"dc":"east"}));
    let by_host = found(&mut client, "/query?name=load&agg=count&by=host");
    assert_eq!(by_host["series"].as_array().unwrap().len(), 2);
    assert_eq!(
        found(&mut client, "/query?name=hits&agg=rate&step=10s&from=1000000&to=1010000")["series"][0]["points"],
        json!([[1_000_000, 2.0]])
    );
    assert_eq!(
        found(&mut client, "/query?name=users&agg=unique&step=1h")["series"][0]["points"],
        json!([[0, 5.0]])
    );
    assert_eq!(found(&mut client, "/query?name=load&tag.host=b&agg=p50")["series"][0]["points"][0][1], 100.0);
    assert_eq!(found(&mut client, "/query?name=load&tag.host=none&agg=sum")["series"], json!([]));
    assert_eq!(found(&mut client, "/query?name=none")["series"], json!([]));

    let (mut after, mut seen) = (0, 0);
    loop {
        let page = found(&mut client, &format!("/query?name=load&limit=50&after={after}"));
        seen += page["series"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["points"].as_array().unwrap().len())
            .sum::<usize>();
        match page["next_after"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(seen, 120);
    let members = found(&mut client, "/query?name=users&from=1000000&to=1002000");
    assert_eq!(members["series"][0]["points"], json!([[1_000_000, "u0"], [1_001_000, "u1"]]));
    for wrong in [
        "/query",
        "/query?name=",
        "/query?name=load&agg=most",
        "/query?name=load&step=0s",
        "/query?name=load&step=5parsec",
        "/query?name=load&from=x",
        "/query?name=load&from=5&to=5",
        "/query?name=load&limit=0",
        "/query?name=load&limit=99999",
        "/query?name=load&name=load",
        "/query?name=load&what=1",
        "/query?name=users&agg=sum",
        "/query?name=load&agg=unique",
        "/query?name=load&consistency=maybe",
        "/query?name=load&step=99999999999999999d",
        "/rollups",
        "/rollups?name=load&window=15s",
        "/rollups?name=load&window=10s&slide=20s",
        "/series?limit=3",
    ] {
        assert_problem(wrong, &client.get(wrong), 400, "invalid-query");
    }
}

#[test]
fn windows_tumble_and_slide() {
    let site = Site::start(Profile::Unified);
    let mut client = filled(&site);
    let tumbling = found(&mut client, "/rollups?name=load&tag.host=a&window=30s&from=960000&to=1080000");
    let windows = tumbling["series"][0]["windows"].as_array().unwrap().clone();
    let short: Vec<Value> = windows
        .iter()
        .map(|w| json!([w["start"], w["end"], w["count"], w["sum"], w["min"], w["max"]]))
        .collect();
    assert_eq!(
        json!(short),
        json!([
            [990_000, 1_020_000, 20, 19.0, 0.0, 1.9],
            [1_020_000, 1_050_000, 30, 103.5, 2.0, 4.9],
            [1_050_000, 1_080_000, 10, 54.5, 5.0, 5.9]
        ])
    );
    assert!(windows.iter().all(|window| window["closed"] == true), "the log is long past 1970");
    let sliding = found(&mut client, "/rollups?name=load&tag.host=b&window=30s&slide=10s");
    let counts: Vec<u64> = sliding["series"][0]["windows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|window| window["count"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [10, 20, 30, 30, 30, 30, 20, 10]);
    let sets = found(&mut client, "/rollups?name=users&window=1h");
    assert_eq!(sets["series"][0]["windows"][0]["unique"], 5);
    assert!(sets["series"][0]["windows"][0].get("sum").is_none());
}

#[test]
fn cat_metrics_jsonl_works() {
    let data = tempfile::tempdir().unwrap();
    let lines = || {
        let text = std::fs::read_to_string(data.path().join("control/metrics.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    {
        let site = Site::start_in(data.path(), Profile::MetricStream);
        let mut client = site.client();
        assert_eq!(posted(&mut client, BATCH).status, 200);
        tests::wait::until("the first line is there", || lines().len() == 1);
        let mut line = lines().remove(0);
        assert!(line["timestamp"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "{line}");
        assert!(line["partition"].as_u64().is_some_and(|group| (1..=4).contains(&group)), "{line}");
        line["timestamp"] = json!(0);
        line["partition"] = json!(0);
        let expected = json!({"name":"cpu_usage","value":75.5,"type":"gauge","tags":{"host":"server1"},"timestamp":0,"partition":0,"number":0});
        assert_eq!(line, expected);
        let many: Vec<Value> = (0..500)
            .map(|n| json!({"name": format!("m{n}"), "type": "set", "value": "a \"b\" \\ ü", "tags": {"k\"": "v"}}))
            .collect();
        assert_eq!(posted(&mut client, json!({ "metrics": many }).to_string()).status, 200);
        tests::wait::until("all lines are there", || lines().len() == 501);
    }
    // A restart goes on where it was: nothing twice, nothing left out.
    let site = Site::start_in(data.path(), Profile::MetricStream);
    assert_eq!(posted(&mut site.client(), BATCH).status, 200);
    tests::wait::until("the line after the restart is there", || lines().len() == 502);
    let ids: std::collections::BTreeSet<(u64, u64)> = lines()
        .iter()
        .map(|line| (line["partition"].as_u64().unwrap(), line["number"].as_u64().unwrap()))
        .collect();
    assert_eq!(ids.len(), 502, "each point once");
    for other in ["worker-1", "worker-2", "worker-3"] {
        assert!(!data.path().join(other).join("metrics.jsonl").exists(), "one node writes for all");
    }
}

/// A node alone that serves in that way.
fn in_mode(mode: Mode) -> Peers {
    Peers::start(1, |options| options.mode = mode)
}

#[test]
fn all_modes_serve_the_same() {
    for mode in [Mode::Sequential, Mode::Threads, Mode::Async] {
        let site = in_mode(mode);
        let mut client = site.clients().remove(0);
        for _ in 0..5 {
            assert_eq!(
                posted(&mut client, BATCH).text(),
                r#"{"success":true,"accepted":1,"rejected":0,"errors":[]}"#
            );
        }
        assert_eq!(stats(&mut client)["metrics_received"], 5, "{mode:?}");
        assert_eq!(found(&mut client, "/query?name=cpu_usage&agg=sum")["series"][0]["points"][0][1], 377.5);
    }
}

#[test]
fn one_after_the_other_means_that_the_second_waits() {
    for (mode, waits) in [(Mode::Sequential, true), (Mode::Threads, false)] {
        let site = in_mode(mode);
        // Somebody who connects and says nothing yet.
        let mut silent = tests::wire::Connection::open(&site.api[0]).unwrap();
        let mut other = tests::wire::Connection::open(&site.api[0]).unwrap();
        other.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(!other.hears_within(std::time::Duration::from_millis(500)), waits, "{mode:?}");
        silent.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(silent.answer().unwrap().unwrap().status, 200);
        assert_eq!(other.answer().unwrap().unwrap().status, 200);
    }
}
