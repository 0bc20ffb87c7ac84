//! From the bytes of a batch to one command a partition.
//!
//! The common case, a batch without a mistake, is read once and in place: texts are borrowed from the body.
//! Only when that fails is every metric read for itself, to say which ones are wrong and why.

use super::command::{
    Counts, DefinitionRef, Kind, MAX_NAME_BYTES, MAX_TAGS, MAX_TEXT_BYTES, MAX_TIME_MS, Part, encode,
};
use crate::http::error::ApiError;
use crate::partition;
use client::metricstream::ItemError;
use replica::GroupId;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_bytes::Bytes;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Metrics in a batch at most.
pub const MAX_METRICS: usize = 10_000;
/// Largest body of a batch.
pub const MAX_BODY_BYTES: usize = 2 << 20;
/// Mistakes that an answer names at most; it counts all of them.
pub const MAX_ERRORS: usize = 100;

/// A batch as it was sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    metrics: Vec<Metric<'a>>,
}

/// The same, with metrics that may be anything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LooseBatch<'a> {
    #[serde(borrow)]
    metrics: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metric<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    value: Given<'a>,
    #[serde(rename = "type", default = "gauge")]
    kind: Kind,
    #[serde(borrow, default)]
    tags: Tags<'a>,
    timestamp: Option<u64>,
}

fn gauge() -> Kind {
    Kind::Gauge
}

/// A text, borrowed where it holds no escapes.
struct Text<'a>(Cow<'a, str>);

/// A value: a number, or a text for a set.
enum Given<'a> {
    Number(f64),
    Text(Cow<'a, str>),
}

/// Tags in the order of their keys.
#[derive(Default)]
struct Tags<'a>(Vec<(Text<'a>, Text<'a>)>);

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a string for a set")
    }
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Given::Number(value as f64))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Given::Number(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Given::Number(value))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Given::Text(Cow::Borrowed(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Given::Text(Cow::Owned(value.to_owned())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Given<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(value.to_owned())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TagsVisitor;

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = Tags<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tags: Vec<(Text<'de>, Text<'de>)> = Vec::new();
        while let Some(tag) = map.next_entry()? {
            if tags.len() >= MAX_TAGS {
                return Err(A::Error::custom(format!("more than {MAX_TAGS} tags")));
            }
            tags.push(tag);
        }
        tags.sort_by(|a, b| a.0.0.cmp(&b.0.0));
        if let Some(twice) = tags.windows(2).find(|two| two[0].0.0 == two[1].0.0) {
            return Err(A::Error::custom(format!("the tag {:?} comes twice", twice[0].0.0)));
        }
        Ok(Tags(tags))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TagsVisitor)
    }
}

/// One rule for names, tags and members.
fn check_text(what: &str, text: &str, shortest: usize, longest: usize) -> Result<(), String> {
    if text.len() < shortest || text.len() > longest {
        return Err(format!("{what} has {} bytes; allowed are {shortest} to {longest}", text.len()));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(found) => Err(format!("{what} holds the control character {found:?}")),
        None => Ok(()),
    }
}

impl Metric<'_> {
    fn check(&self) -> Result<(), String> {
        check_text("`name`", &self.name.0, 1, MAX_NAME_BYTES)?;
        for (key, value) in &self.tags.0 {
            check_text("the key of a tag", &key.0, 1, MAX_TEXT_BYTES)?;
            check_text(&format!("the tag {:?}", key.0), &value.0, 0, MAX_TEXT_BYTES)?;
        }
        if self.timestamp.is_some_and(|at| at > MAX_TIME_MS) {
            return Err(format!("`timestamp` is milliseconds since the Unix epoch, {MAX_TIME_MS} at most"));
        }
        match (self.kind, &self.value) {
            (Kind::Set, Given::Text(member)) => check_text("`value`", member, 1, MAX_TEXT_BYTES),
            (kind, Given::Text(_)) => {
                Err(format!("`value` of a {} must be a number; only a set takes a string", kind.name()))
            }
            (_, Given::Number(value)) if !value.is_finite() => Err("`value` must be a finite number".into()),
            (Kind::Counter, Given::Number(value)) if *value < 0.0 => {
                Err("`value` of a counter is an increment, and never below zero".into())
            }
            _ => Ok(()),
        }
    }
}

/// The columns of one partition while they are filled.
#[derive(Default)]
struct Filling<'a> {
    series: Vec<Vec<u8>>,
    places: HashMap<Vec<u8>, u32>,
    of: Vec<u32>,
    times: Vec<u64>,
    timed: bool,
    values: Vec<u8>,
    members: Vec<Cow<'a, str>>,
    /// Numbers of the metrics in their batch.
    metrics: Vec<u32>,
}

impl<'a> Filling<'a> {
    fn push(&mut self, metric: Metric<'a>, number: u32, scratch: &mut Vec<u8>) {
        let tags = metric.tags.0.iter().map(|(key, value)| (&*key.0, &*value.0)).collect();
        let definition = DefinitionRef { kind: metric.kind, name: &metric.name.0, tags };
        scratch.clear();
        // Serialisation of plain data into memory has no way to fail.
        *scratch = postcard::to_extend(&definition, std::mem::take(scratch)).unwrap_or_default();
        let place = match self.places.get(scratch.as_slice()) {
            Some(place) => *place,
            None => {
                // A batch holds far fewer metrics than 32 bits can number.
                let place = self.series.len() as u32;
                self.places.insert(scratch.clone(), place);
                self.series.push(scratch.clone());
                place
            }
        };
        self.of.push(place);
        self.times.push(metric.timestamp.map_or(0, |at| at + 1));
        self.timed |= metric.timestamp.is_some();
        self.metrics.push(number);
        let bits = match (metric.kind, metric.value) {
            (Kind::Set, Given::Text(member)) => self.member(member),
            // 1 and 1.0 are one member.
            (Kind::Set, Given::Number(value)) => self.member(Cow::Owned((value + 0.0).to_string())),
            // -0 and 0 are one number to users, and one pattern of bits to replicas.
            (_, Given::Number(value)) => (value + 0.0).to_bits(),
            (_, Given::Text(_)) => 0,
        };
        self.values.extend_from_slice(&bits.to_le_bytes());
    }

    fn member(&mut self, member: Cow<'a, str>) -> u64 {
        self.members.push(member);
        self.members.len() as u64 - 1
    }

    fn part(&self, digest: u64, counts: Counts) -> Part<'_> {
        Part {
            digest,
            counts,
            series: self.series.iter().map(|series| Bytes::new(series)).collect(),
            of: self.of.clone(),
            times: if self.timed { self.times.clone() } else { Vec::new() },
            values: &self.values,
            members: self.members.iter().map(|member| &**member).collect(),
        }
    }
}

/// Batches that were read: what goes where, and what is wrong with the rest.
#[derive(Default)]
pub struct Sorted<'a> {
    parts: BTreeMap<GroupId, Filling<'a>>,
    /// Metrics of the batch.
    pub count: u64,
    /// Metrics that break a rule.
    pub rejected: u64,
    /// The first mistakes.
    pub errors: Vec<ItemError>,
}

impl Sorted<'_> {
    /// Groups that get a part.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.parts.keys().copied()
    }

    /// Metrics for a group.
    pub fn count_of(&self, group: GroupId) -> u64 {
        self.parts.get(&group).map_or(0, |part| part.of.len() as u64)
    }

    /// The part of a group; without points if it has none.
    pub fn part(&self, group: GroupId, digest: u64, counts: Counts) -> Part<'_> {
        let part = self.parts.get(&group).map(|part| part.part(digest, counts));
        part.unwrap_or_else(|| Part { digest, counts, ..Part::default() })
    }

    /// The number in the batch of a point of a group's part.
    pub fn metric(&self, group: GroupId, point: u32) -> Option<u32> {
        self.parts.get(&group)?.metrics.get(point as usize).copied()
    }

    /// Hash over everything in the batch.
    pub fn digest(&self) -> u64 {
        self.parts.iter().fold(self.rejected, |hash, (group, part)| {
            let bytes = encode(&part.part(0, Counts::default()));
            xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, hash ^ group)
        })
    }

    /// Notes a mistake.
    pub fn reject(&mut self, index: u32, error: String) {
        self.rejected += 1;
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(ItemError { index, error });
        }
    }
}

/// Reads a batch for a cluster of so many partitions.
///
/// # Errors
/// [`ApiError`] if it is not a batch at all.
pub fn sort(body: &[u8], partitions: u32) -> Result<Sorted<'_>, ApiError> {
    let mut sorted = Sorted::default();
    sorted.read(body, partitions, &|_| true)?;
    Ok(sorted)
}

fn check_count(count: usize) -> Result<u64, ApiError> {
    if !(1..=MAX_METRICS).contains(&count) {
        let text = format!("`metrics` holds {count} metrics; allowed are 1 to {MAX_METRICS}");
        return Err(ApiError::invalid("invalid-value", text));
    }
    Ok(count as u64)
}

impl<'a> Sorted<'a> {
    /// Reads one batch more; of the groups that are not wanted nothing is kept.
    ///
    /// # Errors
    /// [`ApiError`] if it is not a batch at all.
    pub fn read(
        &mut self,
        body: &'a [u8],
        partitions: u32,
        wanted: &dyn Fn(GroupId) -> bool,
    ) -> Result<(), ApiError> {
        let mut scratch = Vec::new();
        match serde_json::from_slice::<Batch<'_>>(body) {
            Ok(batch) => {
                self.count += check_count(batch.metrics.len())?;
                for (number, metric) in batch.metrics.into_iter().enumerate() {
                    self.take(number, Ok(metric), partitions, wanted, &mut scratch);
                }
            }
            Err(_) => {
                let batch: LooseBatch<'_> = serde_json::from_slice(body).map_err(|error| {
                    let code = if error.is_data() { "invalid-value" } else { "invalid-json" };
                    ApiError::invalid(code, format!("the body is not a batch: {error}"))
                })?;
                self.count += check_count(batch.metrics.len())?;
                for (number, raw) in batch.metrics.into_iter().enumerate() {
                    let metric = serde_json::from_str(raw.get()).map_err(|error| error.to_string());
                    self.take(number, metric, partitions, wanted, &mut scratch);
                }
            }
        }
        Ok(())
    }

    /// Reads a message of a queue: a batch, or one metric. What is neither is one mistake.
    pub fn read_message(&mut self, body: &'a [u8], partitions: u32, wanted: &dyn Fn(GroupId) -> bool) {
        if body.len() > MAX_BODY_BYTES {
            self.count += 1;
            self.reject(0, format!("it has {} bytes; allowed are {MAX_BODY_BYTES}", body.len()));
            return;
        }
        let Err(error) = self.read(body, partitions, wanted) else { return };
        let metric = serde_json::from_slice::<Metric<'_>>(body).map_err(|_| error.to_string());
        self.count += 1;
        self.take(0, metric, partitions, wanted, &mut Vec::new());
    }

    fn take(
        &mut self,
        number: usize,
        metric: Result<Metric<'a>, String>,
        partitions: u32,
        wanted: &dyn Fn(GroupId) -> bool,
        scratch: &mut Vec<u8>,
    ) {
        // At most `MAX_METRICS`.
        let number = number as u32;
        match metric.and_then(|metric| metric.check().map(|()| metric)) {
            Ok(metric) => {
                let group = partition::group_of(&metric.name.0, partitions);
                if wanted(group) {
                    self.parts.entry(group).or_default().push(metric, number, scratch);
                }
            }
            Err(error) => self.reject(number, error),
        }
    }
}
