//! Raft3D's own description, line by line, and what nobody should send it.

mod admin;
mod bad_input;
mod files;
mod quick_start;

use super::site::{Peers, assert_problem, json_of};
use serde_json::Value;
use server::{NodeOptions, Profile};
use tests::client::Client;
use tests::wire::{Answer, Request};

const PRINTER: &str = r#"{"id":"p1","company":"Creality","model":"Ender 3"}"#;
const FILAMENT: &str = r#"{"id":"f1","type":"PLA","color":"Blue","total_weight_in_grams":1000,"remaining_weight_in_grams":1000}"#;
const JOB: &str = r#"{"id":"j1","printer_id":"p1","filament_id":"f1","filepath":"prints/sword/hilt.gcode","print_weight_in_grams":100,"status":"Queued"}"#;

/// Three equal peers, as Raft3D's quick start has them.
fn peers() -> Peers {
    peers_with(|_| {})
}

/// The same, with options changed.
fn peers_with(change: impl Fn(&mut NodeOptions)) -> Peers {
    Peers::start(3, |options| {
        options.profile = Profile::Raft3d;
        change(options);
    })
}

/// A job of that id and weight on the documented printer and filament.
fn job(id: &str, weight: u32) -> String {
    JOB.replace("j1", id).replace(":100,", &format!(":{weight},"))
}

/// Asks for a status.
fn to(client: &mut Client, id: &str, status: &str) -> Answer {
    client.send(Request::new("POST", &format!("/api/v1/print_jobs/{id}/status?status={status}")))
}

#[track_caller]
fn assert_answer(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (status, body));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// The documented printer and filament.
fn furnish(client: &mut Client) {
    assert_answer(&client.post("/api/v1/printers", PRINTER), 201, PRINTER);
    assert_answer(&client.post("/api/v1/filaments", FILAMENT), 201, FILAMENT);
}

fn remaining(client: &mut Client) -> u64 {
    json_of(&client.get("/api/v1/filaments"))[0]["remaining_weight_in_grams"].as_u64().unwrap()
}

/// Everything of Raft3D.
fn everything(client: &mut Client) -> [Value; 3] {
    ["printers", "filaments", "print_jobs"].map(|kind| json_of(&client.get(&format!("/api/v1/{kind}"))))
}
