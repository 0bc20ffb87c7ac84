//! The documented requests in their order, and the documented answers byte for byte.

use super::*;
use crate::exposition_syntax::check;
use tests::wait;

#[test]
fn the_quick_start_answers_byte_for_byte() {
    let site = peers();
    // One node after another: which of them leads is nobody's business.
    let [one, two, three] = &mut site.clients()[..] else { panic!("three peers") };
    assert_answer(&one.get("/api/v1/printers"), 200, "[]");
    // What `curl -d` says of its body when nobody tells it the type.
    let curl = Request::new("POST", "/api/v1/printers").with_body(PRINTER);
    let curl = curl.with("Content-Type", "application/x-www-form-urlencoded");
    assert_answer(&one.send(curl), 201, PRINTER);
    assert_answer(&two.get("/api/v1/printers"), 200, &format!("[{PRINTER}]"));
    assert_answer(&two.post("/api/v1/filaments", FILAMENT), 201, FILAMENT);
    assert_answer(&three.get("/api/v1/filaments"), 200, &format!("[{FILAMENT}]"));
    assert_answer(&three.post("/api/v1/print_jobs", JOB), 201, JOB);
    assert_answer(&one.get("/api/v1/print_jobs"), 200, &format!("[{JOB}]"));
    let running = JOB.replace("Queued", "Running");
    assert_answer(&to(two, "j1", "Running"), 201, &running);
    assert_answer(&three.get("/api/v1/filaments"), 200, &format!("[{FILAMENT}]"));
    let done = JOB.replace("Queued", "Done");
    assert_answer(&to(one, "j1", "Done"), 201, &done);
    assert_answer(&two.get("/api/v1/print_jobs"), 200, &format!("[{done}]"));
    let used = FILAMENT.replace("remaining_weight_in_grams\":1000", "remaining_weight_in_grams\":900");
    assert_answer(&three.get("/api/v1/filaments"), 200, &format!("[{used}]"));
    assert_answer(&one.get("/api/v1/printers/p1"), 200, PRINTER);
    assert_answer(&two.get("/api/v1/filaments/f1"), 200, &used);
    assert_answer(&three.get("/api/v1/print_jobs/j1"), 200, &done);
}

#[test]
fn what_is_known_stays_as_it_is() {
    let site = peers();
    let mut client = site.clients().remove(0);
    furnish(&mut client);
    assert_eq!(client.post("/api/v1/print_jobs", JOB).status, 201);
    for (path, body) in [("printers", PRINTER), ("filaments", FILAMENT), ("print_jobs", JOB)] {
        let other = body.replace("Ender 3", "Ender 5").replace("Blue", "Red").replace("sword", "shield");
        for again in [body, &other] {
            let answer = client.post(&format!("/api/v1/{path}"), again);
            let detail = assert_problem(path, &answer, 409, "known-id");
            assert!(detail.contains(&body[7..9]), "{detail}");
        }
    }
    let listed = |body| serde_json::from_str::<Value>(&format!("[{body}]")).unwrap();
    let expected = [PRINTER, FILAMENT, JOB].map(listed);
    assert_eq!(everything(&mut client), expected);
}

#[test]
fn done_takes_the_weight_off_once() {
    let site = peers();
    let mut client = site.clients().remove(1);
    furnish(&mut client);
    for (id, weight, end, left) in
        [("j1", 100, "Done", 900), ("j2", 300, "Canceled", 900), ("j3", 900, "Done", 0)]
    {
        assert_eq!(client.post("/api/v1/print_jobs", job(id, weight)).status, 201);
        for early in ["Done", "Canceled", "Queued"] {
            assert_problem(early, &to(&mut client, id, early), 409, "not-next");
        }
        assert_eq!(to(&mut client, id, "Running").status, 201);
        assert_problem("back", &to(&mut client, id, "Queued"), 409, "not-next");
        let ended = to(&mut client, id, end);
        assert_eq!((ended.status, json_of(&ended)["status"].as_str()), (201, Some(end)));
        for more in ["Queued", "Running", "Done", "Canceled"] {
            let answer = to(&mut client, id, more);
            assert_problem(more, &answer, 409, "not-next");
            assert_eq!(json_of(&answer)["job_status"], end);
        }
        assert_eq!(remaining(&mut client), left, "{id}");
    }
}

#[test]
fn what_is_reserved_cannot_be_used_twice() {
    let site = peers();
    let mut client = site.clients().remove(2);
    furnish(&mut client);
    assert_eq!(client.post("/api/v1/print_jobs", job("j1", 700)).status, 201);
    let answer = client.post("/api/v1/print_jobs", job("j2", 301));
    assert_problem("too heavy", &answer, 409, "not-enough-filament");
    let problem = json_of(&answer);
    assert_eq!(problem["remaining_weight_in_grams"], 1000);
    assert_eq!(problem["reserved_weight_in_grams"], 700);
    assert_eq!(client.post("/api/v1/print_jobs", job("j3", 300)).status, 201);
    for status in ["Running", "Canceled"] {
        assert_eq!(to(&mut client, "j1", status).status, 201);
    }
    assert_eq!(client.post("/api/v1/print_jobs", job("j2", 700)).status, 201);
    assert_eq!(remaining(&mut client), 1000);
}

#[test]
fn jobs_need_a_printer_and_a_filament() {
    let site = peers();
    let mut client = site.clients().remove(0);
    let answer = client.post("/api/v1/print_jobs", JOB);
    assert!(assert_problem("no printer", &answer, 422, "unknown-printer").contains("\"p1\""));
    assert_eq!(client.post("/api/v1/printers", PRINTER).status, 201);
    let answer = client.post("/api/v1/print_jobs", JOB);
    assert!(assert_problem("no filament", &answer, 422, "unknown-filament").contains("\"f1\""));
    assert_answer(&client.get("/api/v1/print_jobs"), 200, "[]");
}

#[test]
fn a_repeated_key_has_one_effect_and_one_answer() {
    let site = peers();
    let mut clients = site.clients();
    furnish(&mut clients[0]);
    let keyed = |request: Request, key: &str| request.with("Idempotency-Key", key);
    for client in &mut clients {
        let create = keyed(Request::post("/api/v1/print_jobs", JOB), "create-j1");
        assert_answer(&client.send(create), 201, JOB);
    }
    for (status, key) in
        [("Running", "run-j1"), ("Done", "end-j1"), ("Running", "run-j1"), ("Done", "end-j1")]
    {
        for client in &mut clients {
            let path = format!("/api/v1/print_jobs/j1/status?status={status}");
            let answer = client.send(keyed(Request::new("POST", &path), key));
            assert_answer(&answer, 201, &JOB.replace("Queued", status));
        }
    }
    assert_eq!(remaining(&mut clients[1]), 900);
    let other = keyed(Request::post("/api/v1/print_jobs", job("j2", 1)), "create-j1");
    assert_problem("another job", &clients[2].send(other), 422, "key-reused");
}

#[test]
fn metrics_are_the_prometheus_text_with_the_documented_names() {
    let site = peers();
    let mut clients = site.clients();
    furnish(&mut clients[0]);
    wait::until("one of three leads", || {
        let leads = clients.iter_mut().map(|client| {
            let answer = client.get("/metrics");
            assert_eq!(answer.status, 200);
            let samples = check(&answer.text()).unwrap_or_else(|why| panic!("{why}\n{}", answer.text()));
            let value = |name: &str| samples.iter().find(|sample| sample.name == name).map(|s| s.value);
            for name in ["raft3d_requests_total", "raft3d_snapshots_total", "raft3d_is_leader"] {
                assert!(value(name).is_some(), "{name}: {}", answer.text());
            }
            assert!(value("process_cpu_seconds_total").is_some_and(|seconds| seconds > 0.0));
            assert!(value("process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6));
            value("raft3d_is_leader").unwrap_or_default()
        });
        leads.sum::<f64>() == 1.0
    });
    let requests = |client: &mut Client| {
        let answer = client.get("/api/v1/metrics");
        let samples = check(&answer.text()).unwrap();
        samples.iter().find(|sample| sample.name == "raft3d_requests_total").unwrap().value
    };
    let before = requests(&mut clients[1]);
    clients[1].get("/api/v1/printers");
    assert_eq!(requests(&mut clients[1]), before + 2.0);
}

#[test]
fn lists_come_in_pages_and_by_status() {
    let site = peers();
    let mut client = site.clients().remove(0);
    furnish(&mut client);
    for number in 0..7 {
        assert_eq!(client.post("/api/v1/print_jobs", job(&format!("j{number}"), 1)).status, 201);
    }
    assert_eq!(to(&mut client, "j3", "Running").status, 201);
    let mut ids = |query: &str| -> Vec<String> {
        let jobs = json_of(&client.get(&format!("/api/v1/print_jobs{query}")));
        jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("?limit=2"), ["j0", "j1"]);
    assert_eq!(ids("?limit=2&after=j5"), ["j6"]);
    assert_eq!(ids("?status=Running&consistency=linearizable"), ["j3"]);
    assert_eq!(ids("?status=Queued&after=j2"), ["j4", "j5", "j6"]);
}
