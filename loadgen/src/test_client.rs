//! `test_client`: a thousand clients of MetricStream at once, and a check that every batch was counted.
//!
//! Each client sends under a name of its own, one batch after the other, and some metrics that must be
//! refused. In the end the server's statistics must have grown by exactly what was acknowledged. Closed loop:
//! it says whether the API keeps its word under many clients, not what load it carries (that is `loadgen`).

use crate::latency::{Latencies, add, latencies, record, summary};
use anyhow::{Context, bail};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  test_client                                      1,000 clients against http://127.0.0.1:8080
  test_client --url http://127.0.0.1:8085 --clients 200 --batches 5

Exit codes: 0 everything was counted; 1 something was lost, doubled or wrongly answered; 2 wrong usage, or
the server cannot be reached.";

/// Load and validation for MetricStream: many clients, each with a name of its own.
#[derive(Clone, Parser)]
#[command(name = "test_client", version, after_help = EXAMPLES)]
struct Options {
    /// Base URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Clients at once.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    clients: u32,
    /// Batches of each client.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batches: u32,
    /// Sound metrics in a batch; beside them, every tenth batch holds one that must be refused.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=900))]
    metrics: u32,
}

/// The server's statistics, as far as they are compared.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Stats {
    metrics_received: u64,
    batches_processed: u64,
    validation_errors: u64,
}

#[derive(Deserialize)]
struct Answer {
    success: bool,
    accepted: u64,
    rejected: u64,
}

/// What all clients saw.
#[derive(Default)]
struct Seen {
    batches: AtomicU64,
    accepted: AtomicU64,
    rejected: AtomicU64,
    limited: AtomicU64,
    /// Neither acknowledged nor refused: it may have been counted.
    unknown: AtomicU64,
    unknown_metrics: AtomicU64,
    /// Sent again, because nobody was there or nobody knew. What was refused may be counted each time.
    repeated: AtomicU64,
    wrong: AtomicU64,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Nowhere is left to say that the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}\nSee `test_client --help` for examples.");
            ExitCode::from(2)
        }
    }
}

fn run(options: Options) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        let before = stats(&http, &options.url).await?;
        let (seen, began) = (Arc::<Seen>::default(), Instant::now());
        let bar = ProgressBar::new(u64::from(options.clients) * u64::from(options.batches));
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} batches, {eta} left")?);
        let clients: Vec<_> = (0..options.clients)
            .map(|number| {
                tokio::spawn(client(http.clone(), options.clone(), number, seen.clone(), bar.clone()))
            })
            .collect();
        let mut all = latencies();
        for client in clients {
            add(&mut all, &client.await.context("a client broke")?);
        }
        bar.finish_and_clear();
        let after = stats(&http, &options.url).await?;
        Ok(report(&options, &seen, &all, began.elapsed(), before, after))
    })
}

async fn stats(http: &reqwest::Client, url: &str) -> anyhow::Result<Stats> {
    let request = http.get(format!("{url}/metrics")).header("accept", "application/json");
    let answer = request.send().await.with_context(|| format!("cannot reach {url}"))?;
    if !answer.status().is_success() {
        bail!("{url}/metrics answers {}: is it a MetricStream server?", answer.status());
    }
    let text = answer.text().await?;
    serde_json::from_str(&text).with_context(|| format!("{url}/metrics gives no statistics: {text}"))
}

fn batch(client: u32, number: u32, metrics: u32) -> (String, u64) {
    let bad = number % 10 == 9;
    let mut items: Vec<String> = (0..metrics)
        .map(|n| {
            let tags = format!("{{\"client\":\"c{client}\"}}");
            format!(
                "{{\"name\":\"test_{}\",\"value\":{number}.5,\"type\":\"gauge\",\"tags\":{tags}}}",
                n % 20
            )
        })
        .collect();
    if bad {
        items.push("{\"name\":\"\",\"value\":1,\"type\":\"gauge\",\"tags\":{}}".into());
    }
    (format!("{{\"metrics\":[{}]}}", items.join(",")), u64::from(bad))
}

async fn client(
    http: reqwest::Client,
    options: Options,
    number: u32,
    seen: Arc<Seen>,
    bar: ProgressBar,
) -> Latencies {
    let mut took = latencies();
    for turn in 0..options.batches {
        let (body, bad) = batch(number, turn, options.metrics);
        // The key makes a retry of a batch that nobody answered safe.
        let key = format!("test-{}-{number}-{turn}", std::process::id());
        let sent = Instant::now();
        loop {
            let request = http.post(format!("{}/metrics", options.url)).body(body.clone());
            let request = request.header("authorization", format!("client-{number}"));
            let request = request.header("content-type", "application/json").header("idempotency-key", &key);
            match outcome(request, u64::from(options.metrics), bad, &seen).await {
                Next::Done => break,
                Next::Wait(pause) => tokio::time::sleep(pause).await,
            }
        }
        record(&mut took, sent.elapsed());
        bar.inc(1);
    }
    took
}

enum Next {
    Done,
    Wait(Duration),
}

async fn outcome(request: reqwest::RequestBuilder, sound: u64, bad: u64, seen: &Seen) -> Next {
    let answered = async {
        let answer = request.send().await.ok()?;
        let (status, wait) = (answer.status().as_u16(), answer.headers().get("retry-after").cloned());
        Some((status, wait, answer.text().await.ok()?))
    };
    let Some((status, wait, text)) = answered.await else {
        seen.unknown.fetch_add(1, Ordering::Relaxed);
        seen.unknown_metrics.fetch_add(sound, Ordering::Relaxed);
        return Next::Done;
    };
    match status {
        429 => {
            seen.limited.fetch_add(1, Ordering::Relaxed);
            let seconds = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
            Next::Wait(Duration::from_secs(seconds.unwrap_or(1)))
        }
        // Not done, or under the same key not done twice.
        503 | 504 => {
            seen.repeated.fetch_add(1, Ordering::Relaxed);
            Next::Wait(Duration::from_millis(200))
        }
        _ => {
            let answer = serde_json::from_str::<Answer>(&text).ok().filter(|_| (200..300).contains(&status));
            let right =
                answer.as_ref().is_some_and(|a| a.success && a.accepted == sound && a.rejected == bad);
            seen.wrong.fetch_add(u64::from(!right), Ordering::Relaxed);
            if let Some(answer) = answer {
                seen.batches.fetch_add(1, Ordering::Relaxed);
                seen.accepted.fetch_add(answer.accepted, Ordering::Relaxed);
                seen.rejected.fetch_add(answer.rejected, Ordering::Relaxed);
            }
            Next::Done
        }
    }
}

fn report(
    options: &Options,
    seen: &Seen,
    all: &Latencies,
    took: Duration,
    before: Stats,
    after: Stats,
) -> bool {
    let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let seconds = took.as_secs_f64();
    println!("{} clients, {} batches each, {seconds:.1} s", options.clients, options.batches);
    println!(
        "acknowledged  {} batches, {} metrics ({:.0} metrics/s), {} metrics refused as they should be",
        get(&seen.batches),
        get(&seen.accepted),
        get(&seen.accepted) as f64 / seconds,
        get(&seen.rejected)
    );
    println!("limited       {} times 429, waited for and sent again", get(&seen.limited));
    println!("sent again    {} times, after 503 or 504", get(&seen.repeated));
    println!("unknown       {} batches without an answer", get(&seen.unknown));
    let all = summary(all);
    let [p50, p99, longest] = [all.p50_us, all.p99_us, all.max_us].map(|us| us as f64 / 1000.0);
    println!("a batch took  p50 {p50:.1} ms, p99 {p99:.1} ms, at most {longest:.1} ms, waits included");
    let counted = [
        (
            "metrics_received",
            after.metrics_received - before.metrics_received,
            get(&seen.accepted),
            get(&seen.unknown_metrics),
        ),
        (
            "batches_processed",
            after.batches_processed - before.batches_processed,
            get(&seen.batches),
            get(&seen.unknown),
        ),
        (
            "validation_errors",
            after.validation_errors - before.validation_errors,
            get(&seen.rejected),
            get(&seen.unknown) + get(&seen.repeated),
        ),
    ];
    let mut right = get(&seen.wrong) == 0;
    if !right {
        println!("WRONG         {} answers are not what was sent", get(&seen.wrong));
    }
    for (name, grown, acknowledged, unknown) in counted {
        let fits = (acknowledged..=acknowledged + unknown).contains(&grown);
        right &= fits;
        let word = if fits { "as acknowledged" } else { "NOT what was acknowledged" };
        println!("{name:<18} grew by {grown}: {word} ({acknowledged})");
    }
    right
}
