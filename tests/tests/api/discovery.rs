//! Service discovery: the form that Prometheus reads, health that was seen, and questions that make no sense.

use crate::site::{Site, assert_problem, json_of};
use server::Profile;
use tests::wait;

#[test]
fn all_members_are_listed_with_what_is_known_of_them() {
    let site = Site::start(Profile::Unified);
    for mut client in site.clients() {
        wait::until("all are ready", || {
            let answer = client.get("/discovery");
            answer.status == 200 && json_of(&answer).as_array().unwrap().len() == 4
        });
        let answer = client.get("/discovery?health=all");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let groups = json_of(&answer);
        for (group, id) in groups.as_array().unwrap().iter().zip(1..) {
            assert_eq!(group.as_object().unwrap().len(), 2, "{group}");
            assert_eq!(group["targets"].as_array().unwrap().len(), 1, "{group}");
            assert!(site.addresses().iter().any(|address| group["targets"][0] == *address), "{group}");
            let labels = group["labels"].as_object().unwrap();
            assert!(
                labels.iter().all(|(name, value)| name.starts_with("__meta_seedstorm_") && value.is_string())
            );
            let label = |name: &str| group["labels"][format!("__meta_seedstorm_{name}")].as_str();
            assert_eq!(label("node"), Some(id.to_string().as_str()));
            assert_eq!(label("role"), Some(if id == 1 { "control" } else { "worker" }));
            assert_eq!((label("health"), label("state")), (Some("ready"), Some("active")));
            assert_eq!(label("region"), None, "no node was told one");
        }
        assert_eq!(json_of(&client.get("/discovery?region=eu")), serde_json::json!([]));
    }
}

#[test]
fn a_client_finds_who_can_be_asked() {
    let site = Site::start(Profile::Unified);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let http = rt::http::Client::new(rt::http::ClientOptions::default());
    // The first address is nobody's.
    let known = [tests::ports::free_address(), site.addresses()[1].clone()];
    let find = |known: &[String]| runtime.block_on(client::discover(&http, known, client::DEV_TOKEN));
    let mut all = site.addresses().to_vec();
    all.sort();
    wait::until("all are found", || {
        // A node that does not know the members yet says so.
        let mut found = find(&known).unwrap_or_default();
        found.sort();
        found == all
    });
    assert_eq!(find(&known[..1]), None);
}

#[test]
fn questions_that_make_no_sense() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    for query in ["health=fine", "health=", "health=all&health=all", "heath=all", "region=a&region=b"] {
        assert_problem(query, &client.get(&format!("/discovery?{query}")), 400, "invalid-query");
    }
    assert_eq!(client.send(tests::wire::Request::post("/discovery", "{}")).status, 405);
}
