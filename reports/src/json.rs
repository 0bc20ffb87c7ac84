//! `report.json`: the whole [`Report`], indented, for other programs.
//!
//! Leaves out older schemas: a file from another version is refused with both versions named. A figure
//! that is not a finite number is written as `null`, which cannot be read back.

use thiserror::Error;

use crate::model::{Report, SCHEMA_VERSION};

/// Why a report could not be written as JSON or read back.
#[derive(Debug, Error)]
pub enum JsonError {
    /// Not JSON, or not a report.
    #[error("not a report: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a program with another schema.
    #[error("the report has schema version {found}, this program reads version {SCHEMA_VERSION}")]
    Schema {
        /// Version in the file.
        found: u64,
    },
}

/// The report as indented JSON that ends with a line break.
pub fn to_bytes(report: &Report) -> Result<Vec<u8>, JsonError> {
    let mut bytes = serde_json::to_vec_pretty(report)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads back what [`to_bytes`] wrote.
pub fn from_bytes(bytes: &[u8]) -> Result<Report, JsonError> {
    #[derive(serde::Deserialize)]
    struct Version {
        schema_version: u64,
    }
    // The version first: a newer report may not have the shape of ours, and must say so itself.
    let found = serde_json::from_slice::<Version>(bytes)?.schema_version;
    if found != u64::from(SCHEMA_VERSION) {
        return Err(JsonError::Schema { found });
    }
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        let report = crate::sample::report();
        let bytes = to_bytes(&report).unwrap();
        assert!(bytes.ends_with(b"}\n"));
        assert_eq!(from_bytes(&bytes).unwrap(), report);
    }

    #[test]
    fn an_empty_report_comes_back() {
        let report = Report { schema_version: SCHEMA_VERSION, ..Report::default() };
        assert_eq!(from_bytes(&to_bytes(&report).unwrap()).unwrap(), report);
    }

    #[test]
    fn another_schema_is_refused_by_name() {
        let error = from_bytes(br#"{"schema_version": 99, "shape": "new"}"#).unwrap_err();
        assert!(matches!(error, JsonError::Schema { found: 99 }));
        assert!(error.to_string().contains("99"));
        assert!(matches!(from_bytes(b"[]").unwrap_err(), JsonError::Malformed(_)));
    }
}
