//! How many metrics a second a cluster of three replicas takes in, durably: `cargo run --release -p server
//! --example ingest`. Everything runs in this process: one control node, three workers, and the clients.
//!
//! Leaves out any judgement: it prints what it measured, and checks that the cluster counted the same.

use bytes::Bytes;
use rt::time::Instant;
use server::{Cluster, EmbeddedOptions, Profile};
use std::time::Duration;

const CLIENTS: usize = 8;
const BATCH: usize = 1000;
const HOSTS: usize = 100;

/// Batches of gauges: ten names, a hundred hosts, so a thousand series.
fn batch(client: usize) -> Bytes {
    let metric = |n: usize| {
        let (name, host) = (n % 10, n / 10 % HOSTS);
        let value = (n * 7 + client) as f64 / 8.0;
        format!(
            r#"{{"name":"metric_{name}","value":{value},"type":"gauge","tags":{{"host":"server{host}"}}}}"#
        )
    };
    let metrics: Vec<String> = (0..BATCH).map(metric).collect();
    format!(r#"{{"metrics":[{}]}}"#, metrics.join(",")).into()
}

async fn send(http: &rt::http::Client, address: &str, request: http::request::Builder, body: Bytes) -> Bytes {
    let request = request.body(body).expect("a request");
    let answer = http.send(address, request, Duration::from_secs(30)).await.expect("an answer");
    assert!(answer.status().is_success(), "{}: {:?}", answer.status(), answer.body());
    answer.into_body()
}

async fn run(addresses: Vec<String>, seconds: u64) {
    let begin = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let address = addresses[client % addresses.len()].clone();
        rt::task::spawn(async move {
            let http = rt::http::Client::new(rt::http::ClientOptions::default());
            let body = batch(client);
            let mut count = 0u64;
            while begin.elapsed() < Duration::from_secs(seconds) {
                send(&http, &address, http::Request::post("/metrics"), body.clone()).await;
                count += 1;
            }
            count
        })
    });
    let mut batches = 0;
    for client in clients.collect::<Vec<_>>() {
        batches += client.await.expect("a client");
    }
    let took = begin.elapsed();
    let metrics = batches * BATCH as u64;
    println!(
        "{metrics} metrics in {batches} batches in {took:?}: {:.0} metrics/s",
        metrics as f64 / took.as_secs_f64()
    );
    let http = rt::http::Client::new(rt::http::ClientOptions::default());
    let stats = send(&http, &addresses[0], http::Request::get("/stats"), Bytes::new()).await;
    println!("{}", String::from_utf8_lossy(&stats));
    for query in [
        "/query?name=metric_3&agg=avg&step=1s&by=",
        "/query?name=metric_3&agg=p99&by=",
        "/query?name=metric_3&tag.host=server3&agg=sum",
        "/rollups?name=metric_3&window=10s&by=",
    ] {
        let begin = Instant::now();
        let answer = send(&http, &addresses[0], http::Request::get(query), Bytes::new()).await;
        println!("{:?} for {} bytes of {query}", begin.elapsed(), answer.len());
    }
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10);
    let data = tempfile::tempdir().expect("a folder");
    let options =
        EmbeddedOptions { data: data.path().into(), profile: Profile::Unified, ..EmbeddedOptions::default() };
    let cluster = Cluster::start(options).expect("a cluster");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The workers: the control node only forwards.
    runtime.block_on(run(cluster.api_addresses()[1..].to_vec(), seconds));
    cluster.stop();
}
