//! `/train`, `/webhook` and `/is_training`: asking for training, and whether it goes on.
//!
//! A job is queued and its id answered at once, since Label Studio hangs up on a webhook after one second.
//! Only a client that sends `Prefer: wait` waits.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::job_view::JobView;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::extract::fields::readable;
use crate::http::extract::json_body::JsonBody;
use crate::http::extract::prefer::{PREFERENCE_APPLIED, Prefer};
use crate::http::extract::query::Query;
use crate::http::state::App;
use crate::ids::ProjectKey;
use crate::labelling::config::{Dialect, parse};
use crate::store::jobs::enqueue::Queued;
use crate::training::events::{EventProject, cannot_learn, ignored_because, lacks_payload};
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
    /// What is unusual about the event, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// The answer to a client that waited.
#[derive(Serialize)]
struct Waited {
    job_id: String,
    status: &'static str,
    #[serde(flatten)]
    job: JobView,
}

/// The answer to a request that trains no model.
#[derive(Serialize)]
struct Ignored {
    status: &'static str,
    detail: String,
}

async fn accepted(
    app: &App,
    queued: Queued,
    wait: Option<Duration>,
    detail: Option<String>,
) -> Result<Response, ApiError> {
    let job_id = queued.id.to_string();
    let Some(wait) = wait else {
        let status = if queued.merged { "merged" } else { "queued" };
        let answer = Accepted { job: job_id.clone(), job_id, status, detail };
        return Ok((StatusCode::CREATED, Json(answer)).into_response());
    };
    let job = app.queue.ended(queued.id, wait).await?;
    let job = JobView::of(app, job).await;
    let applied = [(PREFERENCE_APPLIED, format!("wait={}", wait.as_secs()))];
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
    tokio::spawn(queueing).await?
}

pub(in crate::http) async fn train(
    State(app): State<App>,
    Prefer(wait): Prefer,
    body: JsonBody,
) -> Result<Response, ApiError> {
    detached(queue_tasks(app, body, wait)).await
}

async fn queue_tasks(
    app: App,
    body: JsonBody,
    wait: Option<Duration>,
) -> Result<Response, ApiError> {
    let fields = body.fields()?;
    let annotations = fields.list("annotations")?;
    if annotations.get()[1..].trim_start().starts_with(']') {
        return Err(ApiError::new(ErrorCode::NoAnnotations, "No annotations found."));
    }
    let project = fields.project()?;
    let label_config = fields.config("label_config")?;
    fields.object("params")?;
    if let Err(error) = parse(label_config.as_deref().unwrap_or_default(), Dialect::Tools) {
        let detail = format!("the labelling config cannot be read: {error}");
        return Err(ApiError::new(ErrorCode::InvalidLabelConfig, detail));
    }
    let (class, versions) = app.serving.ready().await?;
    if class.api == ApiVersion::V2 {
        let detail =
            format!("{} is written for {}, which trains by /webhook only", class.class, class.api);
        return Err(ApiError::new(ErrorCode::TrainNotSupported, detail));
    }
    if let Some(reason) = cannot_learn(&class) {
        // The original answers 201 here too: it calls the `fit` of the base class.
        return Ok((StatusCode::CREATED, ignored(reason)).into_response());
    }
    let request =
        Request { project, label_config, action: None, payload: body.bytes(), api: class.api };
    let queued = app.queue.add(request, &versions).await?;
    accepted(&app, queued, wait, None).await
}

pub(in crate::http) async fn webhook(
    State(app): State<App>,
    Prefer(wait): Prefer,
    body: JsonBody,
) -> Result<Response, ApiError> {
    detached(queue_event(app, body, wait)).await
}

async fn queue_event(
    app: App,
    body: JsonBody,
    wait: Option<Duration>,
) -> Result<Response, ApiError> {
    let fields = body.fields()?;
    let action = fields
        .text("action")?
        .ok_or_else(|| ApiError::missing("action", "; it must be a string"))?;
    let label_config = fields.config("label_config")?;
    // Label Studio sends an event once, so it waits for the script however long the import takes.
    let (class, versions) = app.serving.imported().await?;
    if let Some(reason) = ignored_because(&action, &class) {
        tracing::debug!(action, "webhook ignored: {reason}");
        return Ok(ignored(reason));
    }
    let event = EventProject::read(fields.get("project"));
    let hint = lacks_payload(&action, &event).inspect(|hint| tracing::warn!("webhook: {hint}"));
    readable("project.label_config", event.label_config.as_deref())?;
    let known = match app.serving.project_key(&event.id) {
        None => app.queue.project_key(&event.id).await,
        known => known,
    };
    let request = Request {
        project: event.key(known),
        label_config: label_config.or(event.label_config),
        action: Some(action),
        payload: body.bytes(),
        api: class.api,
    };
    let queued = app.queue.add(request, &versions).await?;
    accepted(&app, queued, wait, hint).await
}

/// Clients of the original read `is_training`, `backend` and `model_version`; `backend` is where it kept its
/// queue.
#[derive(Serialize)]
pub(in crate::http) struct TrainingState {
    is_training: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<String>,
}

pub(in crate::http) async fn is_training(
    State(app): State<App>,
    Query(mut query): Query,
) -> Json<TrainingState> {
    let project = ProjectKey::from(query.remove("project").unwrap_or_default());
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
