//! The two tests by which Distri is measured: images encrypted by many clients, and documents that must all
//! be there. Both count what failed; what is right is 0.

use super::session::{Client, ClientOptions, SendError};
use rt::task;
use rt::time::Instant;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Images to encrypt.
#[derive(Clone, Copy, Debug)]
pub struct Images {
    /// All together.
    pub tasks: u64,
    /// Tasks of one client, one after the other.
    pub each: u64,
    /// Clients at once.
    pub clients: usize,
    /// Bytes of an image.
    pub bytes: usize,
}

/// How a test went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was asked.
    pub tasks: u64,
    /// What was not answered, or wrongly.
    pub failed: u64,
    /// Mean time from asking to the answer.
    pub average: Duration,
    /// Time of the whole test.
    pub took: Duration,
}

/// Clients come one after another, each with connections of its own, and encrypt their images in sequence.
pub async fn encrypt(options: &ClientOptions, images: Images) -> Outcome {
    let (failed, micros) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let places = Arc::new(Semaphore::new(images.clients.max(1)));
    let image: Arc<[u8]> = (0..images.bytes).map(|n| (n % 251) as u8).collect();
    let started = Instant::now();
    let (mut left, mut running) = (images.tasks, Vec::new());
    while left > 0 {
        let share = left.min(images.each.max(1));
        left -= share;
        // It is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let (client, image) = (Client::new(options.clone()), image.clone());
        let (failed, micros) = (failed.clone(), micros.clone());
        running.push(task::spawn(async move {
            for _ in 0..share {
                let begun = Instant::now();
                let answer = client.send_data(image.to_vec(), "Encrypt").await;
                // A nonce and a tag more than the image.
                if !answer.is_ok_and(|sealed| sealed.len() == image.len() + 28) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                micros.fetch_add(took, Ordering::Relaxed);
            }
            drop(place);
        }));
    }
    for client in running {
        if client.await.is_err() {
            failed.fetch_add(1, Ordering::Relaxed);
        }
    }
    let average = Duration::from_micros(micros.load(Ordering::Relaxed) / images.tasks.max(1));
    Outcome { tasks: images.tasks, failed: failed.load(Ordering::Relaxed), average, took: started.elapsed() }
}

/// Four steps: create a collection, add `entries` documents from eight clients at once, read all of them,
/// delete the first tenth by a range and read again. `failed` counts entries that are missing, doubled or
/// strange in either reading. The collection goes in the end.
///
/// # Errors
/// [`SendError`], if a step is not answered at all.
pub async fn documents(options: &ClientOptions, entries: u64) -> Result<Outcome, SendError> {
    const CLIENTS: u64 = 8;
    let client = Client::new(options.clone());
    let name = format!("trial-{:016x}", rt::random::u64());
    let service = |service: &str| format!("{service}<{name}>");
    let started = Instant::now();
    client.send_data(name.clone().into(), "CreateCollection").await?;
    let fill = |number: u64| {
        let (client, add) = (Client::new(options.clone()), service("AddDocument"));
        task::spawn(async move {
            for entry in (number..entries).step_by(CLIENTS as usize) {
                client.send_data(json!({ "n": entry }).to_string().into(), &add).await?;
            }
            Ok::<_, SendError>(())
        })
    };
    let filling: Vec<_> = (0..CLIENTS).map(fill).collect();
    for task in filling {
        task.await.map_err(|_| SendError::Unanswered("a client ended".into()))??;
    }
    let filled = started.elapsed();
    let first = entries / 10;
    let mut failed = wrong(&client, &service("ReadCollection"), 0..entries).await?;
    let gone = json!({ "n": { "$lt": first } }).to_string();
    client.send_data(gone.into(), &service("DeleteDocument")).await?;
    failed += wrong(&client, &service("ReadCollection"), first..entries).await?;
    client.send_data(name.into(), "DeleteCollection").await?;
    let average = filled / u32::try_from((entries / CLIENTS).max(1)).unwrap_or(u32::MAX);
    Ok(Outcome { tasks: entries, failed, average, took: started.elapsed() })
}

/// How many of the entries are missing, doubled or strange.
async fn wrong(client: &Client, read: &str, expected: std::ops::Range<u64>) -> Result<u64, SendError> {
    let mut missing: std::collections::BTreeSet<u64> = expected.collect();
    let (mut strange, mut page) = (0, json!({ "limit": 1000 }));
    loop {
        let answer = client.send_data(page.to_string().into(), read).await?;
        let answer: Value =
            serde_json::from_slice(&answer).map_err(|error| SendError::Unanswered(error.to_string()))?;
        for document in answer["documents"].as_array().into_iter().flatten() {
            let known = document["n"].as_u64().is_some_and(|entry| missing.remove(&entry));
            strange += u64::from(!known);
        }
        let Some(next) = answer["next"].as_str() else { break };
        page = json!({ "limit": 1000, "after": next });
    }
    Ok(missing.len() as u64 + strange)
}
