//! What a worker process does: seeds from standard input, results to standard output, until the input ends,
//! which it does when the campaign is over or dead.

use super::protocol::Task;
use crate::sweep::run_task;
use anyhow::Context;
use std::io::{BufRead, Write};
use std::time::Duration;

/// The campaign watches the time: a worker waits for as long as it lives.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// For tests of the campaign: `hang:3,abort:5,memory:7,panic:9` says which seeds misbehave, and how.
const SABOTAGE: &str = "SEEDSTORM_SABOTAGE";

/// Serves until the input ends.
///
/// # Errors
/// If a line is no task, or the campaign is gone.
pub fn serve(input: impl BufRead + Send + 'static, mut output: impl Write) -> anyhow::Result<()> {
    let (sender, tasks) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in input.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
        // The campaign is gone. Nobody would stop a seed that hangs.
        std::process::exit(0);
    });
    for line in tasks {
        let task: Task = serde_json::from_str(&line).context("a task")?;
        sabotage(task.plan.seed);
        let mut answer = serde_json::to_vec(&run_task(task, Some(FOR_EVER)))?;
        answer.push(b'\n');
        output.write_all(&answer).and_then(|()| output.flush()).context("answering")?;
    }
    Ok(())
}

fn sabotage(seed: u64) {
    let Ok(orders) = std::env::var(SABOTAGE) else { return };
    let order = orders.split(',').filter_map(|order| order.split_once(':'));
    match order.filter(|(_, wanted)| *wanted == seed.to_string()).map(|(how, _)| how).next() {
        Some("hang") => loop {
            std::hint::spin_loop();
        },
        Some("abort") => {
            eprintln!("the last words of seed {seed}");
            std::process::abort();
        }
        Some("memory") => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                // Ones, so that every page is really there.
                hoard.push(vec![1; 16 << 20]);
                std::hint::black_box(&hoard);
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        _ => {}
    }
}
