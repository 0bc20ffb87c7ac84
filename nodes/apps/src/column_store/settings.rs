//! `[apps.analytics]` of the configuration file: the engine, what SQL may cost, and how long whoever asks all
//! partitions waits for them. The table is named after the app that has asked since the beginning.

use crate::cluster::Cluster;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The table's name.
const TABLE: &str = "analytics";

/// What keeps a second copy of the rows, to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Nothing: the columns of the replicas answer.
    #[default]
    Columnar,
    /// DuckDB.
    Duckdb,
}

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long an average and SQL wait for partitions, in milliseconds.
    pub deadline_ms: u64,
    /// `columnar` or `duckdb`.
    pub engine: Choice,
    /// Rows that an answer to `POST /sql` has at most.
    pub sql_rows: u32,
    /// How long a query may take, in milliseconds.
    pub sql_timeout_ms: u64,
    /// Memory that DuckDB may take.
    pub sql_memory_mb: u32,
    /// The program that runs DuckDB; without it, the node's own.
    pub engine_program: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            deadline_ms: 1000,
            engine: Choice::default(),
            sql_rows: 10_000,
            sql_timeout_ms: 5000,
            sql_memory_mb: 512,
            engine_program: None,
        }
    }
}

impl Settings {
    /// Those of the node; the defaults where they make no sense, which is refused before it starts.
    pub fn of(cluster: &Cluster) -> Self {
        cluster.settings(TABLE).unwrap_or_default()
    }

    /// How long an average and SQL wait for partitions.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

/// Refuses settings that make no sense, or that this build cannot follow.
///
/// # Errors
/// A text that says what is allowed, or what to do.
pub fn check(cluster: &Cluster) -> Result<(), String> {
    check_one(&cluster.settings(TABLE)?)
}

fn check_one(settings: &Settings) -> Result<(), String> {
    let ranges = [
        ("deadline_ms", settings.deadline_ms, 1, 60_000),
        ("sql_rows", settings.sql_rows.into(), 1, 1_000_000),
        ("sql_timeout_ms", settings.sql_timeout_ms, 1, 600_000),
        ("sql_memory_mb", settings.sql_memory_mb.into(), 64, 1 << 20),
    ];
    for (name, value, least, most) in ranges {
        if !(least..=most).contains(&value) {
            return Err(format!("analytics: `{name}` must lie in {least}..={most}, not {value}"));
        }
    }
    if settings.engine == Choice::Duckdb && cfg!(not(feature = "duckdb")) {
        return Err(format!("analytics: the engine duckdb is not in this program; {HOW_TO_BUILD}"));
    }
    Ok(())
}

/// What to type for a node with DuckDB.
pub const HOW_TO_BUILD: &str = "build it with a library, `export DUCKDB_LIB_DIR=\"$(.ci/duckdb-library)\" \
     LD_LIBRARY_PATH=\"$(.ci/duckdb-library)\"` and `cargo run --bin node --features duckdb -- dev --profile \
     analytics --engine duckdb`; or with `--features duckdb-bundled`, which compiles DuckDB for half an hour";

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(settings: &str) -> Result<(), String> {
        check_one(&serde_json::from_str(settings).map_err(|error| error.to_string())?)
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(checked(r#"{"deadline_ms":500,"engine":"columnar"}"#), Ok(()));
        for (settings, says) in [
            (r#"{"deadline_ms":0}"#, "1..=60000"),
            (r#"{"sql_rows":0}"#, "sql_rows"),
            (r#"{"engine":"oracle"}"#, "`columnar` or `duckdb`"),
            (r#"{"deadline":1}"#, "unknown field"),
        ] {
            let said = checked(settings).unwrap_err();
            assert!(said.contains(says), "{settings}: {said}");
        }
        #[cfg(feature = "duckdb")]
        assert_eq!(checked(r#"{"engine":"duckdb"}"#), Ok(()));
        #[cfg(not(feature = "duckdb"))]
        {
            let said = checked(r#"{"engine":"duckdb"}"#).unwrap_err();
            assert!(said.contains("--features duckdb") && said.contains("DUCKDB_LIB_DIR"), "{said}");
        }
    }
}
