//! Distri's two tests on clouds of 4 and of 6 nodes: 25,000 images from clients with ten each, and 1,000
//! documents in four steps. What is measured is what failed; how long it took is said beside it.

use super::cluster::{Cluster, Kind, Member, free_address};
use super::http::Http;
use super::place::Place;
use super::table::{Bar, Row, number};
use bytes::Bytes;
use client::distri::ClientOptions;
use client::distri::trial::{self, Images};
use serde_json::Value;
use std::fs;

const CLOUDS: [usize; 2] = [4, 6];
const IMAGES: Images = Images { tasks: 25_000, each: 10, clients: 64, bytes: 4_096 };
const DOCUMENTS: u64 = 1_000;

pub(super) fn measure(place: &Place) -> anyhow::Result<Row> {
    println!();
    let mut failed = 0;
    for nodes in CLOUDS {
        let (_cloud, bytes) = start(place, nodes)?;
        let options = ClientOptions::new(bytes);
        let images = place.http.runtime().block_on(trial::encrypt(&options, IMAGES));
        let rate = images.tasks as f64 / images.took.as_secs_f64();
        println!(
            "distri     {nodes} nodes: {} images in {:.1?}, {}/s, mean {:.1?}, {} failed",
            number(images.tasks as f64),
            images.took,
            number(rate),
            images.average,
            images.failed
        );
        let documents = place.http.runtime().block_on(trial::documents(&options, DOCUMENTS))?;
        println!(
            "distri     {nodes} nodes: {} documents in {:.1?}, mean of an added one {:.1?}, {} wrong",
            number(documents.tasks as f64),
            documents.took,
            documents.average,
            documents.failed
        );
        failed += images.failed + documents.failed;
    }
    Ok(Row {
        name: "Distri, 52,000 tasks",
        unit: "failed",
        ours: failed as f64,
        bar: Bar::LessThan(1.0),
        etcd: None,
        peer: "Distri itself: 2,475 of 25,000 images failed, documents were lost",
        spoiled: None,
    })
}

/// A cloud of equal nodes, and their addresses of the byte protocol.
fn start(place: &Place, nodes: usize) -> anyhow::Result<(Cluster, Vec<String>)> {
    let folder = place.fresh_folder("distri")?;
    let peers = (1..=nodes).map(|id| Ok(format!("{id}={}", free_address()?)));
    let peers = peers.collect::<anyhow::Result<Vec<_>>>()?.join(",");
    let (mut members, mut addresses) = (Vec::new(), Vec::new());
    for id in 1..=nodes {
        let (api, bytes) = (free_address()?, free_address()?);
        let config = folder.join(format!("{id}.toml"));
        fs::write(&config, format!("[apps.distri]\nlisten = \"{bytes}\"\n"))?;
        let (config, data) =
            (config.display().to_string(), folder.join(id.to_string()).display().to_string());
        let id = id.to_string();
        let start = ["run", "--config", &config, "--role", "all", "--profile", "distri", "--id", &id];
        let rest = ["--listen", &api, "--data", &data, "--peers", &peers, "--partitions", "1"];
        members.push(Member {
            program: place.node.clone(),
            arguments: start.iter().chain(&rest).map(ToString::to_string).collect(),
            log: folder.join(format!("{id}.log")),
            api,
            child: None,
        });
        addresses.push(bytes);
    }
    let kind = Kind {
        name: "a cloud of Distri",
        ready: "/readyz",
        write: ("/distri/AddDocument/users", Bytes::from_static(b"{}")),
        leads,
        serving: |_| Vec::new(),
    };
    Ok((Cluster::start(kind, members, &place.http)?, addresses))
}

/// Whether a node leads group 0, where the documents are.
fn leads(http: &Http, api: &str) -> anyhow::Result<bool> {
    let answer: Value = serde_json::from_slice(&http.get(api, "/replicas")?)?;
    let groups = answer["groups"].as_array().into_iter().flatten();
    Ok(groups.into_iter().any(|group| group["group"] == 0 && group["leads"] == true))
}
