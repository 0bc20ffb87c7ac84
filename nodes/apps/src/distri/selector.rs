//! Which documents a JSON object means.
//!
//! - `{"_id":"…"}`: the document with that UUID.
//! - An object with a range in a field (`{"age":{"$gte":18,"$lt":65},"city":"Bonn"}`): documents whose
//!   fields all hold. The ranges are `$gt`, `$gte`, `$lt`, `$lte`, over numbers or over strings.
//! - Any other object: documents that equal it, whatever the order of their fields.

use serde_json::{Map, Value};
use std::cmp::Ordering;

/// A selector.
#[derive(Clone, Debug, PartialEq)]
pub enum Selector {
    /// One document.
    Id(String),
    /// Equal documents.
    Equal(Map<String, Value>),
    /// Documents whose fields hold.
    Fields(Map<String, Value>),
}

const RANGES: [&str; 4] = ["$gt", "$gte", "$lt", "$lte"];

fn is_range(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.keys().any(|key| key.starts_with('$')))
}

impl Selector {
    /// The selector in a text.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(text).map_err(|error| format!("not JSON: {error}"))?;
        let Value::Object(object) = value else { return Err("a selector is a JSON object".into()) };
        if let Some(id) = object.get("_id") {
            let id = id.as_str().filter(|id| super::command::is_id(id) && object.len() == 1);
            let id = id.ok_or("`_id` stands alone and is a UUID in lower case")?;
            return Ok(Selector::Id(id.into()));
        }
        if !object.values().any(is_range) {
            return Ok(Selector::Equal(object));
        }
        for (field, range) in object.iter().filter(|(_, value)| is_range(value)) {
            for (name, bound) in range.as_object().into_iter().flatten() {
                if !RANGES.contains(&name.as_str()) {
                    return Err(format!("`{field}`: no range {name:?}; there are {RANGES:?}"));
                }
                if !bound.is_number() && !bound.is_string() {
                    return Err(format!("`{field}`: `{name}` takes a number or a string"));
                }
            }
        }
        Ok(Selector::Fields(object))
    }

    /// True if it means this document.
    pub fn matches(&self, id: &str, document: &Map<String, Value>) -> bool {
        match self {
            Selector::Id(wanted) => wanted == id,
            Selector::Equal(wanted) => wanted == document,
            Selector::Fields(wanted) => wanted
                .iter()
                .all(|(field, condition)| document.get(field).is_some_and(|value| holds(value, condition))),
        }
    }
}

fn holds(value: &Value, condition: &Value) -> bool {
    let Some(ranges) = condition.as_object().filter(|_| is_range(condition)) else {
        return value == condition;
    };
    ranges.iter().all(|(name, bound)| match (name.as_str(), compare(value, bound)) {
        ("$gt", Some(order)) => order == Ordering::Greater,
        ("$gte", Some(order)) => order != Ordering::Less,
        ("$lt", Some(order)) => order == Ordering::Less,
        ("$lte", Some(order)) => order != Ordering::Greater,
        _ => false,
    })
}

/// Numbers with numbers, strings with strings. Whole numbers are compared exactly.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    let whole = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ if left.is_number() => left.as_f64()?.partial_cmp(&right.as_f64()?),
        _ => Some(left.as_str()?.cmp(right.as_str()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, document: &str) -> bool {
        let document = serde_json::from_str(document).unwrap();
        Selector::parse(selector.as_bytes()).unwrap().matches("", &document)
    }

    #[test]
    fn exact_and_ranges() {
        assert!(matches(r#"{"a":1,"b":"x"}"#, r#"{"b":"x","a":1}"#));
        assert!(!matches(r#"{"a":1}"#, r#"{"b":"x","a":1}"#), "equal means equal");
        assert!(!matches("{}", r#"{"a":1}"#), "an empty object is not everything");
        assert!(matches(r#"{"a":{"$gte":1,"$lt":2},"b":"x"}"#, r#"{"a":1.5,"b":"x"}"#));
        assert!(!matches(r#"{"a":{"$gte":1,"$lt":2}}"#, r#"{"a":2}"#));
        assert!(matches(r#"{"a":{"$gt":"b"}}"#, r#"{"a":"c"}"#));
        assert!(!matches(r#"{"a":{"$gt":0}}"#, r#"{"a":"c"}"#), "another kind is never in range");
        let close = r#"{"a":{"$gt":9007199254740992}}"#;
        assert!(matches(close, r#"{"a":9007199254740993}"#), "whole numbers are exact");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "[]", "1", "{", r#"{"a":{"$near":1}}"#, r#"{"a":{"$gt":null}}"#, r#"{"_id":1}"#] {
            Selector::parse(text.as_bytes()).unwrap_err();
        }
    }
}
