//! Questions to Raft3D over HTTP: one object, or a list of them.

use super::APP;
use super::query::{Page, Query};
use super::routes::{Counted, PathId, id_of, unknown};
use crate::META_GROUP;
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use axum::Json;
use axum::extract::Query as UrlQuery;
use axum::extract::rejection::QueryRejection;
use axum::response::{IntoResponse, Response};
use client::APPLIED_INDEX;
use client::raft3d::{Filament, JobStatus, MAX_PAGE, PrintJob, Printer};
use replica::frame::Consistency;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ConsistencyOption {
    #[default]
    Linearizable,
    Stale,
}

impl From<ConsistencyOption> for Consistency {
    fn from(option: ConsistencyOption) -> Self {
        match option {
            ConsistencyOption::Linearizable => Consistency::Linearizable,
            ConsistencyOption::Stale => Consistency::Stale,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneOptions {
    #[serde(default)]
    consistency: ConsistencyOption,
}

pub(super) type OneQuery = Result<UrlQuery<OneOptions>, QueryRejection>;

/// Answers one object.
async fn one<T: DeserializeOwned + Serialize>(
    cluster: &Cluster,
    kind: &str,
    path: PathId,
    query: OneQuery,
    ask: fn(String) -> Query,
) -> Result<Response, ApiError> {
    let id = id_of(path)?;
    let UrlQuery(options) = query.map_err(|error| {
        let text = format!("{}; allowed is consistency=linearizable|stale", error.body_text());
        ApiError::invalid("invalid-query", text)
    })?;
    let answer = cluster.query(&APP, META_GROUP, &ask(id.clone()), options.consistency.into()).await?;
    let (object, applied): (Option<T>, u64) = answer;
    let object = object.ok_or_else(|| unknown(kind, &id))?;
    Ok(([(APPLIED_INDEX, applied.to_string())], Json(object)).into_response())
}

pub(super) async fn printer(
    Counted(cluster): Counted,
    path: PathId,
    query: OneQuery,
) -> Result<Response, ApiError> {
    one::<Printer>(&cluster, "printer", path, query, Query::Printer).await
}

pub(super) async fn filament(
    Counted(cluster): Counted,
    path: PathId,
    query: OneQuery,
) -> Result<Response, ApiError> {
    one::<Filament>(&cluster, "filament", path, query, Query::Filament).await
}

pub(super) async fn job(
    Counted(cluster): Counted,
    path: PathId,
    query: OneQuery,
) -> Result<Response, ApiError> {
    one::<PrintJob>(&cluster, "print job", path, query, Query::Job).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListOptions {
    #[serde(default)]
    consistency: ConsistencyOption,
    after: Option<String>,
    limit: Option<usize>,
    status: Option<String>,
}

pub(super) type ListQuery = Result<UrlQuery<ListOptions>, QueryRejection>;

fn list_options(query: ListQuery, jobs: bool) -> Result<(ListOptions, Option<JobStatus>), ApiError> {
    let invalid = |text: String| {
        let more = if jobs { ", status=Queued|Running|Done|Canceled" } else { "" };
        let allowed = format!("allowed are consistency=linearizable|stale, after=ID, limit=N{more}");
        ApiError::invalid("invalid-query", format!("{text}; {allowed}"))
    };
    let UrlQuery(options) = query.map_err(|error| invalid(error.body_text()))?;
    let status = options.status.as_deref().map(str::parse).transpose().map_err(invalid)?;
    if status.is_some() && !jobs {
        return Err(invalid("only jobs have a `status`".into()));
    }
    if options.limit.is_some_and(|limit| !(1..=MAX_PAGE).contains(&limit)) {
        return Err(invalid(format!("`limit` must lie in 1..={MAX_PAGE}")));
    }
    Ok((options, status))
}

/// Answers all objects, or a page of them where a limit was asked for.
async fn list<T: DeserializeOwned + Serialize>(
    cluster: &Cluster,
    options: ListOptions,
    id: fn(&T) -> &String,
    ask: impl Fn(Page) -> Query,
) -> Result<Response, ApiError> {
    let mut all: Vec<T> = Vec::new();
    let mut after = options.after;
    loop {
        let limit = options.limit.unwrap_or(MAX_PAGE);
        let page = Page { after: after.clone(), limit: limit as u64 };
        let (objects, applied): (Vec<T>, u64) =
            cluster.query(&APP, META_GROUP, &ask(page), options.consistency.into()).await?;
        let last = objects.len() < limit || options.limit.is_some();
        after = objects.last().map(|object| id(object).clone());
        all.extend(objects);
        if last {
            let headers = [(APPLIED_INDEX, applied.to_string())];
            return Ok((headers, Json(all)).into_response());
        }
    }
}

pub(super) async fn printers(Counted(cluster): Counted, query: ListQuery) -> Result<Response, ApiError> {
    let (options, _) = list_options(query, false)?;
    list::<Printer>(&cluster, options, |printer| &printer.id, Query::Printers).await
}

pub(super) async fn filaments(Counted(cluster): Counted, query: ListQuery) -> Result<Response, ApiError> {
    let (options, _) = list_options(query, false)?;
    list::<Filament>(&cluster, options, |filament| &filament.id, Query::Filaments).await
}

pub(super) async fn jobs(Counted(cluster): Counted, query: ListQuery) -> Result<Response, ApiError> {
    let (options, status) = list_options(query, true)?;
    list::<PrintJob>(&cluster, options, |job| &job.id, |page| Query::Jobs { page, status }).await
}
