//! What a request costs the generator: a ladder against a server that does almost nothing, in this process.
//!
//! `cargo run --release -p loadgen --example pacing -- 10000 8` drives 10,000/s for 8 s. The server's
//! threads are named as a cluster's, so the report tells both sides' processors apart.
#![allow(clippy::disallowed_methods, reason = "runs outside the simulation")]

use axum::routing::post;
use axum::{Json, Router};
use loadgen::{Bars, LoadOptions, run};
use serde_json::{Value, json};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rps = arguments.next().map_or(Ok(10_000.0), |text| text.parse())?;
    let step_seconds = arguments.next().map_or(Ok(8.0), |text| text.parse())?;
    let targets = vec![serve()?];
    let options = LoadOptions { targets, rps, step_seconds, ladder: false, ..LoadOptions::default() };
    let report = run(options, &Bars::new())?;
    for step in &report.steps {
        println!("{}/s: {} of {} ok, {:?}", step.target_rps, step.ok, step.offered, step.validity);
        let us = |cpus: f64| cpus * 1e6 / (step.sent as f64 / step.duration_seconds);
        println!("  generator: {:.1} us of processor a request", us(step.client_cpus));
        println!("  server:    {:.1} us of processor a request", us(step.cluster_cpus.unwrap_or_default()));
        for (name, figures) in [
            ("intended", &step.intended),
            ("service", &step.service),
            ("queue", &step.queue),
            ("pacer lag", &step.pacer_lag),
        ] {
            println!(
                "  {name:<10} p50 {:>6} us, p99 {:>6} us, p99.9 {:>6} us, max {:>6} us, {} values",
                figures.p50_us, figures.p99_us, figures.p999_us, figures.max_us, figures.count
            );
        }
    }
    Ok(())
}

/// Answers every write with success, on a thread of its own.
fn serve() -> anyhow::Result<String> {
    async fn write(Json(_body): Json<Value>) -> Json<Value> {
        Json(json!({ "success": true, "message": "Metric recorded on worker 1" }))
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("node-main".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, Router::new().route("/metrics", post(write))).await
        })
    })?;
    Ok(format!("http://{address}"))
}
