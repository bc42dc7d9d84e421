//! A training job as clients see it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::http::state::App;
use crate::ids::ProjectKey;
use crate::store::jobs::{Job, JobState};
use crate::wire::api_version::ApiVersion;

/// Times are RFC 3339 in UTC.
#[derive(Serialize)]
pub(in crate::http) struct JobView {
    job: String,
    project: ProjectKey,
    /// The webhook action; null for a job of /train.
    event: Option<String>,
    job_status: &'static str,
    /// Number of further requests that this job stands for.
    merged: u32,
    attempts: u32,
    created_at: Option<String>,
    enqueued_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    progress: Option<Box<RawValue>>,
    /// The model version that it made.
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

    pub(super) fn into_status(self, result: Option<Box<RawValue>>) -> JobStatus {
        JobStatus {
            job_status: self.job_status,
            error: self.traceback.or(self.error),
            created_at: self.created_at,
            enqueued_at: self.enqueued_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            result,
        }
    }
}

/// The part of it that clients of the original read.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the clients'")]
pub(in crate::http) struct JobStatus {
    job_status: &'static str,
    error: Option<String>,
    created_at: Option<String>,
    enqueued_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    /// The content of `job_result.json`, once there is one.
    result: Option<Box<RawValue>>,
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

/// The words of the original's queue, which its clients know.
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
