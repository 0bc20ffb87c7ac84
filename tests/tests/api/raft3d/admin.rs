//! Leadership moves where it is asked to, stays there, and is nobody's to move without the token.

use super::*;
use std::time::{Duration, Instant};
use tests::wait;

fn leads(client: &mut Client) -> bool {
    let stats = json_of(&client.get("/replicas"));
    stats["groups"].as_array().unwrap().iter().any(|group| group["group"] == 0 && group["leads"] == true)
}

fn leader(clients: &mut [Client]) -> Option<usize> {
    let leaders: Vec<bool> = clients.iter_mut().map(leads).collect();
    leaders.iter().position(|leads| *leads)
}

fn ask(api: &str, call: &str) -> Answer {
    let request = Request::new("POST", &format!("/api/v1/admin/{call}"));
    Client::new(api).with_token(client::DEV_TOKEN).send(request)
}

#[test]
fn leadership_goes_where_it_is_asked_to() {
    let site = peers();
    let mut clients = site.clients();
    furnish(&mut clients[0]);
    for place in [2, 1, 0, 1, 1] {
        let answer = ask(&site.api[place], "become_leader");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let said = json_of(&answer);
        assert_eq!(said["leader"], place as u64 + 1);
        assert!(said["term"].as_u64().is_some_and(|term| term > 0), "{said}");
        assert_eq!(said["api"], *site.api[place].as_str());
        assert!(leads(&mut clients[place]));
    }
    // It stays: two looks' worth of time passes in which a hand-over to an older home would begin.
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        assert_eq!(leader(&mut clients), Some(1));
        std::thread::sleep(Duration::from_millis(100));
    }
    let answer = ask(&site.api[1], "resign_leader");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let heir = json_of(&answer)["leader"].as_u64().unwrap();
    assert_ne!(heir, 2);
    wait::until("the heir leads", || leader(&mut clients) == Some(heir as usize - 1));
    let again = ask(&site.api[1], "resign_leader");
    assert_problem("it does not lead any more", &again, 409, "not-leader");
    assert_eq!(json_of(&again)["leader"], heir);
    assert_answer(&clients[2].get("/api/v1/printers"), 200, &format!("[{PRINTER}]"));
}

#[test]
fn moving_leadership_needs_the_token() {
    let site = peers();
    for call in ["become_leader", "resign_leader"] {
        let path = format!("/api/v1/admin/{call}");
        let answer = Client::new(&site.api[0]).send(Request::new("POST", &path));
        assert_problem(call, &answer, 401, "unauthorized");
        let answer = Client::new(&site.api[0]).with_token(client::DEV_TOKEN).get(&path);
        assert_problem(call, &answer, 405, "method");
    }
}
