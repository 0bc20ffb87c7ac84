//! The services on documents.

use super::command::{self, Command, MAX_DOCUMENT_BYTES, Refused, Reply};
use super::query::{Document, Found, Query};
use super::selector::Selector;
use super::services::{ask, name_of, no_document, parse, refusal, unknown_service, write};
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Documents that a read or a page gives at most.
const MAX_PAGE: u64 = 1_000;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Page {
    after: Option<String>,
    limit: Option<u64>,
}

/// A UUID of version 4. With an idempotency key it follows from that, so that a retry is the same command.
fn draw_id(key: Option<&str>) -> String {
    let mut bytes = [0; 16];
    match key {
        Some(key) => bytes = xxhash_rust::xxh3::xxh3_128(key.as_bytes()).to_be_bytes(),
        None => rt::random::fill(&mut bytes),
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&place) {
            id.push('-');
        }
        // Writing into a string has no way to fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// A document's JSON, as it is stored.
fn body_of(mut fields: Map<String, Value>) -> Result<String, ApiError> {
    fields.remove("_id");
    let body = Value::Object(fields).to_string();
    let text = format!("a document has at most {MAX_DOCUMENT_BYTES} bytes");
    if body.len() > MAX_DOCUMENT_BYTES { Err(ApiError::invalid("invalid-value", text)) } else { Ok(body) }
}

fn shown((id, body): Document) -> Value {
    let mut fields: Map<String, Value> = serde_json::from_str(&body).unwrap_or_default();
    fields.insert("_id".into(), id.into());
    Value::Object(fields)
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn invalid(text: String) -> ApiError {
    ApiError::invalid("invalid-value", text)
}

/// Carries out a service on `collection`.
///
/// # Errors
/// [`ApiError`].
pub(super) async fn documents(
    cluster: &Cluster,
    name: &str,
    collection: String,
    key: Option<String>,
    data: &[u8],
) -> Result<Vec<u8>, ApiError> {
    let collection = name_of(collection.as_bytes())?;
    match name {
        "AddDocument" => {
            let fields: Map<String, Value> = parse(data)?;
            if fields.contains_key("_id") {
                return Err(invalid("`_id` is given by the cluster".into()));
            }
            let id = draw_id(key.as_deref());
            let command = Command::Add { collection, id: id.clone(), body: body_of(fields)? };
            write(cluster, key, command).await.map(|_| id.into_bytes())
        }
        "UpdateDocument" => {
            let fields: Map<String, Value> = parse(data)?;
            let id = fields.get("_id").and_then(Value::as_str).filter(|id| command::is_id(id));
            let id = id.ok_or_else(|| invalid("`_id` must be the document's UUID".into()))?.to_owned();
            let command = Command::Update { collection, id: id.clone(), body: body_of(fields)? };
            write(cluster, key, command).await.map(|_| id.into_bytes())
        }
        "DeleteDocument" => {
            Selector::parse(data).map_err(invalid)?;
            let selector = String::from_utf8_lossy(data).into_owned();
            match write(cluster, key, Command::Delete { collection, selector }).await? {
                Reply::Deleted(count) => Ok(bytes(&json!({ "deleted": count }))),
                _ => Err(ApiError::Internal),
            }
        }
        "ReadDocument" => read(cluster, collection, data).await,
        "ReadCollection" => {
            let page: Page = if data.is_empty() { Page::default() } else { parse(data)? };
            let limit = page.limit.unwrap_or(100);
            if !(1..=MAX_PAGE).contains(&limit) || page.after.as_ref().is_some_and(|id| !command::is_id(id)) {
                return Err(invalid(format!("`limit` is 1 to {MAX_PAGE}, `after` a UUID in lower case")));
            }
            let found = found(cluster, Query::Page { collection, after: page.after, limit }).await?;
            let next = found.documents.last().filter(|_| found.more).map(|(id, _)| id.clone());
            let documents: Vec<Value> = found.documents.into_iter().map(shown).collect();
            Ok(bytes(&json!({ "documents": documents, "next": next })))
        }
        _ => Err(unknown_service(name)),
    }
}

async fn found(cluster: &Cluster, query: Query) -> Result<Found, ApiError> {
    let found: Found = ask(cluster, &query).await?;
    if found.collection { Ok(found) } else { Err(refusal(&Refused::NoCollection)) }
}

/// A UUID gives its document; a selector gives a list.
async fn read(cluster: &Cluster, collection: String, data: &[u8]) -> Result<Vec<u8>, ApiError> {
    let id = std::str::from_utf8(data).ok().map(str::trim).filter(|id| command::is_id(id));
    if let Some(id) = id {
        let found = found(cluster, Query::Document { collection, id: id.into() }).await?;
        return found.documents.into_iter().next().map(|one| bytes(&shown(one))).ok_or_else(no_document);
    }
    Selector::parse(data).map_err(invalid)?;
    let selector = String::from_utf8_lossy(data).into_owned();
    let found = found(cluster, Query::Matching { collection, selector, limit: MAX_PAGE }).await?;
    Ok(bytes(&Value::Array(found.documents.into_iter().map(shown).collect())))
}
