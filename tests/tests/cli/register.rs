//! The example `register` of `world` on both arms: real nodes that are killed, and simulated ones whose bugs
//! are found.

use super::REGISTER;
use std::time::Duration;
use tests::client::Client;
use tests::ports::free_address;
use tests::process::{Finished, NodeProcess, run};
use tests::wait;
use tests::wire::Request;

fn register(arguments: &[&str]) -> Finished {
    run(REGISTER, arguments, Duration::from_secs(300))
}

#[test]
fn it_explains_itself_and_refuses_what_it_does_not_know() {
    let Finished { code, stdout, .. } = register(&["--help"]);
    assert_eq!(code, Some(0));
    for word in ["Examples:", "--serve", "--bug", "early-answer", "Exit codes:"] {
        assert!(stdout.contains(word), "{word}: {stdout}");
    }
    for arguments in
        [&["--bug", "none"][..], &["--peers", "a:1"], &["--seeds", "many"], &["--serve", "nowhere"]]
    {
        let refused = register(arguments);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{arguments:?}: {refused:?}");
    }
}

fn put(node: &NodeProcess, value: u64) -> u16 {
    let request = Request::new("PUT", "/register").with("content-type", "application/json");
    node.client().send(request.with_body(value.to_string())).status
}

fn got(node: &NodeProcess) -> Option<String> {
    let answer = Client::new(&node.api).try_send(&Request::new("GET", "/register")).ok()?;
    (answer.status == 200).then(|| answer.text())
}

#[test]
fn three_real_nodes_survive_one() {
    let folder = tempfile::tempdir().unwrap();
    let addresses = [(); 3].map(|()| free_address());
    let mut nodes: Vec<NodeProcess> = (0..3)
        .map(|number| {
            let own = &addresses[number];
            let peers: Vec<&str> = addresses.iter().filter(|peer| *peer != own).map(String::as_str).collect();
            let data = folder.path().join(number.to_string()).display().to_string();
            let arguments = ["--serve", own, "--peers", &peers.join(","), "--data", &data];
            let log = folder.path().join(format!("{number}.log"));
            NodeProcess::new(REGISTER, arguments.map(str::to_owned).to_vec(), own, log)
        })
        .collect();
    nodes.iter_mut().for_each(NodeProcess::start);
    wait::until("a majority answers", || got(&nodes[0]).as_deref() == Some("null"));
    wait::until("all nodes answer", || nodes.iter().all(|node| got(node).is_some()));
    assert_eq!(put(&nodes[0], 7), 204);
    assert_eq!(got(&nodes[1]).as_deref(), Some("7"));
    nodes[0].kill();
    assert_eq!(put(&nodes[1], 8), 204);
    nodes[2].kill();
    assert_eq!(put(&nodes[1], 9), 503, "one of three is no majority");
    // All three come back from their files.
    nodes[1].kill();
    nodes.iter_mut().for_each(NodeProcess::start);
    wait::until("the last acknowledged value is there", || got(&nodes[0]).as_deref() == Some("8"));
}

#[cfg(not(feature = "sim"))]
#[test]
fn without_the_simulation_it_says_how_to_get_it() {
    let refused = register(&[]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--features sim"), "{refused:?}");
}

#[cfg(feature = "sim")]
mod simulated {
    use super::*;

    #[test]
    fn a_hundred_seeds_hold_and_every_fault_bites() {
        let Finished { code, stdout, stderr } = register(&[]);
        assert_eq!(code, Some(0), "{stdout} {stderr}");
        assert!(stdout.starts_with("all 100 seeds held"), "{stdout}");
        let bites: Vec<&str> = stdout.lines().filter(|line| line.contains(": fired ")).collect();
        assert_eq!(bites.len(), 7, "{stdout}");
        assert!(!stdout.contains("bit 0"), "{stdout}");
    }

    /// Those of "Bring your own node" that simulate, each with the end of the output that it shows.
    #[test]
    fn the_commands_in_the_readme_do_what_it_says() {
        let readme = include_str!("../../../README.md");
        let mut commands = 0;
        for block in readme.split("```sh\ncargo run -p world --features sim --example register").skip(1) {
            let (arguments, rest) = block.split_once("\n```").expect("the end of the command");
            let arguments: Vec<&str> = arguments.split_whitespace().skip(1).collect();
            let shown = rest.split("```text\n").nth(1).and_then(|text| text.split("\n```").next());
            let finished = register(&arguments);
            let held = shown.expect("an output").starts_with("all 100 seeds held");
            assert_eq!(finished.code, Some(if held { 0 } else { 1 }), "{arguments:?}: {finished:?}");
            let end = if held { "all 100 seeds held" } else { "of 100 seeds did not hold" };
            assert!(finished.stdout.contains(end), "{arguments:?}: {finished:?}");
            commands += 1;
        }
        assert_eq!(commands, 2, "the README's commands were not found");
    }

    /// Each bug is found, and the line that it is shown with finds it again in the same run.
    #[test]
    fn bugs_are_found_and_replayed() {
        for bug in ["early-answer", "no-write-back"] {
            let Finished { code, stdout, .. } = register(&["--bug", bug]);
            assert_eq!(code, Some(1), "{bug}: {stdout}");
            assert!(stdout.contains("linearizability: \"it\": no order explains operation"), "{stdout}");
            let replay = stdout.lines().find_map(|line| line.trim().strip_prefix("replay: cargo run "));
            let arguments = replay.and_then(|line| line.split_once(" -- ")).expect("a replay line").1;
            let arguments: Vec<&str> = arguments.split(' ').collect();
            let again = register(&arguments);
            assert_eq!(again.code, Some(1), "{arguments:?}: {again:?}");
            let hash = |text: &str| text.split("hash ").nth(1).map(|rest| rest[..16].to_owned());
            assert_eq!(hash(&again.stdout), hash(&stdout), "{arguments:?}");
        }
    }
}
