//! Makes a golden data folder of the present storage format: `cargo run -p tests --example golden -- FOLDER`.
//!
//! A real cluster of one control node and three workers takes some thousand small writes, keyed and
//! plain, with logs cut so short that compaction happens many times. Then it ends, and the folder gets
//! each node's store, compressed, and `expected.json`: every value that was acknowledged, by series.
//! To be run once, before a format changes; what it made is never made again.

#![allow(clippy::disallowed_methods, reason = "a tool beside the nodes, not a part of them")]

use client::{Client, ClientOptions};
use flate2::Compression;
use flate2::write::GzEncoder;
use server::options::Tuning;
use server::{Cluster, EmbeddedOptions};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const SERIES: u64 = 24;
const VALUES: u64 = 100;

fn main() -> anyhow::Result<()> {
    let Some(folder) = std::env::args().nth(1) else { anyhow::bail!("name the folder to write") };
    let data = std::env::temp_dir().join(format!("golden-{}", std::process::id()));
    let tuning = Tuning {
        compact_after_entries: 64,
        trailing_entries: 8,
        snapshot_chunk_bytes: 4096,
        ..Tuning::default()
    };
    let options = EmbeddedOptions { data: data.clone(), tuning, ..EmbeddedOptions::default() };
    let cluster = Cluster::start(options)?;
    let endpoints = cluster.api_addresses();
    let token = cluster.token().to_owned();
    let deadline = Duration::from_secs(10);
    let client = Client::new(ClientOptions { endpoints, token, deadline });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let expected = runtime.block_on(write_all(&client))?;
    let names = cluster.names();
    cluster.stop();
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("expected.json"), serde_json::to_vec(&expected)?)?;
    for name in names {
        for entry in std::fs::read_dir(data.join(&name))? {
            let entry = entry?;
            let to = folder.join(format!("{name}.{}.gz", entry.file_name().to_string_lossy()));
            let mut packed = GzEncoder::new(std::fs::File::create(to)?, Compression::best());
            packed.write_all(&std::fs::read(entry.path())?)?;
            packed.finish()?;
        }
    }
    std::fs::remove_dir_all(&data)?;
    Ok(())
}

async fn write_all(client: &Client) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    let writers = (0..SERIES).map(|series| tokio::spawn(write_series(client.clone(), series)));
    let writers: Vec<_> = writers.collect();
    let mut expected = BTreeMap::new();
    for writer in writers {
        let (name, values) = writer.await??;
        expected.insert(name, values);
    }
    Ok(expected)
}

async fn write_series(client: Client, series: u64) -> anyhow::Result<(String, Vec<f64>)> {
    let name = format!("golden.series-{series}");
    let mut values = Vec::new();
    for number in 0..VALUES {
        let value = (series * VALUES + number) as f64 + 0.1;
        let key = (number % 2 == 0).then(|| format!("golden-{series}-{number}"));
        client.record(&name, value, key.as_deref()).await?;
        values.push(value);
    }
    Ok((name, values))
}
