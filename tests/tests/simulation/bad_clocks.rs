//! What is decided by a clock, under clocks that are wrong: rate limits, timeouts, elections.
//!
//! There are no leases: reads ask a quorum (ReadIndex), whatever any clock says.

use crate::stage::{MS, SECOND, heard, idle, on, run, simulate};
use crate::trio::trio;
use apps::http::rate_limit::{Gate, RateLimit, check};
use axum::{Router, middleware, routing::get};
use check::{Admission, Rate, judge_limits};
use rt::sim::clock::ClockFault;
use rt::sim::machine::MachineId;
use rt::sim::{Options, World};
use rt::time::{Instant, sleep};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt;

const HOUR_MS: i64 = 3_600_000;
const TENTH_PPM: i64 = 100_000;

/// Moments at which requests were let in.
type Admitted = Arc<Mutex<Vec<u64>>>;

/// A server that lets ten requests a second in, and notes when.
fn limited(world: &Arc<World>, admitted: &Admitted) -> MachineId {
    let (world_of, admitted) = (Arc::downgrade(world), admitted.clone());
    world.add_machine("limited", "10.0.0.9".parse().unwrap(), move || {
        let (world, admitted) = (world_of.clone(), admitted.clone());
        async move {
            let note = move || async move {
                let world = world.upgrade().expect("the simulation runs");
                admitted.lock().unwrap().push(world.now_ns());
            };
            let rate = "10/s".parse::<RateLimit>().unwrap();
            let gate = Gate::new(move || Some(rate));
            let router = Router::new().route("/", get(note));
            let router = router.layer(middleware::from_fn_with_state(gate, check));
            let listener = rt::net::TcpListener::bind("0.0.0.0:80").await.unwrap();
            let _server = rt::http::serve(listener, router, rt::http::ServeOptions::default()).unwrap();
            std::future::pending::<()>().await;
        }
    })
}

/// Asks about fifty times a second for ever; a refused request says when to come back.
async fn hammer() {
    let http = rt::http::Client::new(rt::http::ClientOptions::default());
    loop {
        let request = http::Request::get("/").body(bytes::Bytes::new()).unwrap();
        if let Ok(answer) = http.send("10.0.0.9:80", request, 60 * SECOND).await {
            let retry_after = answer.headers().get(http::header::RETRY_AFTER);
            assert_eq!(answer.status() == 429, retry_after.is_some());
            assert!(retry_after.is_none_or(|seconds| seconds == "1"));
        }
        sleep(20 * MS).await;
    }
}

fn broken(admitted: &Admitted, drift_ppm_max: u64) -> usize {
    let admission = |at: &u64| {
        let (client, counter) = ("hammer".into(), "limited".into());
        Admission { client, counter, from_ns: *at, to_ns: *at }
    };
    let admissions: Vec<_> = admitted.lock().unwrap().iter().map(admission).collect();
    judge_limits(&Rate { limit: 10, window_ns: 1_000_000_000, drift_ppm_max }, &admissions).len()
}

#[test]
fn a_rate_limit_holds_under_every_clock_fault_and_pause() {
    simulate(|world| async move {
        let admitted = Admitted::default();
        let server = limited(&world, &admitted);
        drop(world.spawn_on(idle(&world, 1), hammer()));
        for fault in [
            ClockFault::Offset { ms: HOUR_MS },
            ClockFault::Jump { ms: HOUR_MS },
            ClockFault::Jump { ms: -2 * HOUR_MS },
            ClockFault::Strobe { ms: 5_000, period: 30 * MS },
            ClockFault::Drift { ppm: -TENTH_PPM },
        ] {
            let in_force = world.disturb_clock(server, fault);
            sleep(7 * SECOND).await;
            world.mend(in_force);
        }
        for _ in 0..5 {
            world.pause(server);
            sleep(700 * MS).await;
            world.resume(server);
            sleep(700 * MS).await;
        }
        assert_eq!(broken(&admitted, 0), 0, "none of these lets a client have more");
        let count = admitted.lock().unwrap().len();
        assert!((320..=430).contains(&count), "{count} of about 390: the limit is one, and is no wall");

        // A fast clock does, within its drift: that is what the judge's bound is for.
        world.disturb_clock(server, ClockFault::Drift { ppm: TENTH_PPM });
        sleep(7 * SECOND).await;
        assert!(broken(&admitted, 0) > 0, "a clock that is fast by a tenth was not felt");
        assert_eq!(broken(&admitted, TENTH_PPM.unsigned_abs()), 0);
    });
}

#[test]
fn request_timeouts_are_on_the_nodes_own_clock() {
    simulate(|world| async move {
        let (silent, one) = (idle(&world, 1), idle(&world, 2));
        let _listener = crate::stage::listen(&world, silent, 80).await;
        let mut took = Vec::new();
        for ppm in [0, TENTH_PPM, -TENTH_PPM, 1_000_000] {
            let drift = world.disturb_clock(one, ClockFault::Drift { ppm });
            let jump = world.disturb_clock(one, ClockFault::Jump { ms: HOUR_MS });
            let begin = Instant::now();
            let asked = on(&world, one, async {
                let http = rt::http::Client::new(rt::http::ClientOptions::default());
                let request = http::Request::get("/").body(bytes::Bytes::new()).unwrap();
                http.send("10.0.0.1:80", request, 2200 * MS).await
            });
            assert!(matches!(asked.await, Err(rt::http::RequestError::TimedOut { .. })));
            took.push(begin.elapsed().as_millis());
            assert!(world.mend(drift) > 0 || ppm == 0);
            world.mend(jump);
        }
        assert_eq!(took, [2200, 2000, 2444, 1100]);
    });
}

#[test]
fn leaders_stay_under_drift_of_a_tenth_and_go_when_they_are_paused() {
    simulate(|world| async move {
        let trio = trio(&world, |_| {}).await;
        let elected = trio.elections.count();
        assert!(elected > 0);
        for (place, ppm) in [(0, TENTH_PPM), (1, -TENTH_PPM)] {
            world.disturb_clock(trio.nodes[place], ClockFault::Drift { ppm });
        }
        let (done, failed) = trio.write(&world, 30 * SECOND).await;
        assert_eq!(failed, 0);
        assert!(done > 150, "{done} writes");
        assert_eq!(trio.elections.count(), elected, "a drift within bounds costs nobody the lead");

        let leader = trio.elections.leader();
        let paused = trio.nodes[usize::try_from(leader).unwrap() - 1];
        world.pause(paused);
        sleep(5 * SECOND).await;
        assert_ne!(trio.elections.leader(), leader, "nobody took over from a leader that is paused");
        world.resume(paused);
        let (done, failed) = trio.write(&world, 10 * SECOND).await;
        assert_eq!(failed, 0);
        assert!(done > 50, "{done} writes");
    });
}

/// What happened, without what only timestamps change.
fn history(seed: u64, jumps: bool) -> (Vec<(u64, u16, u32, &'static str)>, u64) {
    run(seed, Options { keep_events: true, ..Options::default() }, move |world| async move {
        let trio = trio(&world, |_| {}).await;
        let mut bites = 0;
        for (node, ms) in trio.nodes.iter().zip([5 * HOUR_MS, -7 * HOUR_MS, 900 * HOUR_MS]) {
            if jumps {
                let jump = world.disturb_clock(*node, ClockFault::Jump { ms });
                world.disturb_clock(*node, ClockFault::Strobe { ms, period: 10 * MS });
                trio.write(&world, SECOND).await;
                bites += world.bites(jump);
            } else {
                trio.write(&world, SECOND).await;
            }
        }
        trio.write(&world, 5 * SECOND).await;
        let trace = world.trace();
        let seen = trace.events().iter().filter(|event| event.kind != "clock_fault");
        (seen.map(|event| (event.at_ns, event.node, event.task, event.kind)).collect(), bites)
    })
}

#[test]
fn wall_clocks_that_jump_by_hours_change_nothing_but_timestamps() {
    for seed in 0..3 {
        let ((right, none), (wrong, bites)) = (history(seed, false), history(seed, true));
        assert!(none == 0 && bites > 0, "{bites} looks at clocks that had jumped");
        let differs = right.iter().zip(&wrong).find(|(right, wrong)| right != wrong);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(right.len(), wrong.len());
    }
}

/// The whole answer to a request of which the body never comes.
async fn answer_to_head(path: &str) -> String {
    let mut stream = rt::net::TcpStream::connect("10.0.0.1:8080").await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: node\r\ncontent-length: 50000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("\r\n\r\n") || answer.contains("429") && !answer.contains('}') {
        answer.push_str(&heard(&mut stream, 1).await);
    }
    answer
}

#[test]
fn who_is_over_the_rate_is_told_so_before_the_body_is_read() {
    simulate(|world| async move {
        let trio = trio(&world, |options| options.rate_limit = Some("2/h".parse().unwrap())).await;
        let asked = on(&world, trio.client, async {
            let mut answers = Vec::new();
            for path in ["/metrics", "/metrics", "/metrics", "/livez"] {
                answers.push(answer_to_head(path).await);
            }
            answers
        });
        let answers = asked.await;
        assert!(answers[0].starts_with("HTTP/1.1 401") && answers[1].starts_with("HTTP/1.1 401"));
        let refused = answers[2].to_ascii_lowercase();
        assert!(refused.starts_with("http/1.1 429"), "{refused}");
        assert!(refused.contains("retry-after: 3600\r\n"), "{refused}");
        assert!(refused.contains("content-type: application/problem+json\r\n"), "{refused}");
        assert!(refused.contains("\"code\":\"rate-limit\"") && refused.contains("2/h"), "{refused}");
        assert!(!answers[3].starts_with("HTTP/1.1 429"), "probes are not counted");
    });
}
