//! The JSON of Raft3D: printers, filaments and print jobs, and calls for them.

use crate::session::{CallError, Client, Read, encode};
use http::Method;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;

/// A printer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Printer {
    /// Name of the object, given by who creates it.
    pub id: String,
    /// Who makes such printers.
    pub company: String,
    /// Which one it is.
    pub model: String,
}

/// A roll of filament.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filament {
    /// Name of the object, given by who creates it.
    pub id: String,
    /// Its material, for example `PLA`.
    #[serde(rename = "type")]
    pub material: String,
    /// Its colour.
    pub color: String,
    /// Weight of a full roll.
    pub total_weight_in_grams: u32,
    /// What jobs that are done have left of it.
    pub remaining_weight_in_grams: u32,
}

/// A print job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrintJob {
    /// Name of the object, given by who creates it.
    pub id: String,
    /// The printer.
    pub printer_id: String,
    /// The roll that it is printed from.
    pub filament_id: String,
    /// What is printed.
    pub filepath: String,
    /// What it takes of the roll.
    pub print_weight_in_grams: u32,
    /// How far it is.
    #[serde(default, deserialize_with = "status")]
    pub status: JobStatus,
}

/// From text where text is read: what is no text then is refused as a value, not as broken JSON.
fn status<'de, D: Deserializer<'de>>(input: D) -> Result<JobStatus, D::Error> {
    if input.is_human_readable() {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    } else {
        JobStatus::deserialize(input)
    }
}

/// How far a job is: `Queued`, then `Running`, then `Done` or `Canceled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobStatus {
    /// Waits; its weight is reserved.
    #[default]
    Queued,
    /// Is printed; its weight is reserved.
    Running,
    /// Was printed; its weight was taken off the roll.
    Done,
    /// Was given up; its weight is free again.
    Canceled,
}

impl JobStatus {
    /// All of them.
    pub const ALL: [JobStatus; 4] =
        [JobStatus::Queued, JobStatus::Running, JobStatus::Done, JobStatus::Canceled];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            JobStatus::Queued => "Queued",
            JobStatus::Running => "Running",
            JobStatus::Done => "Done",
            JobStatus::Canceled => "Canceled",
        }
    }

    /// What may follow.
    pub fn next(self) -> &'static [JobStatus] {
        match self {
            JobStatus::Queued => &[JobStatus::Running],
            JobStatus::Running => &[JobStatus::Done, JobStatus::Canceled],
            JobStatus::Done | JobStatus::Canceled => &[],
        }
    }

    /// True as long as the job's weight is reserved.
    pub fn reserves(self) -> bool {
        matches!(self, JobStatus::Queued | JobStatus::Running)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for JobStatus {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = JobStatus::ALL.map(JobStatus::name).join(", ");
        let found = JobStatus::ALL.into_iter().find(|status| status.name() == text);
        found.ok_or_else(|| format!("there is no status {text:?}; there are {names}"))
    }
}

/// An answer about who leads, of the calls that move leadership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// Id of the node that leads.
    pub leader: u64,
    /// Its name.
    pub name: String,
    /// Its API address.
    pub api: String,
    /// Its term.
    pub term: u64,
}

/// Objects on one page at most.
pub const MAX_PAGE: usize = 1000;

const BASE: &str = "/api/v1";

/// An object with routes of its own.
pub trait Object: Serialize + serde::de::DeserializeOwned + Clone {
    /// Its path under the API's base.
    const PATH: &'static str;

    /// Its id.
    fn id(&self) -> &str;
}

impl Object for Printer {
    const PATH: &'static str = "printers";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Object for Filament {
    const PATH: &'static str = "filaments";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Object for PrintJob {
    const PATH: &'static str = "print_jobs";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Client {
    /// Creates an object. With `key` it tries other endpoints until the deadline; without, it tries once.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn create<T: Object>(&self, object: &T, key: Option<&str>) -> Result<T, CallError> {
        // Serialisation of plain data into memory has no way to fail.
        let body = serde_json::to_vec(object).unwrap_or_default();
        self.write(Method::POST, &format!("{BASE}/{}", T::PATH), body.into(), key).await
    }

    /// Moves a job on. With `key` it tries other endpoints until the deadline; without, it tries once.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn set_status(
        &self,
        job: &str,
        status: JobStatus,
        key: Option<&str>,
    ) -> Result<PrintJob, CallError> {
        let path = format!("{BASE}/print_jobs/{}/status?status={status}", encode(job));
        self.write(Method::POST, &path, bytes::Bytes::new(), key).await
    }

    /// Asks one node to become the leader, or else to give its leadership to another one.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn lead(&self, become_leader: bool) -> Result<Leadership, CallError> {
        let call = if become_leader { "become_leader" } else { "resign_leader" };
        self.write(Method::POST, &format!("{BASE}/admin/{call}"), bytes::Bytes::new(), None).await
    }

    /// One object; no answer if there is none of that id.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn object<T: Object>(&self, id: &str, stale: bool) -> Result<Read<T>, CallError> {
        let consistency = if stale { "stale" } else { "linearizable" };
        self.read(&format!("{BASE}/{}/{}?consistency={consistency}", T::PATH, encode(id))).await
    }

    /// All objects of a kind in the order of their ids, page by page.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn objects<T: Object>(&self) -> Result<Vec<T>, CallError> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let after = all.last().map_or_else(String::new, |last| format!("&after={}", encode(last.id())));
            let page: Read<Vec<T>> =
                self.read(&format!("{BASE}/{}?limit={MAX_PAGE}{after}", T::PATH)).await?;
            let page = page.answer.unwrap_or_default();
            let more = page.len() == MAX_PAGE;
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }
}
