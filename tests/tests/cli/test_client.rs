//! `test_client` says when a server counts what it acknowledged, and when it does not.

use super::TEST_CLIENT;
use axum::Router;
use axum::routing::get;
use server::{Cluster, EmbeddedOptions, Profile};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tests::process::{Finished, run};

fn test_client(arguments: &[&str]) -> Finished {
    run(TEST_CLIENT, arguments, Duration::from_secs(120))
}

#[test]
fn it_explains_itself_and_refuses_what_it_does_not_know() {
    let help = test_client(&["--help"]);
    assert!(help.code == Some(0) && help.stdout.contains("Examples:"), "{help:?}");
    for arguments in [&["--clients", "0"][..], &["--batches", "many"], &["--loud"]] {
        let refused = test_client(arguments);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{arguments:?}: {refused:?}");
    }
    let nobody = format!("http://{}", tests::ports::free_address());
    let unreached = test_client(&["--url", &nobody]);
    assert!(unreached.code == Some(2) && unreached.stderr.contains("cannot reach"), "{unreached:?}");
}

#[test]
fn a_cluster_keeps_its_word() {
    let data = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions {
        data: data.path().join("nodes"),
        profile: Profile::MetricStream,
        settings: [("metricstream".into(), serde_json::json!({"folder": data.path()}))].into(),
        ..EmbeddedOptions::default()
    };
    let cluster = Cluster::start(options).unwrap();
    let url = format!("http://{}", cluster.api_addresses()[0]);
    let told = test_client(&["--url", &url, "--clients", "50", "--batches", "10", "--metrics", "10"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stdout.contains("acknowledged  500 batches, 5000 metrics"), "{told:?}");
    assert!(told.stdout.contains("50 metrics refused as they should be"), "{told:?}");
    assert!(told.stdout.contains("metrics_received   grew by 5000: as acknowledged"), "{told:?}");
}

/// A server that acknowledges every batch of ten, and counts `counted` metrics of it.
async fn liar(counted: u64) -> rt::http::Server {
    let batches = Arc::new(AtomicU64::new(0));
    let stats = batches.clone();
    let stats = get(async move || {
        let batches = stats.load(Ordering::SeqCst);
        let received = batches * counted;
        format!(r#"{{"metrics_received":{received},"batches_processed":{batches},"validation_errors":0}}"#)
    });
    let post = stats.post(async move || {
        batches.fetch_add(1, Ordering::SeqCst);
        r#"{"success":true,"accepted":10,"rejected":0,"errors":[]}"#
    });
    let listener = rt::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    rt::http::serve(listener, Router::new().route("/metrics", post), rt::http::ServeOptions::default())
        .unwrap()
}

#[test]
fn it_notices_what_is_lost_or_doubled() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (counted, code) in [(9, 1), (10, 0), (20, 1)] {
        let server = runtime.block_on(liar(counted));
        let url = format!("http://{}", server.local_addr());
        // Fewer than ten batches: none holds a metric that must be refused.
        let told = test_client(&["--url", &url, "--clients", "4", "--batches", "5"]);
        assert_eq!(told.code, Some(code), "{counted} of 10 counted: {told:?}");
        assert_eq!(told.stdout.contains("NOT what was acknowledged"), code == 1, "{told:?}");
    }
}
