//! What makes no sense is refused with a clear 4xx, by every route, and has no effect.

use super::*;
use crate::site::Site;

const ROUTES: [(&str, &str); 3] =
    [("/api/v1/printers", PRINTER), ("/api/v1/filaments", FILAMENT), ("/api/v1/print_jobs", JOB)];

/// The documented object with another value in one field; without a value, without the field.
fn with(body: &str, field: &str, value: Option<Value>) -> String {
    let mut object: Value = serde_json::from_str(body).unwrap();
    match value {
        Some(value) => object[field] = value,
        None => drop(object.as_object_mut().unwrap().remove(field)),
    }
    object.to_string()
}

#[test]
fn bodies_that_make_no_sense_are_refused() {
    let site = Site::start(Profile::Raft3d);
    let mut client = site.client();
    for (path, good) in ROUTES {
        let cases: Vec<(Vec<u8>, u16, &str)> = vec![
            (b"".into(), 400, "invalid-json"),
            (b"{".into(), 400, "invalid-json"),
            (good.as_bytes()[..good.len() - 1].into(), 400, "invalid-json"),
            (format!("{good}{good}").into(), 400, "invalid-json"),
            (good.replace('"', "'").into(), 400, "invalid-json"),
            (b"{\"id\":\"\xff\xfe\"}".into(), 400, "invalid-json"),
            (b"null".into(), 400, "invalid-value"),
            (b"{}".into(), 400, "invalid-value"),
            (format!("[{good}]").into(), 400, "invalid-value"),
            (good.replacen('{', r#"{"id":"x","#, 1).into(), 400, "invalid-value"),
            (with(good, "extra", Some(1.into())).into(), 400, "invalid-value"),
            ("[".repeat(60_000).into(), 400, "invalid-value"),
            (vec![b' '; 100_000], 413, "body-too-large"),
        ];
        for (body, status, code) in cases {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            // A body that is not read to its end costs its connection.
            let answer = site.client().post(path, body);
            assert_problem(&format!("{path} {shown}"), &answer, status, code);
        }
        for kind in ["text/plain", "application/xml", "application/octet-stream", "multipart/form-data"] {
            let request = Request::new("POST", path).with("Content-Type", kind).with_body(good);
            assert_problem(kind, &client.send(request), 415, "content-type");
        }
    }
    assert_eq!(everything(&mut client), [(); 3].map(|()| Value::Array(Vec::new())));
}

#[test]
fn fields_that_make_no_sense_are_refused() {
    let site = Site::start(Profile::Raft3d);
    let mut client = site.client();
    furnish(&mut client);
    let before = everything(&mut client);
    let mut refused = |path: &str, body: String| {
        let answer = client.post(path, body.clone());
        assert_problem(&body, &answer, 400, "invalid-value")
    };
    for (path, good) in ROUTES {
        let good = good.replace("1\"", "9\"").replace("p9", "p1").replace("f9", "f1");
        let good = with(&good, "id", Some("new".into()));
        let Value::Object(fields) = serde_json::from_str(&good).unwrap() else { panic!("{good}") };
        for (field, value) in fields {
            let is_text = value.is_string();
            if field != "status" {
                assert!(refused(path, with(&good, &field, None)).contains(&field));
            }
            for wrong in [Value::Null, true.into(), serde_json::json!([1]), serde_json::json!({"a": 1})] {
                refused(path, with(&good, &field, Some(wrong)));
            }
            if is_text {
                refused(path, with(&good, &field, Some(7.into())));
                refused(path, with(&good, &field, Some("".into())));
                refused(path, with(&good, &field, Some("a\0b".into())));
                refused(path, with(&good, &field, Some("x".repeat(513).into())));
                if field.ends_with("id") {
                    assert!(refused(path, with(&good, &field, Some("ä".repeat(65).into()))).contains("130"));
                }
            } else {
                refused(path, with(&good, &field, Some("100".into())));
                for number in ["-1", "1.5", "1e3", "4294967296", "99999999999999999999"] {
                    let number: Value = serde_json::from_str(number).unwrap();
                    refused(path, with(&good, &field, Some(number)));
                }
                refused(path, with(&good, &field, Some(1_000_001.into())));
            }
        }
    }
    refused(
        "/api/v1/filaments",
        with(&FILAMENT.replace("f1", "f9"), "total_weight_in_grams", Some(0.into())),
    );
    refused("/api/v1/print_jobs", with(&job("j9", 1), "print_weight_in_grams", Some(0.into())));
    for status in ["Running", "Done", "Canceled", "queued", "Waiting"] {
        refused("/api/v1/print_jobs", with(&job("j9", 1), "status", Some(status.into())));
    }
    assert_eq!(everything(&mut client), before);
    let no_status = with(&job("j9", 1), "status", None);
    assert_answer(&client.post("/api/v1/print_jobs", no_status), 201, &job("j9", 1));
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let site = Site::start(Profile::Raft3d);
    let mut client = site.client();
    furnish(&mut client);
    assert_eq!(client.post("/api/v1/print_jobs", JOB).status, 201);
    for query in ["", "?status=", "?status=running", "?status=Finished", "?state=Running", "?status=Done&x=1"]
    {
        let answer = client.send(Request::new("POST", &format!("/api/v1/print_jobs/j1/status{query}")));
        let detail = assert_problem(query, &answer, 400, "invalid-query");
        assert!(detail.contains("Queued|Running|Done|Canceled"), "{detail}");
    }
    let twice = client.send(Request::new("POST", "/api/v1/print_jobs/j1/status?status=Running&status=Done"));
    assert_problem("twice", &twice, 400, "invalid-query");
    let huge = Request::post("/api/v1/print_jobs/j1/status?status=Running", vec![b'x'; 100_000]);
    assert_problem("a huge body", &site.client().send(huge), 413, "body-too-large");
    assert_problem("nobody", &to(&mut client, "j2", "Running"), 404, "unknown-object");
    for kind in ["printers", "filaments", "print_jobs"] {
        assert_problem(kind, &client.get(&format!("/api/v1/{kind}/zzz")), 404, "unknown-object");
        assert_problem(kind, &client.get(&format!("/api/v1/{kind}/%ff")), 400, "invalid-id");
        let long = format!("/api/v1/{kind}/{}", "x".repeat(129));
        assert_problem(kind, &client.get(&long), 400, "invalid-id");
        assert_problem(kind, &client.get(&format!("/api/v1/{kind}/p1?after=1")), 400, "invalid-query");
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=x", "consistency=maybe", "color=red"] {
            assert_problem(query, &client.get(&format!("/api/v1/{kind}?{query}")), 400, "invalid-query");
        }
        let delete = client.send(Request::new("DELETE", &format!("/api/v1/{kind}")));
        assert_problem(kind, &delete, 405, "method");
    }
    let printers = client.get("/api/v1/printers?status=Queued");
    assert_problem("printers have no status", &printers, 400, "invalid-query");
    for path in
        ["/api/v1", "/api/v1/", "/api/v1/jobs", "/api/v2/printers", "/printers", "/api/v1/printers/a/b"]
    {
        assert_problem(path, &client.get(path), 404, "unknown-path");
    }
    let long_key = Request::post("/api/v1/printers", PRINTER).with("Idempotency-Key", "k".repeat(201));
    assert_problem("a long key", &client.send(long_key), 400, "invalid-key");
    let two_keys =
        Request::post("/api/v1/printers", PRINTER).with("Idempotency-Key", "a").with("Idempotency-Key", "b");
    assert_problem("two keys", &client.send(two_keys), 400, "invalid-key");
    assert_eq!(everything(&mut client)[2][0]["status"], "Queued");
}
