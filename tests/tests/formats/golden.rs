//! A real cluster on the golden data folder of each format reads every value, and takes new ones.

use client::{Client, ClientOptions};
use flate2::read::GzDecoder;
use server::{Cluster, EmbeddedOptions};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn golden(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(format)
}

/// Puts a golden folder's files where the nodes of an embedded cluster look for them.
fn unpack(format: &str, data: &Path) {
    let mut files = 0;
    for entry in std::fs::read_dir(golden(format)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((node, file)) = name.strip_suffix(".gz").and_then(|name| name.split_once('.')) else {
            continue;
        };
        std::fs::create_dir_all(data.join(node)).unwrap();
        let mut unpacked = File::create(data.join(node).join(file)).unwrap();
        std::io::copy(&mut GzDecoder::new(File::open(&path).unwrap()), &mut unpacked).unwrap();
        files += 1;
    }
    assert_eq!(files, 4, "a file of each node");
}

fn expected(format: &str) -> BTreeMap<String, Vec<f64>> {
    serde_json::from_reader(File::open(golden(format).join("expected.json")).unwrap()).unwrap()
}

async fn check_all(client: &Client, expected: &BTreeMap<String, Vec<f64>>) {
    for (name, values) in expected {
        let found = client.values(name, false).await.unwrap().answer.expect("a series of the golden folder");
        assert_eq!(found.values, *values, "{name}");
        let aggregate = client.aggregate(name, false).await.unwrap().answer.unwrap();
        assert_eq!(aggregate.count, values.len() as u64, "{name}");
    }
}

#[test]
fn format_1_is_read_whole_and_written_on() {
    is_read_whole_and_written_on("format-1");
}

#[test]
fn format_2_is_read_whole_and_written_on() {
    is_read_whole_and_written_on("format-2");
}

fn is_read_whole_and_written_on(format: &str) {
    let folder = tempfile::tempdir().unwrap();
    unpack(format, folder.path());
    let mut expected = expected(format);
    assert_eq!(expected.values().map(Vec::len).sum::<usize>(), 2400);
    let options = || EmbeddedOptions { data: folder.path().to_owned(), ..EmbeddedOptions::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // The second start opens what the first one wrote in today's format.
    for round in 0..2 {
        let cluster = Cluster::start(options()).unwrap();
        let client = Client::new(ClientOptions {
            endpoints: cluster.api_addresses(),
            token: cluster.token().to_owned(),
            deadline: Duration::from_secs(10),
        });
        runtime.block_on(async {
            check_all(&client, &expected).await;
            let (name, values) = expected.iter_mut().nth(round).unwrap();
            // A key of the old cluster still answers with its first answer: nothing is added.
            let series = name.rsplit('-').next().unwrap();
            client.record(name, values[0], Some(&format!("golden-{series}-0"))).await.unwrap();
            client.record(name, 7.25, None).await.unwrap();
            values.push(7.25);
            check_all(&client, &expected).await;
        });
        cluster.stop();
    }
}
