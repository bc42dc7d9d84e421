//! `/jobs` and `/job_status`: training jobs, as they wait, run and end.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::Value;

use super::job_view::{JobStatus, JobView};
use crate::http::error::ApiError;
use crate::http::extract::fields::Fields;
use crate::http::extract::json_body::JsonBody;
use crate::http::extract::path_name::PathName;
use crate::http::extract::query::Query;
use crate::http::state::App;
use crate::ids::{JobId, ProjectKey};
use crate::training::queue::QueueError;

/// Number of jobs that one answer lists, unless `?limit=` says otherwise.
const LISTED: u32 = 100;
const MOST_LISTED: u32 = 1_000;
/// How long the answer to a cancellation waits for the running job to end.
const CANCEL_WAIT: Duration = Duration::from_secs(10);

/// An id from a path or a body. A text that is not a number which the job store can hold names no job.
pub(in crate::http) fn id(text: &str) -> Result<JobId, QueueError> {
    let id = text.parse::<i64>().ok().and_then(|id| id.try_into().ok()).map(JobId);
    id.ok_or_else(|| QueueError::Unknown(format!("{text:?}")))
}

/// The job that a body names.
pub(in crate::http) fn asked(fields: &Fields<'_>) -> Result<String, ApiError> {
    match fields.get("job").map(|raw| serde_json::from_str(raw.get())) {
        Some(Ok(Value::String(text))) => Ok(text),
        Some(Ok(Value::Number(number))) => Ok(number.to_string()),
        None => Err(ApiError::missing("job", "; it must be the id of a job")),
        Some(_) => Err(ApiError::field("job", "must be the id of a job")),
    }
}

#[derive(Serialize)]
pub(in crate::http) struct JobList {
    /// Newest first.
    jobs: Vec<JobView>,
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Query(mut query): Query,
) -> Result<Json<JobList>, ApiError> {
    let limit = match query.remove("limit") {
        None => LISTED,
        Some(limit) => limit
            .parse()
            .ok()
            .filter(|limit| (1..=MOST_LISTED).contains(limit))
            .ok_or_else(|| ApiError::field("limit", "must be a number from 1 to 1000"))?,
    };
    let jobs = app.queue.jobs(query.remove("project").map(ProjectKey::from), limit).await?;
    let mut listed = Vec::with_capacity(jobs.len());
    for job in jobs {
        listed.push(JobView::of(&app, job).await);
    }
    Ok(Json(JobList { jobs: listed }))
}

pub(in crate::http) async fn one(
    State(app): State<App>,
    PathName(text): PathName,
) -> Result<Json<JobView>, ApiError> {
    let job = app.queue.job(id(&text)?).await?;
    Ok(Json(JobView::of(&app, job).await))
}

pub(in crate::http) async fn log(
    State(app): State<App>,
    PathName(text): PathName,
) -> Result<impl IntoResponse, ApiError> {
    let log = app.queue.log(id(&text)?).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], log))
}

pub(in crate::http) async fn cancel(
    State(app): State<App>,
    PathName(text): PathName,
) -> Result<Json<JobView>, ApiError> {
    let id = id(&text)?;
    app.queue.cancel(id).await?;
    let job = app.queue.ended(id, CANCEL_WAIT).await?;
    Ok(Json(JobView::of(&app, job).await))
}

pub(in crate::http) async fn job_status(
    State(app): State<App>,
    body: JsonBody,
) -> Result<Json<JobStatus>, ApiError> {
    let text = asked(&body.fields()?)?;
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
            tokio::task::spawn_blocking(read).await??
        }
    };
    Ok(Json(JobView::of(&app, job).await.into_status(result)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_job_store_cannot_hold_names_no_job() {
        assert_eq!(id("1795431326").unwrap(), JobId(1_795_431_326));
        for none in ["", "-1", "1.5", "x", "9223372036854775808", "18446744073709551616"] {
            assert!(matches!(id(none), Err(QueueError::Unknown(_))), "{none}");
        }
    }
}
