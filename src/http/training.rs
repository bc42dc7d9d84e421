//! `/train`, `/webhook` and `/is_training`: what asks for training, and whether it goes on.
//!
//! Training never happens while a client waits: a job is queued and its id answered at once, since
//! Label Studio hangs up on a webhook after one second.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use super::body;
use super::error::{self, ApiError};
use super::fields::{Fields, readable};
use super::jobs::JobView;
use super::prefer;
use super::state::App;
use crate::labelling::config::{Dialect, parse};
use crate::store::jobs::enqueue::Queued;
use crate::training::events::{EventProject, cannot_learn, ignored_because};
use crate::training::queue::Request;
use crate::wire::api_version::ApiVersion;

/// The answer to a request that is going to train.
#[derive(Serialize)]
struct Accepted {
    /// Label Studio keeps this one.
    job: String,
    /// Clients of the original's webhook read this one.
    job_id: String,
    status: &'static str,
}

/// The answer to a client that waited.
#[derive(Serialize)]
struct Waited {
    job_id: String,
    status: &'static str,
    #[serde(flatten)]
    job: JobView,
}

/// The answer to a request that trains nobody.
#[derive(Serialize)]
struct Ignored {
    status: &'static str,
    detail: String,
}

async fn accepted(app: &App, queued: Queued, wait: Option<Duration>) -> Result<Response, ApiError> {
    let job_id = queued.id.to_string();
    let Some(wait) = wait else {
        let status = if queued.merged { "merged" } else { "queued" };
        let answer = Accepted { job: job_id.clone(), job_id, status };
        return Ok((StatusCode::CREATED, Json(answer)).into_response());
    };
    let job = app.queue.ended(queued.id, wait).await?;
    let job = JobView::of(app, job).await;
    let applied = [(prefer::APPLIED, format!("wait={}", wait.as_secs()))];
    let answer = Waited { job_id, status: job.status(), job };
    Ok((StatusCode::CREATED, applied, Json(answer)).into_response())
}

fn ignored(detail: String) -> Response {
    Json(Ignored { status: "ignored", detail }).into_response()
}

/// Goes on when the client hangs up, as Label Studio does after a second: what arrived is queued
/// also when the class is not known yet.
async fn detached(
    queueing: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
) -> Result<Response, ApiError> {
    tokio::spawn(queueing).await.unwrap_or_else(|error| {
        Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    })
}

pub(super) async fn train(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = body::read(&app.options.body, &headers, body).await?;
    let wait = prefer::wait(&headers);
    detached(queue_tasks(app, bytes.into_bytes(), wait)).await
}

async fn queue_tasks(app: App, bytes: Bytes, wait: Option<Duration>) -> Result<Response, ApiError> {
    let fields = body::aside(bytes.len(), || Fields::read(&bytes))?;
    let annotations = fields.list("annotations")?;
    if annotations.get()[1..].trim_start().starts_with(']') {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "No annotations found."));
    }
    let project = fields.project()?;
    let label_config = fields.config("label_config")?;
    fields.object("params")?;
    if let Err(error) = parse(label_config.as_deref().unwrap_or_default(), Dialect::Tools) {
        let detail = format!("the labelling config cannot be read: {error}");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let (class, versions) = app.serving.ready().await?;
    if class.api == ApiVersion::V2 {
        let detail =
            format!("{} is written for {}, which trains by /webhook only", class.class, class.api);
        return Err(ApiError::new(StatusCode::NOT_FOUND, detail));
    }
    if let Some(reason) = cannot_learn(&class) {
        // The original answers 201 here too: it calls the `fit` of the base class.
        return Ok((StatusCode::CREATED, ignored(reason)).into_response());
    }
    let request =
        Request { project, label_config, action: None, payload: bytes.clone(), api: class.api };
    let queued = app.queue.add(request, &versions).await?;
    accepted(&app, queued, wait).await
}

pub(super) async fn webhook(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = body::read(&app.options.body, &headers, body).await?;
    let wait = prefer::wait(&headers);
    detached(queue_event(app, bytes.into_bytes(), wait)).await
}

async fn queue_event(app: App, bytes: Bytes, wait: Option<Duration>) -> Result<Response, ApiError> {
    let fields = body::aside(bytes.len(), || Fields::read(&bytes))?;
    let action = fields
        .text("action")?
        .ok_or_else(|| ApiError::field("action", "is missing; it must be a string"))?;
    let label_config = fields.config("label_config")?;
    // Label Studio sends an event once, so it waits for the script however long the import takes.
    let (class, versions) = app.serving.imported().await?;
    if let Some(reason) = ignored_because(&action, &class) {
        tracing::debug!(action, "webhook ignored: {reason}");
        return Ok(ignored(reason));
    }
    let event = EventProject::read(fields.get("project"));
    readable("project.label_config", event.label_config.as_deref())?;
    let known = match app.serving.project_key(&event.id) {
        None => app.queue.project_key(&event.id).await,
        known => known,
    };
    let request = Request {
        project: event.key(known),
        label_config: label_config.or(event.label_config),
        action: Some(action),
        payload: bytes.clone(),
        api: class.api,
    };
    let queued = app.queue.add(request, &versions).await?;
    accepted(&app, queued, wait).await
}

/// Clients of the original read `is_training`, `backend` and `model_version`; `backend` names
/// where it kept its queue.
#[derive(Serialize)]
pub(super) struct TrainingState {
    is_training: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<String>,
}

pub(super) async fn is_training(State(app): State<App>, uri: Uri) -> Json<TrainingState> {
    let project = error::query(&uri).remove("project").unwrap_or_default();
    let job = app.queue.of_project(&project).await;
    let model_version = app.serving.version(&project);
    let known = job.is_some() || model_version.is_some();
    Json(TrainingState {
        is_training: job.is_some(),
        backend: known.then_some("none"),
        job_id: job.map(|id| id.to_string()),
        model_version,
    })
}
