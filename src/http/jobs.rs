//! `/jobs` and `/job_status`: training jobs, as they wait, run and end.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::body;
use super::error::{self, ApiError};
use super::fields::Fields;
use super::name::Name;
use super::state::App;
use crate::store::jobs::{Job, JobId, JobState};
use crate::training::queue::QueueError;
use crate::wire::api_version::ApiVersion;

/// Jobs that one answer lists, unless `?limit=` says otherwise.
const LISTED: u32 = 100;
const MOST_LISTED: u32 = 1_000;

/// A job as clients see it. Times are RFC 3339 in UTC.
#[derive(Serialize)]
pub(super) struct JobView {
    job: String,
    project: String,
    /// The webhook action; null for a job of /train.
    event: Option<String>,
    job_status: &'static str,
    /// Requests that this job stands for besides its own.
    merged: u32,
    attempts: u32,
    created_at: Option<String>,
    enqueued_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    progress: Option<Box<RawValue>>,
    /// The version that it made.
    model_version: Option<String>,
    error: Option<String>,
    traceback: Option<String>,
}

impl JobView {
    pub(super) async fn of(app: &App, job: Job) -> Self {
        let name = name_of_version(app, &job).await;
        let view = Self::new(job, app.options.hide_tracebacks);
        Self { model_version: name.or(view.model_version), ..view }
    }

    fn new(job: Job, hide_tracebacks: bool) -> Self {
        Self {
            job: job.id.to_string(),
            job_status: status(job.state),
            merged: job.merged,
            attempts: job.attempts,
            created_at: time(job.created_at),
            enqueued_at: time(job.enqueued_at),
            started_at: job.started_at.and_then(time),
            ended_at: job.ended_at.and_then(time),
            progress: job.progress.and_then(|json| RawValue::from_string(json).ok()),
            model_version: job.version.map(|version| version.to_string()),
            error: job.error,
            traceback: job.traceback.filter(|_| !hide_tracebacks),
            project: job.project,
            event: job.action,
        }
    }

    pub(super) fn status(&self) -> &'static str {
        self.job_status
    }
}

/// What a model of API v2 calls the version that a job made.
async fn name_of_version(app: &App, job: &Job) -> Option<String> {
    let id = job.version?;
    let (class, versions) = app.serving.ready().await.ok()?;
    if class.api == ApiVersion::V1 {
        return None;
    }
    let project = job.project.clone();
    let read = tokio::task::spawn_blocking(move || versions.record(&project, id));
    Some(read.await.ok()?.ok()??.served)
}

/// The words that clients of the original know, which are those of its queue.
fn status(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Running | JobState::Publishing => "started",
        JobState::Succeeded => "finished",
        JobState::Failed | JobState::Lost => "failed",
        JobState::Cancelled => "cancelled",
    }
}

fn time(milliseconds: i64) -> Option<String> {
    Timestamp::from_millisecond(milliseconds).ok().map(|time| format!("{time:.3}"))
}

/// An id from a path or a body. Whatever is no number that the job store can hold names no job.
pub(super) fn id(text: &str) -> Result<JobId, QueueError> {
    let id = text.parse::<i64>().ok().and_then(|id| id.try_into().ok());
    id.ok_or_else(|| QueueError::Unknown(format!("{text:?}")))
}

/// The job that a body names.
pub(super) fn asked(fields: &Fields<'_>) -> Result<String, ApiError> {
    match fields.get("job").map(|raw| serde_json::from_str(raw.get())) {
        Some(Ok(Value::String(text))) => Ok(text),
        Some(Ok(Value::Number(number))) => Ok(number.to_string()),
        None => Err(ApiError::field("job", "is missing; it must be the id of a job")),
        Some(_) => Err(ApiError::field("job", "must be the id of a job")),
    }
}

#[derive(Serialize)]
pub(super) struct Listed {
    /// Newest first.
    jobs: Vec<JobView>,
}

pub(super) async fn list(State(app): State<App>, uri: Uri) -> Result<Json<Listed>, ApiError> {
    let mut query = error::query(&uri);
    let limit = match query.remove("limit") {
        None => LISTED,
        Some(limit) => limit
            .parse()
            .ok()
            .filter(|limit| (1..=MOST_LISTED).contains(limit))
            .ok_or_else(|| ApiError::field("limit", "must be a number from 1 to 1000"))?,
    };
    let jobs = app.queue.jobs(query.remove("project"), limit).await?;
    let mut listed = Vec::with_capacity(jobs.len());
    for job in jobs {
        listed.push(JobView::of(&app, job).await);
    }
    Ok(Json(Listed { jobs: listed }))
}

pub(super) async fn one(
    State(app): State<App>,
    Name(text): Name,
) -> Result<Json<JobView>, ApiError> {
    let job = app.queue.job(id(&text)?).await?;
    Ok(Json(JobView::of(&app, job).await))
}

pub(super) async fn log(
    State(app): State<App>,
    Name(text): Name,
) -> Result<impl IntoResponse, ApiError> {
    let log = app.queue.log(id(&text)?).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], log))
}

/// How long the answer waits for a running job to end.
const CANCEL_WAIT: Duration = Duration::from_secs(10);

pub(super) async fn cancel(
    State(app): State<App>,
    Name(text): Name,
) -> Result<Json<JobView>, ApiError> {
    let id = id(&text)?;
    app.queue.cancel(id).await?;
    let job = app.queue.ended(id, CANCEL_WAIT).await?;
    Ok(Json(JobView::of(&app, job).await))
}

/// What clients of the original read.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the clients'")]
pub(super) struct Status {
    job_status: &'static str,
    error: Option<String>,
    created_at: Option<String>,
    enqueued_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    /// The content of `job_result.json`, once there is one.
    result: Option<Box<RawValue>>,
}

pub(super) async fn job_status(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Status>, ApiError> {
    let bytes = body::read(&app.options.body, &headers, body).await?;
    let text = asked(&Fields::read(&bytes)?)?;
    let job = app.queue.job(id(&text)?).await?;
    let result = match job.version {
        None => None,
        Some(version) => {
            let (_, versions) = app.serving.ready().await?;
            let project = job.project.clone();
            let read = move || match versions.record(&project, version)? {
                Some(record) => Ok(serde_json::value::to_raw_value(&record).ok()),
                None => versions.result(&project, version),
            };
            tokio::task::spawn_blocking(read).await.map_err(|error| {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            })??
        }
    };
    let view = JobView::of(&app, job).await;
    Ok(Json(Status {
        job_status: view.job_status,
        error: view.traceback.or(view.error),
        created_at: view.created_at,
        enqueued_at: view.enqueued_at,
        started_at: view.started_at,
        ended_at: view.ended_at,
        result,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_job_store_cannot_hold_names_no_job() {
        assert_eq!(id("1795431326").unwrap(), 1_795_431_326);
        for none in ["", "-1", "1.5", "x", "9223372036854775808", "18446744073709551616"] {
            assert!(matches!(id(none), Err(QueueError::Unknown(_))), "{none}");
        }
    }
}
