//! Raft3D over HTTP, under `/api/v1`: all routes, and those that write. `reads` has the others.

use super::command::{self, Command, MAX_GRAMS, MAX_ID_BYTES, MAX_TEXT_BYTES, Refused, Reply};
use super::{APP, Counts, admin, reads};
use crate::META_GROUP;
use crate::cluster::Cluster;
use crate::http::error::ApiError;
use crate::http::{body, exposition, idempotency};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query as UrlQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use client::raft3d::{Filament, JobStatus, Leadership, PrintJob, Printer};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// The routes.
pub fn routes() -> Router<Cluster> {
    let routes = Router::new()
        .route("/printers", get(reads::printers).post(add_printer))
        .route("/printers/{id}", get(reads::printer))
        .route("/filaments", get(reads::filaments).post(add_filament))
        .route("/filaments/{id}", get(reads::filament))
        .route("/print_jobs", get(reads::jobs).post(add_job))
        .route("/print_jobs/{id}", get(reads::job))
        .route("/print_jobs/{id}/status", post(set_status))
        .route("/metrics", get(metrics))
        .route("/admin/become_leader", post(become_leader))
        .route("/admin/resign_leader", post(resign_leader));
    Router::new().nest("/api/v1", routes)
}

/// The cluster, of a request that was counted.
pub(super) struct Counted(pub(super) Cluster);

impl FromRequestParts<Cluster> for Counted {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, cluster: &Cluster) -> Result<Self, Infallible> {
        cluster.own::<Counts>().requests.inc();
        Ok(Counted(cluster.clone()))
    }
}

async fn read_body(cluster: &Cluster, request: Request) -> Result<(HeaderMap, Vec<u8>), ApiError> {
    let headers = request.headers().clone();
    let options = cluster.options();
    let body = body::read(request, options.max_body_bytes, options.deadline).await?;
    Ok((headers, body))
}

fn check(field: &str, text: &str, limit: usize) -> Result<(), ApiError> {
    let allowed = format!("allowed are 1 to {limit} bytes of UTF-8 without control characters");
    let wrong = match text.chars().find(|c| c.is_control()) {
        _ if text.is_empty() => format!("`{field}` is empty; {allowed}"),
        _ if text.len() > limit => format!("`{field}` has {} bytes; {allowed}", text.len()),
        Some(found) => format!("`{field}` holds the control character {found:?}; {allowed}"),
        None => return Ok(()),
    };
    Err(ApiError::invalid("invalid-value", wrong))
}

fn check_weight(field: &str, grams: u32) -> Result<(), ApiError> {
    let wrong = || format!("`{field}` is {grams}; allowed are whole grams from 1 to {MAX_GRAMS}");
    if (1..=MAX_GRAMS).contains(&grams) { Ok(()) } else { Err(ApiError::invalid("invalid-value", wrong())) }
}

async fn add_printer(Counted(cluster): Counted, request: Request) -> Result<Response, ApiError> {
    let (headers, body) = read_body(&cluster, request).await?;
    let printer: Printer = body::parse(&headers, &body)?;
    check("id", &printer.id, MAX_ID_BYTES)?;
    check("company", &printer.company, MAX_TEXT_BYTES)?;
    check("model", &printer.model, MAX_TEXT_BYTES)?;
    create(&cluster, &headers, Command::AddPrinter(printer.clone()), &printer, &printer.id).await
}

async fn add_filament(Counted(cluster): Counted, request: Request) -> Result<Response, ApiError> {
    let (headers, body) = read_body(&cluster, request).await?;
    let filament: Filament = body::parse(&headers, &body)?;
    check("id", &filament.id, MAX_ID_BYTES)?;
    check("type", &filament.material, MAX_TEXT_BYTES)?;
    check("color", &filament.color, MAX_TEXT_BYTES)?;
    let (total, left) = (filament.total_weight_in_grams, filament.remaining_weight_in_grams);
    check_weight("total_weight_in_grams", total)?;
    if left > total {
        let text = format!("`remaining_weight_in_grams` is {left}, more than the whole roll of {total}");
        return Err(ApiError::invalid("invalid-value", text));
    }
    create(&cluster, &headers, Command::AddFilament(filament.clone()), &filament, &filament.id).await
}

async fn add_job(Counted(cluster): Counted, request: Request) -> Result<Response, ApiError> {
    let (headers, body) = read_body(&cluster, request).await?;
    let job: PrintJob = body::parse(&headers, &body)?;
    check("id", &job.id, MAX_ID_BYTES)?;
    check("printer_id", &job.printer_id, MAX_ID_BYTES)?;
    check("filament_id", &job.filament_id, MAX_ID_BYTES)?;
    check("filepath", &job.filepath, MAX_TEXT_BYTES)?;
    check_weight("print_weight_in_grams", job.print_weight_in_grams)?;
    if job.status != JobStatus::Queued {
        let text = format!("`status` is {}; a new job is Queued, or says nothing of it", job.status);
        return Err(ApiError::invalid("invalid-value", text));
    }
    create(&cluster, &headers, Command::AddJob(job.clone()), &job, &job.id).await
}

/// Puts a new object into the log; answers it.
async fn create(
    cluster: &Cluster,
    headers: &HeaderMap,
    command: Command,
    object: &impl Serialize,
    id: &str,
) -> Result<Response, ApiError> {
    match write(cluster, headers, &command).await? {
        Reply::Done => Ok((StatusCode::CREATED, Json(object)).into_response()),
        Reply::Refused(refused) => Err(refusal(refused, &command, id)),
        Reply::Job(_) => Err(ApiError::Internal),
    }
}

async fn write(cluster: &Cluster, headers: &HeaderMap, command: &Command) -> Result<Reply, ApiError> {
    let key = idempotency::key_of(headers)?;
    cluster.command(&APP, META_GROUP, key, command).await
}

fn refusal(refused: Refused, command: &Command, id: &str) -> ApiError {
    use StatusCode as S;
    let app = ApiError::app;
    match refused {
        Refused::Known => {
            app(S::CONFLICT, "known-id", "Known already", format!("there is one with the id {id:?} already"))
        }
        Refused::TooMany { limit } => {
            let text = format!("there are {limit} already, and no more may be");
            app(S::UNPROCESSABLE_ENTITY, "too-many-objects", "Too many objects", text)
        }
        Refused::NoPrinter => unknown_part(command, "unknown-printer", "No such printer"),
        Refused::NoFilament => unknown_part(command, "unknown-filament", "No such filament"),
        Refused::TooHeavy { remaining, reserved } => {
            rt::reachable!("raft3d: a job was refused for want of filament");
            let free = u64::from(remaining).saturating_sub(reserved);
            let text = format!(
                "the filament has {free} g free: {remaining} g are left of it, of which queued and running \
                 jobs will take {reserved} g"
            );
            app(S::CONFLICT, "not-enough-filament", "Not enough filament", text)
                .with("remaining_weight_in_grams", remaining)
                .with("reserved_weight_in_grams", reserved)
        }
        Refused::NoJob => unknown("print job", id),
        Refused::NotNext { now } => {
            let next: Vec<_> = now.next().iter().map(|status| status.name()).collect();
            let next = if next.is_empty() { "nothing".into() } else { next.join(" or ") };
            let text = format!("the job is {now}; what may follow is {next}");
            app(S::CONFLICT, "not-next", "Status cannot follow", text).with("job_status", now.name())
        }
        Refused::Invalid => ApiError::invalid("invalid-value", "the object breaks a limit"),
    }
}

fn unknown_part(command: &Command, code: &str, title: &str) -> ApiError {
    let Command::AddJob(job) = command else { return ApiError::Internal };
    let (printer, filament) = (&job.printer_id, &job.filament_id);
    let text = match code {
        "unknown-printer" => format!("`printer_id`: there is no printer with the id {printer:?}"),
        _ => format!("`filament_id`: there is no filament with the id {filament:?}"),
    };
    ApiError::app(StatusCode::UNPROCESSABLE_ENTITY, code, title, text)
}

pub(super) fn unknown(kind: &str, id: &str) -> ApiError {
    let text = format!("there is no {kind} with the id {id:?}");
    ApiError::app(StatusCode::NOT_FOUND, "unknown-object", "No such object", text)
}

pub(super) type PathId = Result<Path<String>, PathRejection>;

pub(super) fn id_of(path: PathId) -> Result<String, ApiError> {
    let Path(id) = path.map_err(|error| ApiError::invalid("invalid-id", error.body_text()))?;
    // No object has a longer one, or an empty one.
    if command::is_id(&id) {
        Ok(id)
    } else {
        Err(ApiError::invalid("invalid-id", format!("an id has 1 to {MAX_ID_BYTES} bytes")))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusOptions {
    status: String,
}

async fn set_status(
    Counted(cluster): Counted,
    path: PathId,
    query: Result<UrlQuery<StatusOptions>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = id_of(path)?;
    let names = JobStatus::ALL.map(JobStatus::name).join("|");
    let invalid = |text: String| ApiError::invalid("invalid-query", format!("{text}; send ?status={names}"));
    let UrlQuery(options) = query.map_err(|error| invalid(error.body_text()))?;
    let status: JobStatus = options.status.parse().map_err(invalid)?;
    // A body says nothing here; one that is too large is refused like any other.
    let (headers, _) = read_body(&cluster, request).await?;
    let command = Command::SetStatus { id: id.clone(), status };
    match write(&cluster, &headers, &command).await? {
        Reply::Job(job) => Ok((StatusCode::CREATED, Json(job)).into_response()),
        Reply::Refused(refused) => Err(refusal(refused, &command, &id)),
        Reply::Done => Err(ApiError::Internal),
    }
}

/// `GET /api/v1/metrics`: the Prometheus text, whatever the profile.
async fn metrics(Counted(cluster): Counted, headers: HeaderMap) -> Response {
    exposition::prometheus(State(cluster), headers).await
}

async fn become_leader(Counted(cluster): Counted) -> Result<Json<Leadership>, ApiError> {
    admin::become_leader(&cluster).await.map(Json)
}

async fn resign_leader(Counted(cluster): Counted) -> Result<Json<Leadership>, ApiError> {
    admin::resign_leader(&cluster).await.map(Json)
}
