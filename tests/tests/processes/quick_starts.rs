//! Each system's quick start (`nodes/apps/src/*/quickstart.md`), typed line by line: against `node dev`, and
//! against processes whose leaders are killed by `kill -9` between the steps.

use super::{NODE, one_at_a_time};
use server::{EmbeddedOptions, Profile};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use tests::client::Client;
use tests::process::{NodeProcess, command};
use tests::{ports, wait};

/// Lines to type, and what they print.
struct Step {
    lines: Vec<String>,
    answers: Vec<String>,
}

/// The steps of an app's quick start.
fn steps(app: &str) -> Vec<Step> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../nodes/apps/src/{app}/quickstart.md"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut blocks = text.split("```").skip(1).step_by(2);
    let mut steps = Vec::new();
    let lines = |block: &str, kind: &str| {
        let rest = block.strip_prefix(kind).unwrap_or_else(|| panic!("{app}: expected {kind}: {block}"));
        rest.trim_matches('\n').lines().map(str::to_owned).collect()
    };
    while let Some(block) = blocks.next() {
        let answers = blocks.next().expect("every block of lines has answers");
        steps.push(Step { lines: lines(block, "sh\n"), answers: lines(answers, "answer\n") });
    }
    assert!(steps.len() >= 4, "{app}: only {} steps", steps.len());
    steps
}

/// True if `text` is `pattern`, in which `…` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = pattern.split('…').collect();
    let Some((first, rest)) = parts.split_first() else { return false };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let Some((last, middle)) = rest.split_last() else { return left.is_empty() };
    for part in middle {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

/// Types a step in `folder`, at nodes that have these addresses in place of the documented ones.
fn follow(app: &str, step: &Step, folder: &Path, addresses: &[String]) {
    let mut told = Vec::new();
    for line in &step.lines {
        // First the loop over ports, whose addresses are put together by the shell.
        let mut typed = line.clone();
        for (place, address) in addresses.iter().enumerate() {
            let (documented, port) = (8080 + place, address.rsplit(':').next().unwrap());
            typed = typed.replace(&format!("127.0.0.1:{documented}"), address);
            typed = typed.replace(&format!(" {documented}"), &format!(" {port}"));
        }
        let output = Command::new("bash").args(["-c", &typed]).current_dir(folder).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.is_empty(), "{app}: {line}\n{error}");
        told.extend(String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim_end().to_owned()));
    }
    let right = told.len() == step.answers.len()
        && step.answers.iter().zip(&told).all(|(pattern, line)| fits(pattern, line));
    assert!(right, "{app}: {:#?}\nare answered\n{told:#?}\ninstead of\n{:#?}", step.lines, step.answers);
}

/// A process that ends with this.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_quick_start_works_as_written() {
    let _alone = one_at_a_time();
    for app in apps::APPS {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let output = File::create(&log).unwrap();
        let mut dev = command(NODE);
        dev.args(["dev", "--profile", app.name, "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"]);
        dev.args(["--data", "data"]).current_dir(folder.path()).stdout(output.try_clone().unwrap());
        let _dev = Killed(dev.stderr(File::create(folder.path().join("errors")).unwrap()).spawn().unwrap());
        let mut addresses = Vec::new();
        wait::until("the nodes tell their addresses", || {
            let text = std::fs::read_to_string(&log).unwrap();
            let (head, rest) = text.split_once("\ndata ").unwrap_or_default();
            addresses =
                head.lines().filter_map(|line| line.split("http://").nth(1)).map(str::to_owned).collect();
            rest.contains("Ctrl-C")
        });
        for address in &addresses {
            wait::until("the nodes are ready", || Client::new(address).is_ready());
        }
        for step in steps(app.name) {
            follow(app.name, &step, folder.path(), &addresses);
        }
    }
}

/// The processes that a system's quick start has, each with a folder of its own.
fn processes(profile: Profile, folder: &Path) -> Vec<NodeProcess> {
    let topology = EmbeddedOptions::of_profile(profile);
    let count = topology.workers + u64::from(!topology.equals);
    let peers: Vec<String> = (1..=count).map(|id| format!("{id}={}", ports::free_address())).collect();
    let node = |id: u64| {
        let (api, name, number) = (ports::free_address(), profile.to_string(), id.to_string());
        let own = folder.join(&number);
        std::fs::create_dir(&own).unwrap();
        let role = if topology.equals {
            "all"
        } else if id == 1 {
            "control"
        } else {
            "worker"
        };
        let (own, peers) = (own.display().to_string(), peers.join(","));
        let arguments = ["run", "--role", role, "--profile", &name, "--id", &number, "--listen", &api];
        let folders = ["--data", &own, "--peers", &peers, "--metrics-folder", &own];
        let arguments = arguments.iter().chain(&folders).map(ToString::to_string).collect();
        NodeProcess::new(NODE, arguments, &api, folder.join(format!("node-{id}.log")))
    };
    let mut nodes: Vec<NodeProcess> = (1..=count).map(node).collect();
    nodes.iter_mut().for_each(NodeProcess::start);
    nodes.iter_mut().for_each(NodeProcess::wait_ready);
    nodes
}

/// Groups that a node leads. The token is one that every profile takes.
fn led(node: &NodeProcess) -> usize {
    let mut client = node.client().with_token(client::DEV_TOKEN);
    let replicas: serde_json::Value = serde_json::from_slice(&client.get("/replicas").body).unwrap();
    replicas["groups"].as_array().unwrap().iter().filter(|group| group["leads"] == true).count()
}

#[test]
fn every_quick_start_goes_on_while_leaders_are_killed() {
    let _alone = one_at_a_time();
    for app in apps::APPS {
        let profile: Profile = app.name.parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut nodes = processes(profile, folder.path());
        let addresses: Vec<String> = nodes.iter().map(|node| node.api.clone()).collect();
        // The lowest member writes metrics.jsonl: it stays, so that all of it is in one file.
        let first = usize::from(profile == Profile::MetricStream);
        let mut killed = 0;
        for step in steps(app.name) {
            follow(app.name, &step, &folder.path().join("1"), &addresses);
            let victim = (first..nodes.len()).max_by_key(|place| led(&nodes[*place])).unwrap();
            killed += led(&nodes[victim]);
            nodes[victim].kill();
            wait::until("others lead what it led", || {
                let alive = nodes.iter().enumerate().filter(|(place, _)| *place != victim);
                alive.map(|(_, node)| led(node)).sum::<usize>() == 5
            });
            nodes[victim].start();
            nodes.iter_mut().for_each(NodeProcess::wait_ready);
        }
        assert!(killed >= 4, "{}: too few leaders died to mean anything: {killed}", app.name);
    }
}

#[test]
fn anything_fits_dots() {
    for (pattern, text, right) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…c", "abc", true),
        ("a…c", "ac", true),
        ("…", "", true),
        ("a…c…e", "abcde", true),
        ("a…c…e", "abde", false),
        ("a…a", "a", false),
    ] {
        assert_eq!(fits(pattern, text), right, "{pattern} {text}");
    }
}
