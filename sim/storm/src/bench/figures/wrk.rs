//! Load by wrk, with a small script of ours.

use super::place::Place;
use anyhow::Context;
use std::fs;
use std::process::Command;

const COMMON: &str = include_str!("scripts/common.lua");

/// What to send, and where to.
pub(super) struct Load<'a> {
    pub script: &'a str,
    pub targets: &'a [String],
    pub connections: usize,
    pub seconds: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Round {
    /// Good answers a second.
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Answers of 400 and more, lost connections, and requests that took over two seconds.
    pub errors: u64,
    /// Good answers.
    pub good: u64,
}

/// Two threads: one a processor of the smallest machine that this is for. They take the targets in turn.
const THREADS: usize = 2;

pub(super) fn run(place: &Place, load: &Load<'_>) -> anyhow::Result<Round> {
    let first = load.targets.first().context("nowhere to send to")?;
    let targets: Vec<String> = load.targets.iter().map(|target| format!("{target:?}")).collect();
    let script = format!("local targets = {{{}}}\n{COMMON}\n{}", targets.join(", "), load.script);
    let file = place.fresh_folder("script")?.join("script.lua");
    fs::write(&file, script)?;
    let output = Command::new(&place.wrk)
        .args(["--threads", &THREADS.to_string(), "--connections", &load.connections.to_string()])
        .args(["--duration", &format!("{}s", load.seconds), "--timeout", "2s", "--script"])
        .arg(&file)
        .arg(format!("http://{first}/"))
        .output()
        .context("running wrk")?;
    let (text, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    read(&text).with_context(|| format!("wrk gave no result:\n{text}{said}"))
}

/// The line that `scripts/common.lua` prints at the end.
fn read(text: &str) -> Option<Round> {
    let line = text.lines().find_map(|line| line.strip_prefix("result "))?;
    let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [duration_us, requests, bad_answers, lost, p50_us, p99_us] = numbers.try_into().ok()?;
    let good = requests.saturating_sub(bad_answers);
    let per_second = good as f64 * 1e6 / duration_us.max(1) as f64;
    let ms = |us: u64| us as f64 / 1000.0;
    Some(Round { per_second, p50_ms: ms(p50_us), p99_ms: ms(p99_us), errors: bad_answers + lost, good })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_answers_do_not_count_as_speed() {
        let round = read("Running\nresult 2000000 5000 1000 3 1500 90000\n").unwrap();
        let wanted = Round { per_second: 2000.0, p50_ms: 1.5, p99_ms: 90.0, errors: 1003, good: 4000 };
        assert_eq!(round, wanted);
        assert_eq!(read("Running\nresult 1 2 3"), None);
        assert_eq!(read(""), None);
    }
}
