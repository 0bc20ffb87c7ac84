//! `/openapi.json` says what there is: every path in it is answered, every answer is a documented one, and no
//! route is left out.

use crate::site::Site;
use serde_json::Value;
use server::Profile;
use std::path::Path;
use tests::client::Client;
use tests::wire::Request;

fn description(client: &mut Client) -> Value {
    serde_json::from_slice(&client.get("/openapi.json").body).unwrap()
}

/// A request for every operation, with the example where there is one.
fn requests(description: &Value) -> Vec<(String, String, String, Vec<u16>)> {
    let mut requests = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let media = &operation["requestBody"]["content"];
            // The first media type is the one for people.
            let media = media.as_object().and_then(|types| types.get("application/json"));
            let example = media.map(|media| media["example"].clone()).filter(|example| !example.is_null());
            let body = example.map(|example| example.to_string()).unwrap_or_default();
            let statuses = operation["responses"].as_object().unwrap().keys();
            let statuses = statuses.map(|status| status.parse().unwrap()).collect();
            let path = path.replace("{name}", "a").replace("{", "").replace('}', "");
            requests.push((method.to_uppercase(), path, body, statuses));
        }
    }
    requests
}

#[test]
fn every_documented_path_answers_as_documented() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client().with_token(client::DEV_TOKEN);
    let requests = requests(&description(&mut client));
    assert!(requests.len() > 20);
    for (method, path, body, statuses) in requests {
        let request = Request::new(&method, &path).with_body(body).with("Content-Type", "application/json");
        let answer = client.send(request);
        assert!(statuses.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        let text = answer.text();
        assert!(!text.contains("unknown-path"), "{method} {path}: {text}");
    }
}

#[test]
fn no_route_is_left_out() {
    let site = Site::start(Profile::Unified);
    let description = description(&mut site.client());
    let documented: Vec<&String> = description["paths"].as_object().unwrap().keys().collect();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../nodes/apps/src")];
    let mut routes = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for route in text.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                routes += 1;
                assert!(
                    documented.iter().any(|known| known.ends_with(route)),
                    "{path:?}: {route} is undocumented"
                );
            }
        }
    }
    assert!(routes > 15, "found only {routes} routes");
}
