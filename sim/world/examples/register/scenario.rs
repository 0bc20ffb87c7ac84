//! The scenario: three nodes, four clients that read and write, faults drawn from the seed; at the end the
//! register must answer again, and what clients saw must be linearizable.

use crate::service::{self, Bug, Options};
use check::history::Outcome;
use check::linearizability::{Limits, Register, RegisterAnswer, RegisterCall, judge};
use rt::http::{Client, RequestError};
use rt::sim::rng::Rng;
use std::time::Duration;
use world::{Recorder, Stage, Verdict};

type Book = Recorder<RegisterCall, RegisterAnswer>;

const NODES: [&str; 3] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
/// How long clients work and faults begin.
const LOAD: Duration = Duration::from_secs(8);
const FAULTS: [&str; 7] =
    ["cut_symmetric", "cut_one_way", "isolate", "crash", "power_loss", "power_loss_at_write", "pause"];

/// A world with slow links and disks: much overlaps.
pub fn slow_world() -> rt::sim::Options {
    let latency =
        rt::sim::net::Latency::Uniform { min: Duration::from_millis(1), max: Duration::from_millis(25) };
    let disk_delay_max = Duration::from_millis(100);
    rt::sim::Options { latency, disk_delay_max, ..Default::default() }
}

/// The scenario.
pub async fn play(stage: Stage, bug: Option<Bug>) -> Verdict {
    for (number, listen) in NODES.iter().enumerate() {
        let peers = NODES.iter().filter(|peer| *peer != listen).map(|peer| (*peer).to_owned()).collect();
        let (listen, data) = ((*listen).to_owned(), "/data".into());
        let options = Options { listen, peers, data, bug };
        stage.machine(&format!("node-{}", number + 1), move || run(options.clone()));
    }
    let book: Book = stage.recorder();
    let clients: Vec<_> =
        (0..8).map(|number| stage.client(client(number, stage.rng(number), book.clone()))).collect();
    stage.nemesis().carry_out(&stage.draw(&FAULTS, LOAD, 16)).await;
    for client in clients {
        // No fault hits a client.
        let _ = client.await;
    }
    let works = stage.client(works_again()).await.unwrap_or_else(|stopped| Err(stopped.to_string()));
    Verdict::from(judge(&Register::new(), &book.history(), Limits::default())).and(works.into())
}

/// Everything is healed: soon it has to answer again. Connections of old have to be given up first.
async fn works_again() -> Result<(), String> {
    let http = Client::new(Default::default());
    let mut last = String::new();
    for _ in 0..10 {
        rt::time::sleep(Duration::from_secs(1)).await;
        match call(http.clone(), 0, RegisterCall::read("it")).await {
            Outcome::Ok(_) => return Ok(()),
            other => last = format!("{other:?}"),
        }
    }
    Err(format!("ten seconds after the last fault a read still comes to {last}"))
}

/// A node's process: it runs until it is killed.
async fn run(options: Options) -> std::io::Result<()> {
    let _server = service::start(options).await?;
    std::future::pending().await
}

/// Reads and writes through one node after the other.
async fn client(number: u32, mut rng: Rng, book: Book) {
    let http = Client::new(Default::default());
    let end = rt::time::Instant::now() + LOAD;
    for round in 0.. {
        rt::time::sleep(rng.duration(Duration::from_millis(1), Duration::from_millis(50))).await;
        if rt::time::Instant::now() > end {
            return;
        }
        // No two writes of a run share a value.
        let value = u64::from(number) * 1000 + round;
        let ask = if rng.chance(0.5) { RegisterCall::write("it", value) } else { RegisterCall::read("it") };
        let id = book.call(number, ask.clone());
        book.answer(id, call(http.clone(), rng.below(3) as usize, ask).await);
    }
}

/// What comes of a call: what is certainly without effect is rejected, what may have one is unknown.
async fn call(http: Client, node: usize, call: RegisterCall) -> Outcome<RegisterAnswer> {
    let (method, body, done) = match call {
        RegisterCall::Write { value, .. } => ("PUT", value.to_string(), Some(RegisterAnswer::Written)),
        _ => ("GET", String::new(), None),
    };
    let request = http::Request::builder().method(method).uri("/register");
    let request = request.header("content-type", "application/json").body(body.into());
    // Method, path and header are constants.
    let request = request.expect("a request");
    match http.send(NODES[node], request, Duration::from_secs(2)).await {
        Ok(answer) if answer.status().is_success() => match done {
            Some(done) => Outcome::Ok(done),
            None => serde_json::from_slice(answer.body())
                .map_or(Outcome::Unknown("no number".into()), |value| {
                    Outcome::Ok(RegisterAnswer::Value(value))
                }),
        },
        Ok(answer) if answer.status() == 503 => Outcome::Rejected("no majority".into()),
        Ok(answer) => Outcome::Unknown(answer.status().to_string()),
        Err(error @ (RequestError::Connect { .. } | RequestError::TimedOutUnsent { .. })) => {
            Outcome::Rejected(error.to_string())
        }
        Err(error) => Outcome::Unknown(error.to_string()),
    }
}
