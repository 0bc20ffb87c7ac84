//! The tables `queue_in` and `queue_out` of `[apps.metricstream]`.

use super::Brokers;
use crate::cluster::Cluster;
use serde::Deserialize;
use std::fmt;

/// Longest name of a stream, longest subject.
const MAX_NAME_BYTES: usize = 200;

/// A broker's address; it may hold a password, so that it is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Url(String);

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Url")
    }
}

impl std::ops::Deref for Url {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// Where messages come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueIn {
    /// The broker.
    pub url: Url,
    /// Its stream.
    pub stream: String,
    /// Name under which partitions keep how far they are; without it, the stream's.
    source: Option<String>,
}

impl QueueIn {
    /// Name under which partitions keep how far they are.
    pub fn source(&self) -> String {
        format!("in:{}", self.source.as_ref().unwrap_or(&self.stream))
    }
}

/// Where points go as messages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueOut {
    /// The broker.
    pub url: Url,
    /// Its stream.
    pub stream: String,
    /// What subjects begin with: the points of partition 3 go to `subject.3`.
    pub subject: String,
}

/// Refuses what makes no sense, and what this build has no broker for.
///
/// # Errors
/// A text that says what is allowed, or what to do.
pub(in super::super) fn check(
    cluster: &Cluster,
    queue_in: Option<&QueueIn>,
    queue_out: Option<&QueueOut>,
) -> Result<(), String> {
    check_tables(queue_in, queue_out)?;
    if (queue_in.is_some() || queue_out.is_some()) && Brokers::of(cluster).is_none() {
        return Err(
            "metricstream: queue_in and queue_out need NATS, which is not in this program; build it with \
                    `cargo build --bin node --features nats`"
                .into(),
        );
    }
    Ok(())
}

fn check_tables(queue_in: Option<&QueueIn>, queue_out: Option<&QueueOut>) -> Result<(), String> {
    let urls =
        [("queue_in", queue_in.map(|queue| &queue.url)), ("queue_out", queue_out.map(|queue| &queue.url))];
    for (table, url) in urls {
        if url.is_some_and(|url| !url.starts_with("nats://") && !url.starts_with("tls://")) {
            return Err(format!("metricstream: {table}: `url` is that of a NATS server, nats://HOST:4222"));
        }
    }
    let names = [
        ("queue_in: `stream`", queue_in.map(|queue| &queue.stream)),
        ("queue_in: `source`", queue_in.and_then(|queue| queue.source.as_ref())),
        ("queue_out: `stream`", queue_out.map(|queue| &queue.stream)),
    ];
    for (what, name) in names {
        if name.is_some_and(|name| !is_name(name)) {
            let allowed = format!("1 to {MAX_NAME_BYTES} letters, digits, `-` and `_`");
            return Err(format!("metricstream: {what} must have {allowed}"));
        }
    }
    if let Some(queue) = queue_out
        && (queue.subject.len() > MAX_NAME_BYTES || !queue.subject.split('.').all(is_name))
    {
        return Err(
            "metricstream: queue_out: `subject` must be names with dots between them, without * or >".into(),
        );
    }
    match (queue_in, queue_out) {
        (Some(one), Some(other)) if one.url == other.url && one.stream == other.stream => Err(
            "metricstream: queue_in and queue_out are one stream: every point would come in again for ever"
                .into(),
        ),
        _ => Ok(()),
    }
}

fn is_name(name: &str) -> bool {
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
    fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Tables {
        queue_in: Option<QueueIn>,
        queue_out: Option<QueueOut>,
    }

    fn checked(tables: &str) -> Result<(), String> {
        let tables: Tables = serde_json::from_str(tables).map_err(|error| error.to_string())?;
        check_tables(tables.queue_in.as_ref(), tables.queue_out.as_ref())
    }

    #[test]
    fn nonsense_is_refused() {
        let good = r#"{"queue_in":{"url":"nats://me:secret@b:4222","stream":"in"},
                       "queue_out":{"url":"nats://b:4222","stream":"out","subject":"eu.points"}}"#;
        assert_eq!(checked(good), Ok(()));
        assert!(!format!("{:?}", serde_json::from_str::<Tables>(good).unwrap().queue_in).contains("secret"));
        for (tables, says) in [
            (r#"{"queue_in":{"url":"nats://b"}}"#, "missing field `stream`"),
            (r#"{"queue_in":{"url":"nats://b","stream":"in","group":"x"}}"#, "unknown field `group`"),
            (r#"{"queue_in":{"url":"amqp://b","stream":"in"}}"#, "nats://HOST"),
            (r#"{"queue_in":{"url":"nats://b","stream":"a.b"}}"#, "queue_in: `stream`"),
            (r#"{"queue_in":{"url":"nats://b","stream":"in","source":""}}"#, "queue_in: `source`"),
            (r#"{"queue_out":{"url":"nats://b","stream":"","subject":"p"}}"#, "queue_out: `stream`"),
            (r#"{"queue_out":{"url":"nats://b","stream":"out","subject":"p.*"}}"#, "without *"),
            (r#"{"queue_out":{"url":"nats://b","stream":"out","subject":"p..q"}}"#, "without *"),
            (
                r#"{"queue_in":{"url":"nats://b","stream":"s"},"queue_out":{"url":"nats://b","stream":"s","subject":"p"}}"#,
                "one stream",
            ),
        ] {
            let said = checked(tables).unwrap_err();
            assert!(said.contains(says), "{tables}: {said}");
        }
    }
}
